"""Models side by side: the same protocol for all, several seeds, one table."""
