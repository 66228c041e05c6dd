"""Arithmetic limit of a training epoch: its matrix products, at the rate at which the machine computes them.

For a packed epoch with one forward and one backward pass (SAM needs all of it twice), these are counted:

- the linear layers, three products each (forward, gradient of the input, gradient of the weight), on the events that
  the windows encode, padding not counted; in the last layer, everything after keys and values on the targets only;
- attention, two products forward and four backward, of each position with itself and those before it (the triangle,
  though a dense product computes the square); in the last layer on the targets only;
- the loss over all items, three products of all targets with all items.

Nothing that is computed again is counted, nor embeddings, normalization, activation, dropout, softmax or the optimizer.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

SECONDS = 0.1
"""Least time for which each shape is tried."""
PARTS = (128, 512)
"""Numbers of targets that may be compared with all items at a time, in addition to all of a batch."""


@dataclass(frozen=True)
class Work:
    """Numbers of events that an epoch encodes and predicts.

    Args:
        steps: Optimizer steps.
        windows: Number of windows.
        tokens: Events that the windows encode.
        targets: Events that are predicted.
        pairs: Pairs of a position with one that it sees.
        target_pairs: Pairs whose first position has a target.
    """

    steps: int
    windows: int
    tokens: int
    targets: int
    pairs: int
    target_pairs: int

    @classmethod
    def count(cls, loader: Any) -> Work:
        """Count the work of an epoch of a packed loader."""
        windows = loader.windows
        lengths = windows.lengths
        seen = windows.targets - windows.starts.repeat(windows.counts)
        return cls(
            steps=len(loader),
            windows=len(windows),
            tokens=int(lengths.sum()),
            targets=len(windows.targets),
            pairs=int((lengths * (lengths + 1) // 2).sum()),
            target_pairs=int(seen.sum()),
        )


@dataclass(frozen=True)
class Shape:
    """Sizes of the model: width, inner width, heads, layers, embedding rows of the items."""

    size: int
    inner: int
    heads: int
    layers: int
    items: int

    @classmethod
    def read(cls, model: Any) -> Shape:
        """Read the sizes of RecBole's SASRec, or of a model like it."""
        return cls(model.hidden_size, model.inner_size, model.n_heads, model.n_layers, model.n_items)


@dataclass(frozen=True)
class Product:
    """One kind of matrix product of a step.

    Args:
        kind: Its purpose: ``linear``, ``attention`` or ``items``.
        flops: Operations of an epoch that are products of this kind.
        shapes: Shapes ``(batch, m, k, n)`` of ``[batch, m, k] x [batch, k, n]`` in which a step may compute it; the
            fastest counts.
    """

    kind: str
    flops: float
    shapes: tuple[tuple[int, int, int, int], ...]


def count_linear(events: int, steps: int, inputs: int, outputs: int) -> list[Product]:
    """Count the three products of a linear layer that is applied to ``events`` events per epoch."""
    flops, m = 2.0 * events * inputs * outputs, max(1, events // steps)
    shapes = (m, inputs, outputs), (m, outputs, inputs), (inputs, m, outputs)
    return [Product("linear", flops, ((1, *shape),)) for shape in shapes]


def count_all_items(targets: int, steps: int, size: int, items: int) -> list[Product]:
    """Count the three products of the loss over all items, of a whole batch or of parts that fit the cache better."""
    flops, m = 2.0 * targets * size * items, max(1, targets // steps)
    parts = [m, *(part for part in PARTS if part < m)]
    logits = tuple((1, part, size, items) for part in parts)
    of_states = tuple((1, part, items, size) for part in parts)
    of_table = tuple((1, items, part, size) for part in parts)
    return [Product("items", flops, shapes) for shapes in (logits, of_states, of_table)]


def count_attention(pairs: int, work: Work, shape: Shape) -> list[Product]:
    """Count the six products of a layer's attention, for the pairs of positions that attend to each other."""
    flops = 2.0 * pairs * shape.size
    length, batch = max(1, work.tokens // work.windows), max(1, work.windows // work.steps) * shape.heads
    width = shape.size // shape.heads
    scores = Product("attention", 2 * flops, ((batch, length, width, length),))  # forward; gradient of the weights
    context = Product("attention", 4 * flops, ((batch, length, length, width),))  # forward; of value, query and key
    return [scores, context]


def count_products(work: Work, shape: Shape) -> list[Product]:
    """Count all products that an epoch with one pass needs."""
    d, inner, steps = shape.size, shape.inner, work.steps
    needed: list[Product] = []
    for layer in range(shape.layers):
        last = layer == shape.layers - 1
        events = work.targets if last else work.tokens
        needed += count_linear(work.tokens, steps, d, 2 * d)  # keys and values
        needed += count_linear(events, steps, d, d)  # queries
        needed += count_attention(work.target_pairs if last else work.pairs, work, shape)
        for inputs, outputs in ((d, d), (d, inner), (inner, d)):
            needed += count_linear(events, steps, inputs, outputs)
    return needed + count_all_items(work.targets, steps, d, shape.items)


def measure_limit(needed: Sequence[Product], device: str = "cpu") -> dict[str, Any]:
    """Measure the seconds that the products take at the current rate of each shape.

    Args:
        needed: The products of an epoch.
        device: Device to measure.

    Returns:
        ``seconds``; ``flops``; and ``gflops`` a second for each kind.
    """
    rates = {shape: measure_rate(*shape, device=device) for shape in {shape for one in needed for shape in one.shapes}}
    seconds: dict[str, float] = {}
    flops: dict[str, float] = {}
    for one in needed:
        fastest = max(rates[shape] for shape in one.shapes)
        seconds[one.kind] = seconds.get(one.kind, 0.0) + one.flops / fastest
        flops[one.kind] = flops.get(one.kind, 0.0) + one.flops
    return {
        "seconds": sum(seconds.values()),
        "flops": sum(flops.values()),
        "gflops": {kind: flops[kind] / seconds[kind] / 1e9 for kind in flops},
    }


def measure_rate(batch: int, m: int, k: int, n: int, device: str = "cpu") -> float:
    """Measure operations per second of products ``[batch, m, k] x [batch, k, n]`` into preallocated memory."""
    left, right = torch.randn(batch, m, k, device=device), torch.randn(batch, k, n, device=device)
    if batch == 1:
        left, right = left[0], right[0]
    multiply = torch.mm if batch == 1 else torch.bmm
    out = multiply(left, right)
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times) < 5:
        _wait(device)
        started = time.perf_counter()
        multiply(left, right, out=out)
        _wait(device)
        times.append(time.perf_counter() - started)
    return 2.0 * batch * m * k * n / statistics.median(times)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
