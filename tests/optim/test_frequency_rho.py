"""The radius of the rows of item tables."""

import pytest
import torch
from torch import nn

from recbole_samrec.data.item_counts import count_training_items
from recbole_samrec.optim.frequency_rho import compute_frequency_factors, find_item_tables
from tests.helpers.tiny import build, make_config, write_events


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


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_item_counts__are_those_of_the_training_data(tmp_path, model):
    events = [(f"u{u}", f"i{i}", step) for u in range(3) for step, i in enumerate([0, 1, 1 + u % 2, 2, 3, 4])]
    write_events(tmp_path, "tiny", [*events, *(("another", f"j{step}", step) for step in range(3))])
    split = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}}
    loaders, _, _ = build(make_config(model, tmp_path, **split))
    tokens = loaders[0]._dataset.field2token_id["item_id"]
    counts = count_training_items(loaders[0]._dataset)
    assert len(counts) == 9 and counts[0] == 0
    found = {name: int(counts[tokens[name]]) for name in ("i0", "i1", "i2", "i3", "i4")}
    first = 0 if model == "SASRec" else 3  # a sequence's first item is not predicted
    assert found == {"i0": first, "i1": 5, "i2": 4, "i3": 0, "i4": 0}
