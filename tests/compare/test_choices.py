"""Candidates that entries declare, and the choices among them."""

import math
import re

import pytest
import yaml

from recbole_samrec.compare.choices import Candidate, Choice, Choices, check_choices
from recbole_samrec.experiments.entries import Entry, read_entries
from recbole_samrec.utils.errors import ConfigError

ENTRIES = {
    "SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0}, "choose": {"learning_rate": [0.1, 0.2]}},
    "SAM": {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec", "choose": {"sam_rho": [0, 0.1]}},
    "again": {"model": "SAMRec", "variant_of": "SASRec", "choose": {"sam_rho": [0, 0.1]}},
}


def choose(name, *candidates):
    return Choice(name, (1, 2), "ndcg@10", False, (), None).extend(Entry(name, "SAMRec"), candidates)


def test_choices__put_own_settings_above_those_of_another_entry():
    plain, sam = Entry("A", "SAMRec"), Entry("B", "SAMRec", tuned_as="A")
    choices = Choices(frozenset("AB"))
    choices.add("tiny", "A", "2 of 3 candidates are not trained")
    assert choices.lacks("tiny", "A") and choices.waiting == {"tiny": {"A": "2 of 3 candidates are not trained"}}
    choices.add("tiny", "A", choose("A", Candidate({"lr": 1, "dropout": 2}, (0.1, 0.2), 3.0)))
    choices.add("tiny", "B", choose("B", Candidate({"lr": 5}, (0.1, 0.2), 3.0), Candidate({"lr": 6}, (0.1, 0.1), 4.0)))
    assert not choices.lacks("tiny", "A") and choices.waiting == {"tiny": {}} and not choices.lacks("tiny", "")
    assert choices.settings("tiny", plain) == {"lr": 1, "dropout": 2} and choices.made["tiny"]["B"].passes == 7
    assert choices.settings("tiny", sam) == {"lr": 5, "dropout": 2} and choices.settings("other", sam) == {}
    choices.add("tiny", "A", choose("A", Candidate({}, (0.1, math.nan), 3.0, (), ("seed 2: the loss is nan",))))
    words = "no candidate has a validation score of each seed; seed 2: the loss is nan"
    assert choices.waiting["tiny"] == {"A": words} and choices.lacks("tiny", "A")


@pytest.mark.parametrize("metric, best", [("ndcg@10", 0.9), ("giniindex@10", 0.1), ("rmse", 0.1)])
def test_choice__knows_where_lower_is_better(metric, best):
    candidates = [Candidate({"lr": score}, (score, score), 1.0) for score in (0.5, 0.9, 0.1)]
    choice = Choice("A", (1, 2), metric, False, (), None).extend(Entry("A", "SAMRec"), candidates)
    assert choice.chosen.settings == {"lr": best} and choice.decision.means == pytest.approx([0.5, 0.9, 0.1])


@pytest.mark.parametrize(
    "names, given, select, words",
    [
        (["SAM", "SASRec"], {}, False, "choose of SAM: it requires --select; add --select, or remove"),
        (["GRU4Rec"], {}, True, "--select: no entry declares candidates; add choose: {sam_rho: [0, 0.1, 0.3]} to an"),
        (["again"], {"sam_rho": 0.1}, True, "choose of again: sam_rho is also given as 0.1; remove one of them"),
        (["wrong"], {}, True, "choose of wrong: unknown setting learning_rat; did you mean learning_rate or"),
        (["high"], {}, True, "choose of high: sam_rho=-1: must be"),
        (["wide"], {}, True, "choose of wide: sam_rho=-2.0: must be"),
    ],
)
def test_check_choices__names_the_remedy(tmp_path, names, given, select, words):
    more = {"wrong": {"model": "SAMRec", "choose": {"learning_rat": [1]}}}
    more |= {"high": {"model": "SAMRec", "choose": {"sam_rho": [-1]}}}
    wide = {"choose": {"sam_rho": [0]}, "choose_more": {"sam_rho": {"uniform": [-2, 1]}}}
    more |= {"wide": {"model": "SAMRec", **wide}}
    file = tmp_path / "entries.yaml"
    file.write_text(yaml.safe_dump({"entries": ENTRIES | more}))
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}"):
        check_choices(read_entries(names, [file]), given, select)
