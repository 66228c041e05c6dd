"""A comparison with selection, controls and equal budgets, trained on tiny data from the first run to its pages."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from recbole_samrec.compare import api
from recbole_samrec.compare.api import compare_models
from recbole_samrec.experiments import worker
from tests.helpers.jobs import SMALL, ignore
from tests.helpers.tiny import cyclic, write_events

SAM = {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec"}
ENTRIES = {
    "SASRec": {
        "model": "SAMRec",
        "fixed": {"sam_rho": 0},
        "choose": {"learning_rate": [0.003, 0.01]},
        "choose_more": {"learning_rate": [0.02, 0.03]},
    },
    "SAMRec": {**SAM, "choose": {"sam_rho": [0.01, 0.1]}},
    "random": {**SAM, "fixed": {"sam_variant": "random"}, "choose": {"sam_rho": [0.01, 0.1]}},
    "averaged": {**SAM, "fixed": {"sam_rho": 0}, "choose": {"weight_average": [None, "last 2"]}},
}
EQUAL = "SASRec (equal passes)"
PRIMARY = [["SAMRec", other] for other in ("SASRec", EQUAL, "random", "averaged")]
OPTIONS = {"seeds": [1, 2], "select": True, "select_seeds": [7, 8], "equal": "passes", "mask_history": True}


@pytest.mark.slow
def test_conclusion__of_a_comparison_with_selection(own_folder, monkeypatch):
    write_events("dataset", "tiny", cyclic(users=40, items=24, length=8))
    Path("entries.yaml").write_text(yaml.safe_dump({"entries": ENTRIES, "primary": PRIMARY}))
    trained = []

    def train_all(jobs, *more, **options):
        for job in jobs:
            if not job.finished:
                trained.append(job)
                assert "failed" not in worker.train_job(job, ignore)

    monkeypatch.setattr(api, "train_all", train_all)

    def compare():
        console = Console(file=io.StringIO(), width=200)
        found = compare_models(
            list(ENTRIES), "tiny", entries=["entries.yaml"], out="out", console=console, **OPTIONS, **SMALL
        )
        return found

    found = compare()
    assert found.complete and found.entries == ["SASRec", EQUAL, "SAMRec", "random", "averaged"]
    selecting = [job for job in trained if not job.tested]
    assert {job.seed for job in selecting} == {7, 8} and {job.seed for job in trained} == {1, 2, 7, 8}
    assert not list(Path("out/selection").rglob("ranks.npz")) and all(job.settings["mask_history"] for job in trained)
    _check_choices(json.loads(Path("out/tiny-selected-chosen.json").read_text())["entries"], found)
    pages = {name: Path(f"out/tiny-selected{name}.md").read_text() for name in ("", "-masked")}
    assert "ranked with the history masked" in pages[""] and "this page is exploratory" in pages[""]
    assert "exploratory." not in pages["-masked"].split("##")[0]
    for title in ("Chosen settings", "Equal passes", "Does SAM help?", "Primary comparisons"):
        assert (
            f"## {title}" in pages["-masked"]
            and title in Path("out/primary-selected-masked.md").read_text() + pages[""]
        )
    assert "## Does SAM help?" not in pages[""] and "tiny-selected-chosen.json" in pages["-masked"]
    reproducibility = Path("out/tiny-selected-reproducibility.md").read_text()
    assert "## Chosen settings" in reproducibility and "tiny-selected-reproducibility.md" in pages[""]
    (verdict,) = found.verdicts["sam"]
    family = found.primary.set_index("reference")
    beaten = {name: family.loc[name, "difference"] > 0 and family.loc[name, "p_holm"] < 0.05 for _, name in PRIMARY}
    assert (verdict == "helps") == all(beaten.values())
    count = len(trained)
    again = compare()  # nothing is trained again, and the same is chosen
    assert len(trained) == count and again.chosen.equals(found.chosen)


def _check_choices(stored, found):
    """Compare choices and budgets with a computation from the records alone."""

    def read(runs):
        return [json.loads(Path("out", run, "result.json").read_text()) for run in runs]

    for entry, one in stored.items():
        records = [read(each["runs"]) for each in one["candidates"]]
        assert all(record["test"] is None for of in records for record in of)
        scores = np.array([[record["valid"]["ndcg@10"] for record in of] for of in records])
        best = scores.mean(axis=1).argmax()
        behind = scores[best] - scores
        within = behind.mean(axis=1) <= behind.std(axis=1, ddof=1) / np.sqrt(2)
        chosen = int(np.flatnonzero(within)[0]) if "sam_rho" in one["settings"] else best
        assert (one["best"], one["chosen"]) == (best, chosen), entry
    runs = found.runs.set_index("entry")["folder"]
    spent = {
        name: sum(json.loads(Path(one, "result.json").read_text())["gradient_passes"] for one in runs[name])
        for name in stored
    }
    budget = stored[EQUAL]["equal_passes"]
    assert budget["passes"] == stored["SASRec"]["passes"] + stored["SAMRec"]["passes"] + spent["SAMRec"]
    assert budget["passes_of_runs"] == spent[EQUAL] and budget["searched"] == stored["SASRec"]["passes"]
    # SASRec 12 passes; SAMRec 12 + 24 and two runs of 6; the doubled one 12, further ones 6, runs of 3 or 6
    assert budget["passes"] == 12 + 24 + 12 and spent[EQUAL] in (6, 12)
    total = stored[EQUAL]["passes"] + spent[EQUAL]
    assert budget["passes"] <= total <= budget["passes"] + 12 or budget["ran_out"]
