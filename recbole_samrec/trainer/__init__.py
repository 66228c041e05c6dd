"""Training with SAM, resuming, callbacks and pre-training."""
