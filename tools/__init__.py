"""Tools for those who change this package; none of them is installed with it."""
