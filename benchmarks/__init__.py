"""Measurements of speed and memory; ``python -m benchmarks.speed`` makes ``results/speed.md`` and ``speed.csv``."""
