"""Record the results of six short trainings of a checkout, and compare two such records bit for bit.

A change that moves or renames code leaves every result as it was. To see that it does, record a checkout from before
and one from after the change, and compare the two::

    python -m tools.reference_runs CHECKOUT OUT
    python -m tools.reference_runs --compare OUT_A OUT_B

The trainings are started by the command line alone and read from the files that the README promises, so that nothing
here depends on how the package is built inside. One of them is killed and resumed, and must end like an undisturbed
one. They need neither a network nor a GPU.

The records of a known state lie in ``tests/reference``. When a result is meant to change, write them again by
``python -m tools.reference_runs . tests/reference``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

DATASET, USERS, ITEMS, CLASSES = "walks", 90, 48, 6
KILLED = "CL4SRec"
"""The training that is killed and resumed."""

COMMON = {"seed": 2020, "epochs": 4, "learning_rate": 0.01, "train_batch_size": 64, "eval_batch_size": 64}
SEQUENTIAL = {**COMMON, "MAX_ITEM_LIST_LENGTH": 8, "hidden_size": 8}
TRANSFORMER = {**SEQUENTIAL, "inner_size": 16, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2}
GENERAL = {**COMMON, "embedding_size": 8}
RUNS = {
    "SAMRec": {**TRANSFORMER, "training": "packed", "sam_rho": 0.1},
    "S3Rec": {**TRANSFORMER, "train_stage": "both", "pretrain_epochs": 3, "pretrain_batch_size": 32},
    "GRU4Rec": {**SEQUENTIAL, **GENERAL, "training": "prefix", "sam_rho": 0.05, "sam_variant": "looksam"},
    "LightGCN": {**GENERAL, "sam_rho": 0.05},
    "BPR": {**GENERAL, "sam_rho": 0, "epochs": 8, "learning_rate": 0.2, "stopping_step": 1},  # stops early
    KILLED: {**TRANSFORMER, "training": "packed", "cl_weight": 0.1},
}
"""The settings of each training, which is named by its model."""

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "",
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    # Use the same instructions on every x86 processor, so that rounding hardly differs.
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
}

MOVED = 0.03
"""If only rounding differs: share of the ranks that may move, and how far a mean over users may move with them."""
WITHOUT_INFLUENCE = "key.bias"
"""If only rounding differs: end of the names of weights that may differ.

What is added to all keys alike cancels in the softmax of attention. The gradient of this bias is therefore nothing but
rounding, which Adam scales up to steps of ordinary size.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference_runs", description=__doc__.partition("\n")[0])
    parser.add_argument("first", type=Path, metavar="CHECKOUT", help="checkout to run; with --compare the old records")
    parser.add_argument("second", type=Path, metavar="OUT", help="folder for the records; with --compare the new ones")
    parser.add_argument("--compare", action="store_true", help="compare the records in two folders")
    parser.add_argument("--tolerance", type=float, help="let weights differ by so much, relatively and absolutely")
    options = parser.parse_args(arguments)
    if not options.compare:
        record_all(options.first.resolve(), options.second)
        return 0
    return 1 if compare_all(options.first, options.second, options.tolerance) else 0


