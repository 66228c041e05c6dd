"""The code on the documentation pages and the examples in docstrings run."""

import pkgutil
import shutil
from pathlib import Path

import pandas as pd
import pytest

import recbole_samrec
from recbole_samrec.compare import api
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.ray_cluster import Resources, connect_ray
from tests.helpers.code_blocks import ELSEWHERE, Block, read_blocks, read_example, run_block, uses_ray
from tests.helpers.command import succeed
from tests.helpers.jobs import ignore
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events, write_kinds

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_RAY = [page for page in PAGES if any(uses_ray(block) for block in read_blocks(page))]
ITEMS = 30
EXAMPLES_WITH_RAY = ["recbole_samrec:search"]
EXAMPLES = [
    *(f"recbole_samrec:{name}" for name in recbole_samrec.__all__ if name not in ("__version__", "measure_sharpness")),
    pytest.param("recbole_samrec:measure_sharpness", marks=pytest.mark.slow),
    "recbole_samrec.compat.training:load_data_and_model",
    "recbole_samrec.optim.row_adam:RowAdam",
]
"""Classes and functions with an example in their docstrings, as ``module:name``."""


def name(page):
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the objects that the pages refer to: data sets, tables, and a finished run."""
    folder = tmp_path_factory.mktemp("desk")
    rows = [(user.removeprefix("u"), item, time) for user, item, time in cyclic(users=45, items=ITEMS)]
    for data in ("circle", "ring", "mine"):
        write_kinds(write_events(folder / "dataset", data, rows), ITEMS)
    events = pd.DataFrame(rows, columns=["uid", "sku", "when"])
    events.to_csv(folder / "events.csv", index=False)
    events.tail(5).set_axis(["user", "item", "timestamp"], axis=1).to_csv(folder / "new.csv", index=False)
    events.set_axis(["customer", "sku", "bought"], axis=1).to_parquet(folder / "purchases.parquet")
    (folder / "users.txt").write_text("1\n2\n")
    (folder / "run_recbole.py").touch()  # the pages are read in the folder of the repository, which commands name then
    shutil.copytree(ROOT / "benchmarks" / "entries", folder / "benchmarks" / "entries")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small = ["--epochs=1", "--hidden_size=8", "--inner_size=8"]
        succeed("run", "--dataset=circle", "--run_dir=runs/SAMRec-circle-shared", *small)
    return folder


@pytest.fixture
def at_desk(desk, tmp_path, monkeypatch):
    """A copy of the desk as the working folder."""
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.syspath_prepend(str(tmp_path / "desk"))


@pytest.fixture(autouse=True)
def comparisons_in_this_process(monkeypatch):
    """Train the runs of comparisons in this process; other tests train them in processes of Ray."""

    def train_all(jobs, *more, **options):
        for job in jobs:
            if not job.finished:
                worker.train_job(job, ignore)

    monkeypatch.setattr(api, "train_all", train_all)


@pytest.fixture(scope="module")
def ray():
    """One Ray for the searches of all pages, as a notebook would keep it."""
    with connect_ray(Resources(parallel=2)) as ray:
        yield ray


def run_page(page):
    names = {"__name__": page.stem}
    for block in read_blocks(page):
        run_block(block, names)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in WITH_RAY], ids=name)
def test_page__has_code_that_runs(page, at_desk):
    run_page(page)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("page", WITH_RAY, ids=name)
def test_page__has_code_that_runs_with_ray(page, at_desk, ray):
    run_page(page)


def run_example(place):
    example = read_example(pkgutil.resolve_name(place))
    assert example.code
    run_block(example, {"__name__": "example"})


@pytest.mark.parametrize("place", [place for place in EXAMPLES if place not in EXAMPLES_WITH_RAY])
def test_docstring__has_an_example_that_runs(place, at_desk):
    run_example(place)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("place", EXAMPLES_WITH_RAY)
def test_docstring__has_an_example_that_runs_with_ray(place, at_desk, ray):
    run_example(place)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page__says_why_code_is_not_run(page):
    for block in read_blocks(page):
        if block.kind == "run by":
            file = ROOT / block.note
            assert file.is_file() and page.stem in file.read_text(), f"{block.place}: {file} does not run it"
        elif block.kind == "not run":
            assert len(block.note.split()) > 1, f"{block.place}: say why"
        for words in block.commands:
            assert words[0] in ("python", "recbole-samrec") or words[0] in ELSEWHERE or block.kind, block.place


def test_read_blocks__reads_comments_and_places(tmp_path, monkeypatch):
    page = ROOT / "docs" / "page.md"
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: "# A\n\n<!-- not run: a reason -->\n```bash\nls  # all\n```\n"
    )
    assert list(read_blocks(page)) == [Block(page, 5, "bash", "ls  # all\n", "not run", "a reason")]
    (block,) = read_blocks(page)
    assert block.commands == [["ls"]] and block.place == "docs/page.md:5"


def test_run_block__fails_where_the_code_does(at_desk):
    page = ROOT / "README.md"
    for code in ("python -m recbole_samrec run --dataset=nowhere", "make tea", "ls"):
        with pytest.raises(AssertionError, match=r"README\.md:1"):
            run_block(Block(page, 1, "bash", code), {})
    with pytest.raises(ZeroDivisionError):
        run_block(Block(page, 1, "python", "1 / 0"), {})
    names = {}
    run_block(Block(page, 1, "python", "data = 'ml-100k'"), names)
    assert names["data"] == "circle"
