"""Checkpoints, errors, files, and other helpers without knowledge of models."""
