"""Links, tables, keys and examples of the README and of docs/ match the code and the results."""

import json
import re
from pathlib import Path

import pytest

import recbole_samrec
from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"
AT_THE_TOP = [ROOT / name for name in ("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [ROOT / "README.md", *AT_THE_TOP, *sorted(DOCS.rglob("*.md"))]
CODE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
NO_PROSE = re.compile(r"<!--.*?-->|<picture>.*?</picture>", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links__lead_to_files(page):
    for target in re.findall(r"(?:\]\(|\bsrc(?:set)?=\")([^)\"#]+)(?:#[^)]*)?[)\"]", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_index__lists_every_page():
    home = (DOCS / "index.md").read_text()
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([\w./-]+\.md)\)", home)}
    pages = set(DOCS.rglob("*.md"))
    of_api = {page for page in pages if page.parent.name == "api"} - {DOCS / "reference" / "api" / "index.md"}
    others = {*AT_THE_TOP, ROOT / "CHANGELOG.md", ROOT / "results" / "README.md"}
    assert linked == (pages - of_api - {DOCS / "index.md"}) | others


def test_api__lists_every_public_name():
    text = " ".join(page.read_text() for page in (DOCS / "reference" / "api").glob("*.md"))
    named = set(re.findall(r"auto(?:function|class):: recbole_samrec\.(\w+)$", text, re.M))
    of_callbacks = {"Callback"} if "automodule:: recbole_samrec.trainer.callbacks" in text else set()
    assert named | of_callbacks == set(recbole_samrec.__all__) - {"__version__"}


def test_readme__has_at_most_900_words_of_prose():
    prose = NO_PROSE.sub("", CODE.sub("", (ROOT / "README.md").read_text()))
    assert len([word for line in prose.splitlines() if not line.startswith("|") for word in line.split()]) <= 900


def test_runs_page__lists_the_keys_of_a_result():
    from recbole_samrec.cli.main import main
    from tests.helpers.tiny import cyclic, write_events

    write_events("dataset", "circle", cyclic(users=30, items=30))
    assert main(["run", "--model=Pop", "--dataset=circle", "--run_dir=pop"]) == 0
    table = (DOCS / "reference" / "runs.md").read_text().split("## `result.json`")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.M)
    of_memory = {"peak_device_memory_mb", "device_memory_mb"}
    of_some_runs = {"pretraining", "retraining", "sharpness", "source_sha256"} | of_memory
    named = set(re.findall(r"`(\w+)`", " ".join(cells))) - of_some_runs
    assert named == set(json.loads(Path("pop", "result.json").read_text()))


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", DOCS / "how_to" / "sam_in_pytorch.md"], ids=lambda page: page.name
)
def test_example__of_sam_runs(page):
    code = next(code for kind, code in CODE.findall(page.read_text()) if kind == "python")
    names: dict = {}
    exec(code.split("comparison = ")[0], names)
    assert 0 < names["loss"] < 10


def test_example__of_own_data_runs(own_folder, capsys):
    from tests.helpers.tables import make_frame

    make_frame(users=12, items=25).to_csv("purchases.csv", index=False)
    names: dict = {}
    exec(
        next(code for kind, code in CODE.findall((DOCS / "how_to" / "data.md").read_text()) if kind == "python"), names
    )
    assert names["result"].record["epochs_run"] <= 20 and len(names["frame"]) > 60
    assert "score" in capsys.readouterr().out
