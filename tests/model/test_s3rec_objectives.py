"""The four objectives of S3Rec's pre-training equal their formulas."""

import pytest
import torch
from torch import nn

from recbole_samrec.data.s3rec_loader import find_positions
from recbole_samrec.model.s3rec_objectives import (
    build_attribute_table,
    compute_masked_states,
    compute_objectives,
    make_pretraining_loss,
)
from tests.helpers.pretraining import OFF, stage_of, write_items_with_kinds


@pytest.fixture
def data(tmp_path):
    return write_items_with_kinds(tmp_path / "data")


@pytest.fixture
def case(data):
    """A model with large weights, and a batch of two short rows that was written by hand."""
    network = stage_of(data, **OFF)[1].double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    m = network.mask_token
    batch = {
        "items": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
        "masked": torch.tensor([[1, m, 3, 4], [m, 6, 0, 0]]),
        "negatives": torch.tensor([[0, 9, 0, 0], [8, 0, 0, 0]]),
        "context": torch.tensor([[1, 2, m, m], [5, m, 0, 0]]),
        "segment": torch.tensor([[m, m, 3, 4], [m, 6, 0, 0]]),
        "other": torch.tensor([[m, m, 5, 6], [m, 3, 0, 0]]),
        "lengths": torch.tensor([4, 2]),
        "usable": torch.tensor([True, True]),
    }
    return network, batch | find_positions(batch, m)


def test_compute_objectives__are_their_formulas_term_by_term(case):
    network, batch = case
    names = attributes_by_item(network)
    sums = dict.fromkeys(("aap", "mip", "map", "sp"), 0.0)

    def state(row, length, place):
        return network.forward(row[None, :length], bidirectional=True)[0, place]

    def f(norm, x, y):
        return torch.sigmoid(norm(x) @ y)

    def log_sigmoid(x):
        return torch.log(1 / (1 + torch.exp(-x)))

    for row, (items, masked) in enumerate(zip(batch["items"], batch["masked"], strict=True)):
        length = int(batch["lengths"][row])
        for place in range(length):
            x, item, is_masked = state(masked, length, place), int(items[place]), masked[place] == network.mask_token
            norm = network.map_norm if is_masked else network.aap_norm
            for a, vector in enumerate(network.feature_embedding.weight):
                p = f(norm, x, vector)
                sums["map" if is_masked else "aap"] -= torch.log(p if a in names[item] else 1 - p)
            if is_masked:
                right, wrong = (network.item_embedding.weight[i] for i in (item, int(batch["negatives"][row, place])))
                sums["mip"] -= log_sigmoid(f(network.mip_norm, x, right) - f(network.mip_norm, x, wrong))
        context, mine, theirs = (state(batch[k][row], length, length - 1) for k in ("context", "segment", "other"))
        sums["sp"] -= log_sigmoid(f(network.sp_norm, context, mine) - f(network.sp_norm, context, theirs))
    parts = compute_objectives(network, batch, build_attribute_table(network))
    for part, name in zip(parts, sums, strict=True):
        torch.testing.assert_close(part, sums[name])
    expected = (0.2 * sums["aap"] + sums["mip"] + sums["map"] + 0.5 * sums["sp"]) / 2
    torch.testing.assert_close(make_pretraining_loss(network)(batch), expected)


def attributes_by_item(network):
    """Attributes from 0 of each item, read from the data cell by cell."""
    return [{int(a) - 1 for a in row if a > 0} for row in network.item_feat["kind"]]


def test_build_attribute_table__skips_items_without_attribute(case):
    network, _ = case
    table = build_attribute_table(network)
    assert table.shape == (network.n_items - 1, network.n_features) and not table[0].any()
    assert [set(row.nonzero().flatten().tolist()) for row in table] == attributes_by_item(network)
    assert (table.sum(1) == 0).sum() == 2  # the padding item and i19


def test_build_attribute_table__of_one_token_each(case):
    network, _ = case
    network.item_feat["kind"] = torch.tensor([0, *range(1, network.n_features + 1)])
    assert torch.equal(build_attribute_table(network)[1:], torch.eye(network.n_features, dtype=torch.uint8))


def test_compute_masked_states__are_recboles_from_position_0(case):
    """The state at an item does not depend on the padding after it."""
    network, batch = case
    rows = batch["masked"]
    where = rows.flatten().nonzero().squeeze(1)
    whole = network.forward(torch.nn.functional.pad(rows, (0, 3)), bidirectional=True)[:, :4].reshape(8, -1)
    torch.testing.assert_close(compute_masked_states(network, rows, where), whole[where])
    first = torch.tensor([0])
    embedded = network.item_embedding.weight[5] + network.position_embedding.weight[0]  # as packed fine-tuning does
    alone = network.trm_encoder.layer[0](network.LayerNorm(embedded)[None, None], torch.zeros(1, 1, 1, 1))
    torch.testing.assert_close(compute_masked_states(network, torch.tensor([[5]]), first), alone[0])
