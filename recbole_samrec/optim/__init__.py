"""Sharpness-Aware Minimization and its variants, in any PyTorch loop and in RecBole."""
