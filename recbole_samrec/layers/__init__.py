"""Transformer blocks, losses and augmentations of sequences."""
