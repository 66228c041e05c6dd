"""The memory for a calculation is a share of a GPU's, and the same in every run."""

import pytest
import torch

from recbole_samrec.utils.device_memory import measure_budget

GIGABYTE = 2**30


@pytest.mark.parametrize(
    ("total", "free", "share", "expected"),
    [
        (8, 8, 1 / 64, GIGABYTE // 8),
        (8, 3, 1 / 64, GIGABYTE // 8),
        (80, 79.3, 1 / 64, GIGABYTE),
        (79.6, 79, 1 / 64, GIGABYTE),  # rounded down to a power of two
        (80, 2, 1 / 64, GIGABYTE // 2),  # others have taken most of it
        (80, 0, 1 / 64, 1),
    ],
)
def test_measure_budget__is_a_share_of_the_memory(total, free, share, expected, monkeypatch):
    measure_budget.cache_clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * GIGABYTE), int(total * GIGABYTE)))
    assert measure_budget(torch.device("cuda", 0), share) == expected
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("measured again"))
    assert measure_budget(torch.device("cuda", 0), share) == expected
    measure_budget.cache_clear()


def test_measure_budget__is_none_elsewhere():
    assert measure_budget(torch.device("cpu"), 0.5) is None and measure_budget(torch.device("meta"), 0.5) is None
