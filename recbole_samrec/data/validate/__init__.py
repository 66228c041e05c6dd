"""Checks of RecBole's atomic files before anything is trained."""
