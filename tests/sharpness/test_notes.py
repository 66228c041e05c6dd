import numpy as np
import pytest

from recbole_samrec.sharpness.captions import NOTES
from recbole_samrec.sharpness.entries import choose_reference, describe_entries
from recbole_samrec.sharpness.notes import list_notes
from tests.helpers.sharpness_runs import make_measured


def of_seeds(label, **more):
    return [make_measured(label, seed, **more) for seed in (1, 2)]


def test_list_notes_of_comparable_runs_is_empty():
    assert list_notes([*of_seeds("SASRec"), *of_seeds("SAMRec"), *of_seeds("GRU4Rec", model="GRU4Rec")]) == []


@pytest.mark.parametrize(
    ("note", "more"),
    [
        ("losses", {"model": "CL4SRec"}),
        ("sizes", {"parameters": 4000}),
        ("sampled", {"config": {"loss_type": "CE", "training": "packed", "eval_args": {"mode": "uni100"}}}),
        ("targets", {"config": {"loss_type": "CE", "training": "prefix"}}),
    ],
)
def test_list_notes_names_what_differs(note, more):
    assert list_notes([*of_seeds("SASRec"), *of_seeds("other", **more)]) == [note] and note in NOTES


def test_list_notes_names_a_slope():
    """The rise at rho 0.1 is 0.1, of which rho times the gradient norm is 0.09."""
    runs = of_seeds("SASRec")
    runs[1].parts["sharpness"]["gradient"] = np.asarray(0.9)
    assert list_notes(runs) == ["slope"]


def test_list_notes_names_single_runs():
    assert list_notes([*of_seeds("SASRec"), make_measured("SAMRec", 1)]) == ["single"]


def test_describe_entries_has_settings_that_differ():
    def of(dropout, **more):
        return make_measured("SASRec", 1, config={"loss_type": "CE", "dropout": dropout, "seed": dropout, **more})

    assert describe_entries([of(0.2), of(0.2, new_setting=1)])["differing"].item() == ""
    runs = [of(0.2), of(0.5)]
    assert describe_entries(runs)["differing"].item() == "dropout: 0.2, 0.5" and list_notes(runs) == ["settings"]


def test_describe_entries_has_losses_and_sizes():
    found = describe_entries([*of_seeds("SASRec"), make_measured("CL4SRec", 1, model="CL4SRec", parameters=4000)])
    assert found["loss"].tolist() == ["cross-entropy over all items", "the loss of CL4SRec"]
    assert found["weights"].tolist() == ["1,000", "4,000"] and found["seeds"].tolist() == ["1, 2", "1"]


def test_choose_reference_takes_plain_sasrec():
    def reference(*labels):
        return choose_reference([make_measured(label, 1) for label in labels])

    assert reference("SASRec (SSM)", "SASRec", "SAMRec") == "SASRec"
    assert reference("SASRec without dropout", "SAMRec without dropout") == "SASRec without dropout"
    assert reference("S3Rec", "CL4SRec") == "CL4SRec"
