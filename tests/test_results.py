"""The results folder: the files under version control, and conclusions that quote its tables."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from tests.helpers.paths import ROOT

RESULTS = ROOT / "results"
NUMBER = r"([+-]\d\.\d{4})"
INTERVAL = rf"{NUMBER}(?: \(|, ){NUMBER} to {NUMBER}"
KEPT = (
    "results/records/explore/ml-100k/SAMRec-2020/result.json",
    "results/records/explore/ml-100k/SAMRec-2020/ranks.npz",
    "results/records/rho/ml-100k/new-2020/result.json",
    "results/records/search/A/search.json",
    "results/records/protocols/ml-1m/incompatible.json",
    "results/records/search/A/best.yaml",
    "results/records/search/A/trials.csv",
    "results/records/sharpness/A/measures.csv",
    "results/records/sharpness/A/runs.csv",
    "results/records/sharpness/A/report.json",
    "results/records/sharpness/A/title.txt",
    "results/records/sharpness/A/figures/noise.png",
    "results/new.md",
    "results/new.csv",
    "results/new.png",
    "results/replication/new.md",
)
IGNORED = (
    "results/records/ml-100k/SAMRec-2020/best.pth",
    "results/records/ml-100k/SAMRec-2020/job.json",
    "results/records/costs.json",
    "results/records/search/A/trials/one/result.json",
    "results/records/sharpness/A/report.html",
    "results/records/sharpness/A/noise-0.csv",
    "results/records/sharpness/A/data/a/surface.npz",
    "results/records/sharpness/A/figures/noise.pdf",
    "results/records/sharpness/A/figures/line.png",
    "results/new.tex",
    "results/new.pdf",
    "results/replication/new.tex",
)


def test_git_keeps_records_and_pages(tmp_path):
    if shutil.which("git") is None or not (ROOT / ".gitignore").exists():
        pytest.skip("no git, or no checkout")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    command = ["git", "-C", tmp_path, "check-ignore", *KEPT, *IGNORED]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split() == list(IGNORED)


def test_conclusions_quote_the_tables():
    text = (RESULTS / "README.md").read_text(encoding="utf-8").replace("\n", " ").replace("\N{MINUS SIGN}", "-")
    known = set()
    for file in RESULTS.glob("*.csv"):
        table = pd.read_csv(file)
        for name in table.filter(regex="ndcg@10_difference$"):
            stem = name.removesuffix("_difference")
            for line in table[[name, f"{stem}_low_with_seeds", f"{stem}_high_with_seeds"]].dropna().to_numpy():
                known |= {_shown(line), _shown((-line[0], -line[2], -line[1]))}
        if {"difference", "low", "high"} <= set(table):
            known |= set(map(_shown, table[["difference", "low", "high"]].dropna().to_numpy()))
    quoted = re.findall(INTERVAL, text)
    assert len(quoted) >= 20
    assert [one for one in quoted if one not in known] == []


def _shown(numbers):
    return tuple(f"{number:+.4f}" for number in numbers)


def test_index_names_every_page():
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((?!\.\.)([^):]+\.md)\)", text))
    assert linked == {file.relative_to(RESULTS).as_posix() for file in RESULTS.rglob("*.md")} - {"README.md"}
