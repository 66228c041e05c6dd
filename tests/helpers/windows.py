"""Users with histories of many lengths, and the predictions of windows of them."""

import numpy as np


def flat(lengths, gap=0.0, seed=0):
    """Items, offsets and targets of users with given numbers of events; a share of the targets is dropped."""
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    targets = np.delete(np.arange(offsets[-1]), offsets[:-1])
    targets = targets[draw.random(len(targets)) >= gap]
    return draw.integers(1, 30, offsets[-1]), offsets, targets


def predictions(windows):
    """For each window: its user, first event, number of events encoded, and its targets."""
    for number, (user, start, length) in enumerate(zip(windows.users, windows.starts, windows.lengths, strict=True)):
        yield user, start, length, windows.targets[windows.bounds[number] : windows.bounds[number + 1]]


def cases():
    """Random users, lengths, strides and gaps."""
    draw = np.random.default_rng(7)
    for seed in range(60):
        lengths = draw.integers(1, 40, draw.integers(1, 12))
        length = int(draw.integers(1, 14))
        stride = [None, 1, int(draw.integers(1, length + 1))][seed % 3]
        most = [None, int(draw.integers(1, 9))][seed % 2]
        yield flat(lengths, gap=[0, 0.3, 0.9][seed % 3], seed=seed), length, stride, most
