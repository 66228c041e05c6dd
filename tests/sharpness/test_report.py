import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from recbole_samrec.sharpness.measure import FULL, QUICK
from recbole_samrec.sharpness.report import SharpnessReport, describe_report, list_report_facts, write_files
from tests.helpers.sharpness_runs import NO_WAYS, make_measured

DATA = {"dataset": "tiny", "data": {"users": 9, "items": 8, "interactions": 99, "sha256": "0" * 64}}


def make_run(label, seed=1, sharp=1.0):
    return make_measured(label, seed, sharp, **DATA)


@pytest.mark.slow
def test_write_files_names_no_place(tmp_path, monkeypatch):
    work, other = tmp_path / "work", tmp_path / "checkout"
    (other / ".git").mkdir(parents=True)
    work.mkdir()
    monkeypatch.chdir(work)
    words = [
        "--quick",
        f"{work}/runs/a",
        "no dropout=../checkout/results/b",
        f"--out={other}/results/c",
        "/elsewhere/d",
    ]
    runs = [make_run("SAMRec", sharp=0.5), make_run("SASRec")]
    report = write_files(runs, NO_WAYS, replace(QUICK, targets=64), Path(), command=["sharpness", *words], seconds=3.21)
    text = Path("report.json").read_text(encoding="utf-8")
    about = json.loads(text)
    assert str(tmp_path) not in text and "/elsewhere" not in text
    expected = ["sharpness", "--quick", "runs/a", "no dropout=results/b", "--out=results/c", "d"]
    assert shlex.split(about["command"]) == expected
    assert (about["budget"], about["seconds"], about["reference"]) == ("quick, 64 targets", 3.2, "SASRec")
    assert set(about["figures"]) == {file.stem for file in Path("figures").glob("*.png")}
    assert report.page.exists() and len(report.runs) == 2 and set(report.comparisons["entry"]) == {"SAMRec"}


def test_describe_report_names_budgets():
    assert describe_report([make_run("SASRec")], FULL, [], [], 1)["budget"] == "full"
    assert describe_report([make_run("SASRec")], replace(FULL, draws=1), [], [], 1)["budget"] == "other"


def test_list_facts_has_the_devices_that_computed_it():
    runs = [replace(make_run("SASRec", seed), device=device) for seed, device in enumerate("aba")]
    facts = list_report_facts(runs, ["a b"], 75.2)
    assert (facts["device"], facts["time"], facts["command"]) == ("a; b", "0:01:15", "'a b'")
    assert (facts["training targets"], facts["training targets of the gradient"]) == ("64 of 640", "320 of 640")


@pytest.mark.slow
@pytest.mark.parametrize("labels", [("SAMRec", "SASRec"), ("SASRec",)])
def test_sharpness_report_repr_has_the_measures(tmp_path, labels):
    report = write_files([make_run(label) for label in labels], NO_WAYS, QUICK, tmp_path)
    assert isinstance(report, SharpnessReport) and str(report.page) in repr(report)
    assert all(name in repr(report) for name in (*labels, "top eigenvalue", "trace"))
