"""Trace a tiny run, to find the parts of the package that a run uses: ``python -m tools.trace_run`` prints it.

A run of two epochs on generated data is trained and tested in a temporary folder, and the calls of :data:`STEPS` are
recorded. A step that is renamed or no longer called is an error, so the drawing made of this cannot go stale.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import recbole_samrec

STEPS = (
    "cli.main:main",
    "quick_start.planned_run:plan_run",
    "config.build:configure",
    "config.build:check_data",
    "quick_start.train:train",
    "quick_start.context:prepare_run",
    "data.packed_loader:PackedLoader.__init__",
    "quick_start.build_trainer:build_trainer",
    "optim.hook:SAMHook.attach",
    "trainer.trainer:SAMTrainer._train_epoch",
    "model.packed_forward:compute_packed_states",
    "layers.item_loss:ItemLoss.__call__",
    "optim.two_pass:TwoPass.finish",
    "trainer.trainer:SAMTrainer._valid_epoch",
    "evaluator.full_ranking:RankingCollector.eval_batch_collect",
    "trainer.resume:Resumable._save_checkpoint",
    "utils.checkpoint_io:save",
    "trainer.trainer:SAMTrainer.evaluate",
    "evaluator.test_ranks:RankRecorder.record",
    "quick_start.train:make_record",
    "quick_start.writers:RecordWriter.on_run_end",
)
"""The steps that are shown: module, and function or method."""
SMALL = ["--epochs=2", "--hidden_size=8", "--inner_size=8", "--train_batch_size=64", "--run_dir=run", "--state=ERROR"]
PACKAGE = f"{Path(recbole_samrec.__file__).parent}{os.sep}"


@dataclass
class Step:
    """A step of a run.

    Args:
        place: Module and function, as in :data:`STEPS`.
        depth: Number of the shown steps in which it is called.
        calls: Number of calls.
        summary: First line of its docstring, without markup; of its class's if the step makes one.
    """

    place: str
    depth: int
    calls: int
    summary: str

    @property
    def folder(self) -> str:
        """Folder of the package."""
        return self.place.partition(".")[0]


class Trace:
    """Records the calls of the steps; pass :meth:`watch` to ``sys.setprofile``."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._inside: list[str] = []

    def watch(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a call of a function, or its end."""
        file = frame.f_code.co_filename
        if event not in ("call", "return") or not file.startswith(PACKAGE):
            return
        place = f"{file[len(PACKAGE) : -3].replace(os.sep, '.')}:{frame.f_code.co_qualname}"
        if place not in STEPS:
            return
        if event == "return":
            self._inside.pop()
            return
        if place not in self.steps:
            self.steps[place] = Step(place, len(self._inside), 0, _summarize(place))
        self.steps[place].calls += 1
        self._inside.append(place)


def _summarize(place: str) -> str:
    module, _, name = place.partition(":")
    found: Any = import_module(f"recbole_samrec.{module}")
    for part in name.removesuffix(".__init__").split("."):
        found = getattr(found, part)
    return re.sub(r":\w+:|[`~]", "", (found.__doc__ or "").strip().partition("\n")[0])


def trace_run() -> list[Step]:
    """Train and test SAMRec on a tiny data set, and return the steps in the order of their first calls.

    Raises:
        RuntimeError: The run failed, or a step was not called.
    """
    from recbole_samrec.cli.main import main
    from tests.helpers.tiny import cyclic, write_events

    trace, said, before = Trace(), io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        os.chdir(folder)
        write_events("dataset", "circle", cyclic(users=30, items=30))
        sys.setprofile(trace.watch)
        try:
            status = main(["run", "--model=SAMRec", "--dataset=circle", *SMALL])
        finally:
            sys.setprofile(None)
            os.chdir(before)
    if status:
        raise RuntimeError(f"the traced run failed: {said.getvalue()}")
    if missing := [place for place in STEPS if place not in trace.steps]:
        raise RuntimeError(f"a run no longer passes through {', '.join(missing)}: correct STEPS of {__file__}")
    return list(trace.steps.values())


if __name__ == "__main__":
    print(json.dumps([asdict(step) for step in trace_run()]))
