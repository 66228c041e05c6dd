"""Writes ``docs/models.csv``: the features that each model supports, and the reasons where it does not.

python -m tools.write_models                       # try every model; some minutes
python -m tools.write_models --models=SASRec,BPR   # try these, and keep the other lines

Everything is tried: each model is trained on a tiny data set that has what any model may read, in a process of its own.
A reason is the message with which the attempt ended, without its remedy. An unexpected error is a defect of the
package: it is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.utils import ModelType, get_model
from rich.console import Console

from recbole_samrec.cli.model_table import COLUMNS, FEATURES, YES, read_models
from recbole_samrec.config.keys import list_known_keys
from recbole_samrec.integration.registry import model_names
from recbole_samrec.quick_start.api import RunResult, evaluate, run
from recbole_samrec.quick_start.export import export_vectors
from recbole_samrec.quick_start.recommend import Recommender
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import UserError, flatten_message
from recbole_samrec.utils.paths import MODEL_TABLE
from tests.helpers.every_model import settings_of, write_everything

UNEXPECTED = "unexpected "
"""Begin of a cell that is no answer: the package has a defect."""
MISSING = "requires the package "
"""Begin of the only reason why a model may not be trained at all."""
LONGEST = 180
"""Seconds that the attempts with one model may take."""
FEW = {
    "epochs": 1,
    "pretrain_epochs": 1,
    "train_batch_size": 64,
    "save_step": 1,
    "state": "ERROR",
}
RANKING = {"metrics": ["Hit", "NDCG"], "valid_metric": "NDCG@10"}
TEMPORAL = {"quantile": 0.9, "target": "last"}
QUIET = Console(quiet=True)


class Trials:
    """Attempts to use one model; each returns, or raises the reason why the model does not support it.

    Args:
        model: Name of the model.
        data: Folder of the data set ``toy``.
        folder: Empty folder for the runs.
    """

    def __init__(self, model: str, data: Path, folder: Path) -> None:
        self.model, self.data, self.folder = model, data, folder

    def _run(self, name: str, **settings: Any) -> RunResult:
        known, base = list_known_keys(self.model, "toy"), {**FEW, **settings_of(self.model)}
        base = {key: value for key, value in base.items() if key in known} | {"data_path": str(self.data)}
        return run(self.model, "toy", run_dir=self.folder / name, console=QUIET, **{**base, **settings})

    @cached_property
    def plain(self) -> RunResult:
        """A finished run with default settings."""
        return self._run("plain")

    @cached_property
    def ranked(self) -> RunResult:
        """A run that was scored by rankings, which are requested if the model's default is to predict values."""
        by_time = {"order": "TO"} if find_kind(self.model) == "sequential" else {}
        ranking = {**RANKING, "eval_args": {"mode": "full", **by_time}}
        return self._run("ranked", **ranking) if self._predicts_values else self.plain

    @property
    def _predicts_values(self) -> bool:
        return "full" not in self.plain.record["config"]["eval_args"]["mode"].values()

    def packed(self) -> None:
        """Train on whole sequences."""
        self._run("packed", training="packed")

    def sam(self) -> None:
        """Train with SAM, which gives other weights than training without it."""
        with_sam = self._run("sam", sam_rho=0.5)
        _require(not _are_equal(_weights(with_sam), _weights(self._run("no_sam", sam_rho=0))), "SAM changed nothing")

    def resume(self) -> None:
        """Resume a run after its first epoch, which gives the weights of an uninterrupted run."""
        whole = self._run("whole", epochs=2)
        shutil.copytree(self.plain.folder, self.folder / "resumed")
        resumed = run(resume=self.folder / "resumed", epochs=2, console=QUIET)
        _require(_are_equal(_weights(whole), _weights(resumed)), "the resumed run has other weights")

    def masks(self) -> None:
        """Rank with the history masked."""
        metrics = evaluate(self.ranked.folder, mask_history=True, console=QUIET).metrics
        _require(bool(np.isfinite(metrics.loc["test"]).all(axis=None)), "there are no masked metrics")

    def gts(self) -> None:
        """Train and test under a global temporal split, dropping users without training events if required."""
        settings = RANKING if self._predicts_values else {}
        try:
            self._run("gts", eval_args={"split": {"GTS": TEMPORAL}}, **settings)
        except UserError as error:
            if "unseen_users: drop" not in str(error):
                raise
            self._run("gts_drop", eval_args={"split": {"GTS": {**TEMPORAL, "unseen_users": "drop"}}}, **settings)

    def recommend(self) -> None:
        """Recommend to all users."""
        found = Recommender(self.plain.folder, console=QUIET).recommend("all", k=3)
        _require(len(found) == 3 * 24 and bool(np.isfinite(found["score"]).all()), "recommendations are missing")

    def export(self) -> None:
        """Export vectors."""
        export_vectors(self.plain.folder, self.folder / "export", console=QUIET)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _weights(result: RunResult) -> dict[str, Any]:
    """Return the last state of a run's model; models without weights have it in their attributes."""
    state = checkpoint_io.load(result.folder / "last.pth")
    return {**state["state_dict"], **state["attributes"]}


