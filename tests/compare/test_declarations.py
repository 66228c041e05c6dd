"""Declared comparisons are read; wrong ones raise errors with file, place and remedy."""

import math
import re

import pytest
import yaml

from recbole_samrec.compare.declarations import Declarations, read_declarations
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.utils.errors import ConfigError

MODELS = ["SAMRec", "SASRec", "GRU4Rec+SAM", "GRU4Rec"]


def read(folder, *tables):
    files = []
    for number, table in enumerate(tables):
        files.append(folder / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(table))
    return read_declarations(files, read_entries(MODELS, files))


def test_read_declarations__reads_pairs_metric_and_margin(tmp_path):
    assert not read(tmp_path, {}) and not read_declarations([], [])
    pairs = [["SAMRec", "SASRec"], ["GRU4Rec+SAM", "GRU4Rec"]]
    declared = read(tmp_path, {"entries": {"A": {"model": "Pop"}}}, {"primary": pairs})
    assert declared.primary == (("SAMRec", "SASRec"), ("GRU4Rec+SAM", "GRU4Rec")) and declared.metric == "ndcg@10"
    assert declared and math.isnan(declared.margin) and not declared.equivalence
    more = {"primary_metric": "HR@10", "equivalence": [["SAMRec", "GRU4Rec"]], "equivalence_margin": 2}
    assert read(tmp_path, {**more}) == Declarations((), (("SAMRec", "GRU4Rec"),), 2.0, "hr@10")


@pytest.mark.parametrize(
    "table, words",
    [
        ({"primary": "SAMRec"}, "primary: 'SAMRec' is no list of pairs; write primary: [[entry, other]]"),
        ({"primary": []}, "primary: [] is no list of pairs; write primary: [[entry, other]]"),
        ({"primary": [["SAMRec"]]}, "primary, pair 1: ['SAMRec'] is no pair of entries; write [entry, other]"),
        (
            {"primary": [["SAMRec", "SASRec"], ["GRU4Rek", "SASRec"]]},
            "primary, pair 2: GRU4Rek is not compared; did you mean GRU4Rec or GRU4Rec+SAM? Else add it to --models",
        ),
        ({"primary": [["SAMRec", "SAMRec"]]}, "primary, pair 1: SAMRec is compared with itself; name two entries"),
        (
            {"primary": [["SAMRec", "SASRec"], ["SASRec", "SAMRec"]]},
            "primary, pair 2: SAMRec and SASRec are declared twice; remove one of the pairs",
        ),
        (
            {"primary": [["SAMRec", "SASRec"]], "primary_metric": "ndgc@10"},
            "primary_metric: there is no metric ndgc@10; did you mean",
        ),
        ({"primary_metric": "mrr"}, "primary_metric without primary; add primary: [[entry, other]], or remove"),
        (
            {"equivalence": [["SAMRec", "SASRec"]]},
            "equivalence without equivalence_margin; add equivalence_margin: 2 (percent), or remove equivalence",
        ),
        (
            {"primary": [["SAMRec", "SASRec"]], "equivalence_margin": 2},
            "equivalence_margin without equivalence; add equivalence: [[entry, other]], or remove equivalence_margin",
        ),
        (
            {"equivalence": [["SAMRec", "SASRec"]], "equivalence_margin": "2 %"},
            "equivalence_margin: '2 %' is no percentage; write a number in (0, 100), such as 2",
        ),
        ({"primery": [["SAMRec", "SASRec"]]}, "a file of entries has no key primery; did you mean primary"),
    ],
)
def test_read_declarations__names_file_place_and_remedy(tmp_path, table, words):
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / '0.yaml'}: {words}")):
        read(tmp_path, table)


def test_read_declarations__wants_them_in_one_file(tmp_path):
    table = {"primary": [["SAMRec", "SASRec"]]}
    with pytest.raises(ConfigError, match=r"0.yaml and .*1.yaml both declare comparisons; do so in one of them$"):
        read(tmp_path, table, table)
