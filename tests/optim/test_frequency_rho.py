"""The radius of the rows of item tables."""

import pytest
import torch
from torch import nn

from recbole_samrec.optim.frequency_rho import compute_frequency_factors, find_item_tables


def test_compute_frequency_factors__are_above_the_floor():
    counts = torch.tensor([0, 10, 5, 4, 1])
    assert compute_frequency_factors(counts, 6).tolist() == pytest.approx([0.3, 1, 0.5, 0.4, 0.3, 0.3])
    assert compute_frequency_factors(counts, 5, floor=0).tolist() == pytest.approx([0, 1, 0.5, 0.4, 0.1])


def test_find_item_tables__by_name_and_number_of_rows():
    model = nn.ModuleDict(
        {
            "item_embedding": nn.Embedding(5, 2),
            "user_embedding": nn.Embedding(9, 2),
            "item_masked": nn.Embedding(6, 2),
            "item_kind": nn.Embedding(3, 2),
            "item_linear": nn.Linear(9, 9),
        }
    )
    found = find_item_tables(model, 5)
    assert [id(table) for table in found] == [id(model[name].weight) for name in ("item_embedding", "item_masked")]
    with pytest.raises(ValueError, match=r"ModuleDict has no nn\.Embedding for its items"):
        find_item_tables(model, 7)
