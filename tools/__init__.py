"""Tools for developers of this package; they are not installed with it."""
