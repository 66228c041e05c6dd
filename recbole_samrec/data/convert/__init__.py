"""Converters of providers' files to data sets."""
