"""Comparisons are prepared, and entries that cannot be compared are reported."""

from pathlib import Path

import pytest
import yaml

from recbole_samrec.compare.prepare import prepare_comparison
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.searches import BEST, write_search
from tests.helpers.tiny import random_events, write_events


def test_prepare_comparison__warns_of_mixed_predictions(own_folder):
    write_events("dataset", "tiny", random_events(users=10))
    ratio = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}
    for models, settings, warned in (
        (["SASRec", "Pop"], {"eval_args": ratio}, True),
        (["SASRec", "GRU4Rec"], {"eval_args": ratio}, False),
        (["SASRec", "Pop"], {}, False),
    ):
        notes = []
        entries = {"seeds": 1, "fractions": [1.0], "out": Path("out"), "settings": settings}
        prepare_comparison(models, ["tiny"], note=notes.append, **entries).plan()
        line = "tiny: SASRec predicts a user's test events one by one and Pop at once; there will be no table of both"
        assert any(note.startswith(line) for note in notes) is warned


@pytest.mark.parametrize("fractions, named", [([], ""), ([0.0, 1.0], "0,1"), ([1.5], "1.5"), ([0.5, 0.5], "0.5,0.5")])
def test_prepare_comparison__refuses_wrong_shares(fractions, named):
    words = f"^--train_fraction={named}: give different numbers above 0 and at most 1$"
    with pytest.raises(ConfigError, match=words):
        prepare_comparison(["Pop"], ["tiny"], seeds=1, fractions=fractions, out=Path("out"), settings={})


def test_preparation__takes_what_another_entry_searched(own_folder):
    """Its settings without SAM are not among what SASRec's search found for the entry with SAM."""
    write_events("dataset", "tiny", random_events(users=10))
    write_search("runs/tune", "SASRec", "tiny", settings={"sam_rho": 0, "n_layers": 1})
    tuned = {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec"}
    Path("mine.yaml").write_text(yaml.safe_dump({"entries": {"SAM": tuned, "no layers": {"model": "SAMRec"}}}))
    options = {"seeds": 1, "fractions": [1.0], "out": Path("out"), "entry_files": ["mine.yaml"], "tuned": "runs/tune"}
    preparation = prepare_comparison(["SAM", "SASRec", "no layers"], ["tiny"], **options)
    assert preparation.found["tiny"]["SAM"] == BEST and preparation.found["tiny"]["no layers"] == {}
    assert preparation.found["tiny"]["SASRec"] == {**BEST, "sam_rho": 0, "n_layers": 1}
    settings = {job.entry: job.settings for job in preparation.plan().jobs}
    assert settings["SAM"]["sam_rho"] == 0.3 and settings["SAM"]["learning_rate"] == 0.002
    assert settings["no layers"]["learning_rate"] == 0.001 and settings["SASRec"]["sam_rho"] == 0
