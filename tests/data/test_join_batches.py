"""Joined batches contain the samples of all batches, and the positions of targets in the joined sequences."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.join_batches import join_batches
from recbole_samrec.data.packed_loader import TARGET_POSITIONS
from tests.helpers.packed import prepared


def test_join_batches__pads_and_moves_positions_by_hand():
    one = {"user": torch.tensor([1]), "items": torch.tensor([[3, 4]]), TARGET_POSITIONS: torch.tensor([[0, 1]])}
    two = {"user": torch.tensor([2, 5]), "items": torch.tensor([[6, 7, 8], [9, 0, 0]])}
    two[TARGET_POSITIONS] = torch.tensor([[2, 3]])
    joined = join_batches([Interaction(one), Interaction(two)])
    assert joined["user"].tolist() == [1, 2, 5]
    assert joined["items"].tolist() == [[3, 4, 0], [6, 7, 8], [9, 0, 0]]
    assert joined[TARGET_POSITIONS].tolist() == [[0, 1, 5, 6]]


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_join_batches__of_an_epoch(training, own_folder):
    dataset, loaders = prepared(own_folder, training, train_batch_size=3)
    batches = list(loaders[0])
    joined = join_batches(batches)
    assert len(batches) > 2 and joined.columns == batches[0].columns
    for field in (dataset.uid_field, dataset.item_list_length_field):
        assert torch.equal(joined[field], torch.cat([batch[field] for batch in batches]))
    if training == "packed":
        targets = joined[dataset.iid_field].flatten()
        assert joined[TARGET_POSITIONS][0].tolist() == targets.nonzero().flatten().tolist()
