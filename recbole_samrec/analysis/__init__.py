"""Curvature, sharpness and loss surfaces, computed from callables and tensors."""
