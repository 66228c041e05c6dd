"""Tables of differences on pages of the documentation are those of ``results/``."""

import pandas as pd
import pytest

from tools import evidence

PAGE = """# toy, tuned

```yaml
- origin: a guess
```

```yaml
all entries that read them: {sam_variant: sam}
SAMRec: {model: SAMRec, sam_rho: 0.3}
SASRec: {model: SAMRec, sam_rho: 0}
Averaged: {model: SAMRec, sam_rho: 0, weight_average: last 5}
Noise: {model: SAMRec, sam_rho: 0.1, sam_variant: random}
GRU4Rec: {model: GRU4Rec, sam_rho: 0}
```
"""
NUMBERS = {"difference": 0.01, "low_with_seeds": -0.01, "high_with_seeds": 0.03, "mde": 0.02, "p": 0.2}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with one page: SASRec and GRU4Rec against SAMRec, two controls also against SASRec."""
    lines = []
    for entry, base in (
        ("SAMRec", None),
        ("SASRec", None),
        ("Averaged", "SASRec"),
        ("Noise", "SASRec"),
        ("GRU4Rec", None),
    ):
        line = {"entry": entry, "seeds": 4 if entry == "Noise" else 3, "variant_of": base}
        if entry != "SAMRec":
            line |= {"reference": "SAMRec", **{f"ndcg@10_{name}": value for name, value in NUMBERS.items()}}
        if base:
            line |= {f"variant_ndcg@10_{name}": value / 2 for name, value in NUMBERS.items()}
        lines.append(line)
    pd.DataFrame(lines).to_csv(tmp_path / "toy.csv", index=False)
    (tmp_path / "toy.md").write_text(PAGE)
    pd.DataFrame({"entry": ["SAMRec"], "group": ["1-5"]}).to_csv(tmp_path / "toy-groups.csv", index=False)
    monkeypatch.setattr(evidence, "RESULTS", tmp_path)
    cached = (evidence.list_pages, evidence.read_table, evidence.read_settings)
    for function in cached:
        function.cache_clear()
    yield tmp_path
    for function in cached:
        function.cache_clear()


def test_find_difference__reads_both_directions(results):
    forth, back = (evidence.find_difference("toy", *pair) for pair in (("SASRec", "SAMRec"), ("SAMRec", "SASRec")))
    assert (forth.value, forth.low, forth.high) == (0.01, -0.01, 0.03)
    assert (back.value, back.low, back.high, back.mde, back.p) == (-0.01, -0.03, 0.01, 0.02, 0.2)
    assert evidence.find_difference("toy", "SASRec", "GRU4Rec") is None
    assert evidence.find_difference("toy", "SASRec", "BERT4Rec") is None


def test_find_difference__prefers_that_of_the_variant(results):
    found = evidence.find_difference("toy", "Noise", "SASRec")
    assert found.value == 0.005 and found.seeds == (4, 3)


def test_find_trials__sorts_by_what_is_tried(results):
    tried = {kind: [(one.entry, one.other) for one in found] for kind, found in evidence.find_trials().items()}
    assert tried == {
        "sam": [("SAMRec", "SASRec")],
        evidence.AVERAGE: [("Averaged", "SASRec")],
        "random": [("Noise", "SASRec")],
    }


def test_render_differences__shows_a_line(results):
    lines = evidence.render_differences([evidence.find_difference("toy", "Noise", "SASRec")]).splitlines()
    cells = lines[2].strip("| ").split(" | ")
    assert cells[0] == "[toy, tuned](../../results/toy.md)" and cells[2:4] == ["4, 3", "+0.0050"]
    assert cells[-2:] == ["0.0100", "0.1000"] and lines[1].count("---:") == 5


@pytest.mark.parametrize("name", ["trials", "samrec", "self_supervised", "sharpness", "robustness"])
def test_render__has_lines_from_the_results(name):
    lines = getattr(evidence, f"render_{name}")().splitlines()
    assert len(lines) > 5 and len({line.count(" | ") for line in lines}) == 1