# records ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """The results of a training.

    Args:
        best_epoch: Epoch with the best validation, counted from 0.
        metrics: Unrounded metrics, such as ``test ndcg@10``.
        weights: Tensors of the checkpoints, such as ``best item_embedding.weight``.
        ranks: Arrays of ``ranks.npz``.
    """

    best_epoch: int
    metrics: dict[str, float]
    weights: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]

    @classmethod
    def read_run(cls, folder: Path) -> Record:
        """Collect from the folder of a finished run."""
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        files = {"best": folder / "best.pth", "last": folder / "last.pth"}
        files |= dict(zip(["pretrained"], folder.parent.glob("pretrained/*.pth"), strict=False))
        return cls(
            result["best_epoch"],
            {f"{part} {name}": value for part in ("valid", "test") for name, value in result[part].items()},
            {f"{part} {name}": values for part, file in files.items() for name, values in read_weights(file).items()},
            read_arrays(folder / "ranks.npz"),
        )

    @classmethod
    def load(cls, folder: Path, name: str) -> Record:
        """Read what :meth:`save` wrote."""
        figures = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "ranks": {}}
        for key, values in read_arrays(folder / f"{name}.npz").items():
            group, _, inner = key.partition(" ")
            groups[group][inner] = values
        return cls(**figures, **groups)

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.json`` and ``<name>.npz``."""
        groups = {"weights": self.weights, "ranks": self.ranks}
        arrays = {f"{group} {key}": values for group, named in groups.items() for key, values in named.items()}
        figures = {"best_epoch": self.best_epoch, "metrics": self.metrics}
        (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        np.savez_compressed(folder / f"{name}.npz", **arrays)


def read_weights(file: Path) -> dict[str, np.ndarray]:
    """Read the state_dict of a checkpoint without running any code from it."""
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    return {name: tensor.numpy() for name, tensor in state.items()}


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an ``.npz`` file."""
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


# trainings ----------------------------------------------------------------------------------------------------------


def record_all(checkout: Path, out: Path) -> None:
    """Run all trainings in a checkout, and write a record of each to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Workplace(checkout, Path(folder))
        for name in RUNS:
            begun = time.perf_counter()
            record = work.train_and_resume(name) if name == KILLED else work.train(name)
            record.save(out, name)
            print(f"{name}: {describe_size(record)} recorded in {time.perf_counter() - begun:.0f} s", flush=True)


class Workplace:
    """Train with the code of a checkout on generated data.

    Args:
        checkout: The checkout.
        folder: An empty folder.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._checkout, self._folder = checkout, folder
        self._environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(checkout)}
        self._require_its_code()
        write_data(folder / "data" / DATASET)

    def _require_its_code(self) -> None:
        """Exit if Python would import the package from elsewhere, such as from an installation."""
        code = "from importlib.util import find_spec; print(find_spec('recbole_samrec').origin)"
        command = [sys.executable, "-c", code]
        found = subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, text=True)
        if not Path(found.stdout.strip()).resolve().is_relative_to(self._checkout) or found.returncode:
            sys.exit(f"{self._checkout}: the package would be imported from {found.stdout.strip() or 'nowhere'}")

    def train(self, name: str) -> Record:
        """Run a training to its end."""
        run = self._folder / name / "run"
        self._finish(name, self._new(name, run))
        return Record.read_run(run)

    def train_and_resume(self, name: str) -> Record:
        """Run a training twice, once killed and resumed, and require identical results."""
        whole, run = self.train(name), self._folder / f"{name}-killed" / "run"
        self._kill(name, self._new(name, run), run / "last.pth")
        self._finish(name, [f"--resume={run}"])
        resumed = Record.read_run(run)
        if found := list(find_differences(whole, resumed)):
            sys.exit("\n".join([f"{name}: the resumed training differs from the undisturbed one", *found]))
        return resumed

    def _new(self, name: str, run: Path) -> list[str]:
        """Name the arguments of a new training."""
        named = {"model": name, "dataset": DATASET, "data_path": self._folder / "data", "run_dir": run}
        return [f"--{key}={value}" for key, value in (named | RUNS[name]).items()]

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen:
        """Start a process that trains and writes its output to a file."""
        command = [sys.executable, str(self._checkout / "run_recbole.py"), *arguments]
        with open(self._folder / f"{name}.log", "w", encoding="utf-8") as log:
            return subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _finish(self, name: str, arguments: Sequence[str]) -> None:
        """Train until the end."""
        self._require(name, self._start(name, arguments).wait(), 0)

    def _kill(self, name: str, arguments: Sequence[str], checkpoint: Path) -> None:
        """Train until the first checkpoint is written, then kill the process."""
        process = self._start(name, arguments)
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.001)
        process.kill()
        self._require(name, process.wait(), -signal.SIGKILL)

    def _require(self, name: str, status: int, wanted: int) -> None:
        """Exit with the output of a process unless it ended as expected."""
        if status != wanted:
            output = (self._folder / f"{name}.log").read_text(encoding="utf-8")
            sys.exit(f"{name}: ended with status {status} instead of {wanted}\n{output}")


def write_data(folder: Path) -> None:
    """Write a data set of users who walk around a circle of items, each with a fixed step and occasional jumps."""
    draw = random.Random(0)
    events = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(USERS):
        item, step = draw.randrange(ITEMS), draw.choice((1, 2))
        for number in range(draw.randint(6, 14)):
            item = draw.randrange(ITEMS) if draw.random() < 0.1 else (item + step) % ITEMS
            events.append(f"u{user}\ti{item}\t{1_000_000_000 + 50 * number + user}")
    classes = ["item_id:token\tclass:token_seq"]
    classes += [f"i{item}\tc{item % CLASSES} c{item // 10 % CLASSES}" for item in range(ITEMS)]
    folder.mkdir(parents=True)
    for suffix, lines in (("inter", events), ("item", classes)):
        (folder / f"{folder.name}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")


# comparison ---------------------------------------------------------------------------------------------------------


def compare_all(old: Path, new: Path, tolerance: float | None = None) -> list[str]:
    """Compare the records of all trainings, and print a line for each and the differences.

    Args:
        old: Folder of the records from before.
        new: Folder of the records from after; there may be more in them.
        tolerance: Relative and absolute difference that weights may have; None for equal bits.

    Returns:
        The differences.
    """
    everything, alike = [], "equal" if tolerance is None else "equal up to rounding"
    for name in RUNS:
        if missing := [folder for folder in (old, new) if not (folder / f"{name}.json").exists()]:
            found = [f"no record in {folder}" for folder in missing]
        else:
            before, after = Record.load(old, name), Record.load(new, name)
            found = list(find_differences(before, after, tolerance))
        print(f"{name}: differs" if found else f"{name}: {describe_size(before)} {alike}")
        print(*(f"  {line}\n" for line in found), sep="", end="")
        everything += (f"{name}: {line}" for line in found)
    return everything


def describe_size(record: Record) -> str:
    """Describe the size of a record."""
    return f"{len(record.weights)} tensors, {len(record.metrics)} metrics, {len(record.ranks)} rank arrays"


def find_differences(old: Record, new: Record, tolerance: float | None = None) -> Iterator[str]:
    """Find the differences between two records; metrics and ranks that only the new one has are ignored."""
    alike = Exactly() if tolerance is None else UpToRounding(tolerance)
    if old.best_epoch != new.best_epoch:
        yield f"best epoch: {old.best_epoch} and {new.best_epoch}"
    for name in sorted(old.weights.keys() | new.weights.keys()):
        yield from _find_difference(name, old.weights.get(name), new.weights.get(name), alike.weights)
    for name, values in old.ranks.items():
        yield from _find_difference(name, values, new.ranks.get(name), alike.ranks)
    unmoved = all(have_same_bits(values, new.ranks[name]) for name, values in old.ranks.items() if name in new.ranks)
    for name, value in old.metrics.items():
        other = new.metrics.get(name)
        if other is None or not alike.metrics(name, value, other, unmoved):
            yield f"{name}: {value!r} and {'missing' if other is None else repr(other)}"


def _find_difference(
    name: str, old: np.ndarray | None, new: np.ndarray | None, alike: Callable[[str, np.ndarray, np.ndarray], bool]
) -> Iterator[str]:
    """Find the differences between two arrays."""
    if old is None or new is None:
        yield f"{name}: missing in the {'old' if old is None else 'new'} record"
    elif (old.dtype, old.shape) != (new.dtype, new.shape):
        yield f"{name}: {old.dtype} {old.shape} and {new.dtype} {new.shape}"
    elif not alike(name, old, new):
        farthest = "" if old.dtype.kind == "U" else f", by at most {np.abs(old.astype(float) - new).max():.2g}"
        yield f"{name}: {np.count_nonzero(old != new)} of {old.size} values differ{farthest}"


def have_same_bits(old: np.ndarray, new: np.ndarray) -> bool:
    """Check whether two arrays are equal to the last bit."""
    return (old.dtype, old.shape, old.tobytes()) == (new.dtype, new.shape, new.tobytes())


class Exactly:
    """Comparison of all bits."""

    def weights(self, name: str, old: np.ndarray, new: np.ndarray) -> bool:
        """Check whether two tensors are equal."""
        return have_same_bits(old, new)

    def ranks(self, name: str, old: np.ndarray, new: np.ndarray) -> bool:
        """Check whether two arrays of ranks, or of accompanying values, are equal."""
        return have_same_bits(old, new)

    def metrics(self, name: str, old: float, new: float, unmoved: bool) -> bool:
        """Check whether two metrics are equal.

        Args:
            name: What they are.
            old: The one from before.
            new: The one from after.
            unmoved: Whether all ranks of the test set are equal.
        """
        return repr(old) == repr(new)  # equal even where there is no number


class UpToRounding(Exactly):
    """Comparison that allows the rounding of another processor.

    Two items whose scores are nearly equal may then change places, and metrics follow their ranks.

    Args:
        tolerance: How far weights may differ, relatively and absolutely.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance

    def weights(self, name: str, old: np.ndarray, new: np.ndarray) -> bool:
        """Check whether two tensors are equal up to rounding."""
        free = name.endswith(WITHOUT_INFLUENCE)
        return free or np.allclose(new, old, rtol=self._tolerance, atol=self._tolerance, equal_nan=True)

    def ranks(self, name: str, old: np.ndarray, new: np.ndarray) -> bool:
        """Check whether all but a few ranks are equal; accompanying values have to be equal."""
        return np.count_nonzero(old != new) <= (MOVED * old.size if name.endswith("rank") else 0)

    def metrics(self, name: str, old: float, new: float, unmoved: bool) -> bool:
        """Check whether two metrics are close; the ranks behind validation metrics are not recorded."""
        return math.isclose(old, new, rel_tol=1e-6, abs_tol=0 if unmoved and name.startswith("test") else MOVED)


if __name__ == "__main__":
    sys.exit(main())
