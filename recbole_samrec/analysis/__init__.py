"""Curvature, sharpness and loss surfaces, of callables and tensors."""
