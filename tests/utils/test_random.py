"""Integers below limits are drawn uniformly, only from torch's generator."""

import torch

from recbole_samrec.utils.random import draw_below


def test_draw_below__draws_each_integer_alike():
    torch.manual_seed(0)
    drawn = draw_below(torch.tensor([1, 3]).expand(9_000, 2))
    assert not drawn[:, 0].any()
    counts = torch.bincount(drawn[:, 1])
    assert len(counts) == 3 and (counts - 3_000).abs().max() < 200  # four standard deviations are 179


def test_draw_below__reaches_beyond_32_bits():
    torch.manual_seed(0)
    drawn = draw_below(torch.full((1000,), 1 << 40))
    assert drawn.dtype == torch.int64 and drawn.min() >= 0 and (1 << 39) < drawn.max() < (1 << 40)


def test_draw_below__keeps_the_shape_and_follows_the_seed():
    limits = torch.full((2, 3, 4), 1000)
    torch.manual_seed(5)
    first, second = draw_below(limits), draw_below(limits)
    assert first.shape == limits.shape and not torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(draw_below(limits), first)