def _are_equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, torch.Tensor):
            return torch.equal(a.to_dense(), b.to_dense())
        return bool(np.array_equal(a, b))

    return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)


def try_model(model: str, data: Path) -> dict[str, str]:
    """Try everything with one model.

    Args:
        model: Name of the model.
        data: Folder of the data set ``toy``.

    Returns:
        A line of the table.
    """
    cells = {"model": model, "kind": "?"}
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(model, data, Path(folder))
        cells["kind"] = _attempt(lambda: find_kind(model), model)
        trained = _attempt(lambda: trials.plain and None, model)
        if trained != YES:
            expected = trained.startswith((MISSING, UNEXPECTED))
            return cells | dict.fromkeys(FEATURES, trained if expected else f"{UNEXPECTED}refusal: {trained}")
        for feature in FEATURES:
            cells[feature] = _attempt(getattr(trials, feature), model)
    return cells


def find_kind(model: str) -> str:
    """Return the kind of a model: general, sequential, context, knowledge or tree."""
    kind = get_model(model).type
    return {ModelType.DECISIONTREE: "tree", ModelType.TRADITIONAL: "general"}.get(kind, kind.name.lower())


def _attempt(attempt: Callable[[], Any], model: str) -> str:
    """Return the result of an attempt, ``yes``, or the reason why it failed."""
    try:
        return attempt() or YES  # a trial returns nothing
    except UserError as error:
        return shorten(flatten_message(error), model)
    except Exception as error:
        traceback.print_exc()
        return f"{UNEXPECTED}{type(error).__name__}: {flatten_message(error)}"


def shorten(message: str, model: str) -> str:
    """Return the reason in a message, without the setting before it and the remedy after it."""
    message = re.sub(r"^--resume=\S+: ", "", message)
    reason = re.sub(rf"^.*?\b{model}\b[^:;(]*: ", "", message).removeprefix("export: ")
    reason = reason.partition("; ")[0].partition(" (known: ")[0]
    return re.sub(rf"^{model}\b", "it", reason.replace(f"the scores of {model}", "its scores"))


def try_apart(model: str, data: Path) -> dict[str, str]:
    """Try everything with one model in a separate process, which may die or hang; see :func:`try_model`."""
    context = multiprocessing.get_context("fork")  # imports once
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=lambda: send.send(try_model(model, data)))
    process.start()
    send.close()
    try:
        if receive.poll(LONGEST):
            return receive.recv()
        reason = f"{UNEXPECTED}end: not done after {LONGEST} seconds"
    except EOFError:
        process.join()
        reason = f"{UNEXPECTED}end: the process died with status {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return {"model": model} | dict.fromkeys(COLUMNS[1:], reason)


def write_table(lines: Sequence[dict[str, str]], path: Path = MODEL_TABLE) -> None:
    """Write the table, sorted by model."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(lines, key=lambda line: line["model"].lower()))


def main(argv: Sequence[str] | None = None) -> int:
    """Try the models and write the table, a line at a time.

    Returns:
        1 if an attempt ended unexpectedly, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", help="names with commas (default: all)")
    parser.add_argument("--out", type=Path, default=MODEL_TABLE, help="file to write (default: docs/models.csv)")
    arguments = parser.parse_args(argv)
    known = model_names()
    wanted = arguments.models.split(",") if arguments.models else known
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"--models: there is no {', '.join(unknown)}")
    table = {line["model"]: line for line in (read_models(arguments.out) if arguments.out.exists() else [])}
    table = {name: line for name, line in table.items() if name in known}
    with tempfile.TemporaryDirectory() as folder:
        write_everything(Path(folder))
        try_model("BPR", Path(folder))  # imports everything, once for all processes that are forked
        for model in wanted:
            table[model] = try_apart(model, Path(folder))
            write_table(list(table.values()), arguments.out)
            print(model, *(table[model][column] for column in COLUMNS[1:]), sep=" | ", flush=True)
    return int(any(cell.startswith(UNEXPECTED) for name in wanted for cell in table[name].values()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    sys.exit(main())
