"""Reports on the minima of finished runs."""
