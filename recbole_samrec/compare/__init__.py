"""Comparisons of models: tables, tests and plots of finished runs."""
