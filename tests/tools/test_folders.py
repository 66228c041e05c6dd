"""The folders of the package, and the drawings of them and of a traced run."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.helpers.paths import ROOT
from tools import folders
from tools.draw_folders import COLORS, draw_folders
from tools.draw_run import draw_steps
from tools.trace_run import STEPS, Step, trace_run

SVG = "{http://www.w3.org/2000/svg}"


def test_layers__are_the_folders_and_have_purposes():
    packages = {path.parent.name for path in (ROOT / "recbole_samrec").glob("*/__init__.py")}
    assert set(folders.list_layers()) == packages == set(folders.read_purposes()) == set(COLORS)


def test_count_imports__points_downwards_only():
    order = {folder: number for number, folder in enumerate(folders.list_layers())}
    counts = folders.count_imports()
    assert counts["cli", "config"] > 1 and counts["integration", "compat"] >= 1
    assert [pair for pair in counts if order[pair[0]] >= order[pair[1]]] == []


def test_reduce_imports__leaves_out_what_a_chain_implies(monkeypatch):
    monkeypatch.setattr(folders, "list_layers", lambda: ["a", "b", "c", "d"])
    arrows = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("c", "d")}
    assert folders.reduce_imports(arrows) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert folders.reduce_imports({("a", "c"), ("b", "c")}) == {("a", "c"), ("b", "c")}


def test_draw_folders__draws_every_folder_and_arrow():
    drawing = ElementTree.fromstring(draw_folders())
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert [text.strip("/") for text in texts if text.endswith("/")] == folders.list_layers()
    arrows = [path for path in drawing.iter(f"{SVG}path") if path.get("marker-end")]
    assert len(arrows) == len(folders.reduce_imports(set(folders.count_imports())))
    assert float(drawing.get("width")) <= 350  # fits a phone


def test_draw_steps__puts_a_step_below_its_caller():
    steps = [Step("cli.main:main", 0, 1, "Do it."), Step("optim.sam:SAM.__init__", 1, 2, "Make <it> with care.")]
    drawing = ElementTree.fromstring(draw_steps(steps))
    assert [text.text for text in drawing.iter(f"{SVG}text")] == [
        "cli/ main", "Do it.", "optim/ SAM", "Make <it> with care.",
    ]  # fmt: skip
    assert len(list(drawing.iter(f"{SVG}rect"))) == 3  # the second step is repeated


def test_trace_run__passes_through_every_step():
    steps = trace_run()
    assert {step.place for step in steps} == set(STEPS) and steps[0] == Step("cli.main:main", 0, 1, steps[0].summary)
    calls = {step.place: step.calls for step in steps}
    assert calls["trainer.trainer:SAMTrainer._train_epoch"] == 2  # epochs
    assert calls["layers.item_loss:ItemLoss.__call__"] == 2 * calls["optim.two_pass:TwoPass.finish"]  # SAM's two passes
    assert all(step.summary for step in steps)


def test_trace_run__names_a_step_that_is_gone(monkeypatch):
    monkeypatch.setattr("tools.trace_run.STEPS", (*STEPS, "cli.main:gone"))
    with pytest.raises(RuntimeError, match=r"no longer passes through cli\.main:gone"):
        trace_run()
