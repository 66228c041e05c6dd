"""Runs are grouped into entries, described, and compared with plain SASRec if it is present."""

import pytest

from recbole_samrec.sharpness.entries import (
    choose_reference,
    describe_entries,
    join_losses,
    list_differing_settings,
    list_labels,
    name_loss,
    ranking_mode,
)
from tests.helpers.sharpness_runs import make_measured


def make(label="SAMRec", seed=1, model="SAMRec", **config):
    return make_measured(label, seed, model=model, config={"model": model, "loss_type": "CE", **config})


@pytest.mark.parametrize(
    "labels, reference",
    [
        (["SAMRec", "SASRec", "SASRec (large)"], "SASRec"),
        (["SASRec (large)", "SAMRec"], "SASRec (large)"),
        (["SAMRec", "GRU4Rec", "GRU4Rec"], "GRU4Rec"),
    ],
)
def test_choose_reference__is_sasrec_or_the_last(labels, reference):
    runs = [make(label) for label in labels]
    assert choose_reference(runs) == reference and list_labels(runs) == list(dict.fromkeys(labels))


@pytest.mark.parametrize(
    "model, config, name",
    [
        ("SASRec", {}, "cross-entropy over all items"),
        ("SASRec", {"loss_type": "SSM", "n_negatives": 64}, "sampled softmax with 64 negatives"),
        ("gSASRec", {"loss_type": "gBCE", "n_negatives": 8}, "gBCE with 8 negatives"),
        ("SASRec", {"loss_type": "BPR"}, "BPR"),
        ("SASRecOriginal", {"loss_type": "BCE"}, "binary cross-entropy with one negative"),
        ("eSASRec", {"loss_type": "uSSM", "n_negatives": 8}, "uncorrected sampled softmax with 8 negatives"),
        ("CL4SRec", {}, "the loss of CL4SRec"),
        ("SASRec", {"loss_type": None}, "the loss of SASRec"),
    ],
)
def test_name_loss__of_next_items_and_of_other_losses(model, config, name):
    assert name_loss(make(model=model, **config)) == name


def test_join_losses__names_each_once():
    runs = [make(), make(seed=2), make(loss_type="BPR")]
    assert join_losses(runs) == "cross-entropy over all items; BPR"


@pytest.mark.parametrize(
    "config, mode",
    [
        ({}, "full"),
        ({"eval_args": {"mode": "uni100"}}, "uni100"),
        ({"eval_args": {"mode": {"valid": "full", "test": "pop9"}}}, "pop9"),
    ],
)
def test_ranking_mode__is_that_of_the_test(config, mode):
    assert ranking_mode(make(**config)) == mode


def test_list_differing_settings__ignores_seeds_and_missing_ones():
    runs = [make(seed=1, n_layers=1, gpu_id=0, new=1), make(seed=2, n_layers=2, gpu_id=1)]
    assert list_differing_settings(runs) == "n_layers: 1, 2"
    assert list_differing_settings(runs[:1]) == ""


def test_describe_entries__has_a_line_for_each():
    found = describe_entries([make(seed=1), make("SASRec", 1, "SASRec"), make(seed=7)])
    assert found["entry"].tolist() == ["SAMRec", "SASRec"] and found["seeds"].tolist() == ["1, 7", "1"]
    assert found["weights"].tolist() == ["1,000", "1,000"] and found["ranking"].tolist() == ["full", "full"]
