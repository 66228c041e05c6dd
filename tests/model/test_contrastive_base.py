"""Shared parts of CL4SRec and DuoRec: a weighted InfoNCE, and training sequences like those of the other loss."""

import pytest
import torch

from recbole_samrec.layers.info_nce import info_nce
from recbole_samrec.model.contrastive_base import ContrastiveBase
from tests.helpers.contrastive import make
from tests.helpers.tiny import random_events, write_events


def test_contrastive_base__weighs_the_loss_of_two_views(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    _, network, _ = make(tmp_path, cl_weight=0.25, cl_temperature=0.5, cl_similarity="cosine")
    assert isinstance(network, ContrastiveBase)
    first, second = torch.randn(2, 5, 4, dtype=torch.float64)
    expected = info_nce(first, second, temperature=0.5, similarity="cosine")
    torch.testing.assert_close(network.contrast(first, second), 0.25 * expected)


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_contrastive_base__adds_a_loss_to_that_of_next_items(tmp_path, training):
    write_events(tmp_path, "tiny", random_events())
    loader, network, _ = make(tmp_path, training=training)
    items, lengths = network.take_samples(torch.arange(3))
    assert items.shape[0] == len(lengths) == 3 and ((items > 0).sum(1) == lengths).all()
    if training == "prefix":
        network.auxiliary_loss = lambda batch: torch.tensor(7.0)
        network.calculate_next_item_loss = lambda batch: torch.tensor(3.0)
        assert [loss.item() for loss in network.calculate_loss(next(iter(loader)))] == [3, 7]
