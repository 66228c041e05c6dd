"""Data sets from the files of their providers."""
