"""The arguments of a sharpness report: runs, a table and a folder, all checked before anything is computed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from recbole_samrec.experiments.job_folders import slug
from recbole_samrec.sharpness.aggregate import find_common_metric
from recbole_samrec.sharpness.finished_run import BEST, name_run, read_finished_record
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.exact_floats import exact_floats
from recbole_samrec.utils.locks import lock_folder

MOST_RUNS = 6


@dataclass(frozen=True)
class NamedRun:
    """A run and its label.

    Args:
        folder: Its folder.
        label: The entry of the report that it belongs to.
        record: Its ``result.json``.
    """

    folder: Path
    label: str
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name among the runs of a report."""
        return name_run(self.label, self.record["seed"])


def read_runs(words: Sequence[str]) -> list[NamedRun]:
    """Read the runs of a command line, each with a unique name.

    Args:
        words: Folders, each perhaps with a label: ``no dropout=runs/SASRec``.

    Raises:
        UserError: They are too many, or one is named twice or is a copy of another, or has no readable record, or they
            are of more than one data set, or have no test metric in common.
    """
    labeled = [_split_label(word) for word in words]
    folders = [folder for folder, _ in labeled]
    _require_few_places(folders)
    records = [read_finished_record(folder) for folder in folders]
    _require_one_data_set(folders, records)
    runs: list[NamedRun] = []
    for (folder, label), record in zip(labeled, records, strict=True):
        wanted = NamedRun(folder, label or record.get("label") or record["model"], record)
        runs.append(_make_name_unique(wanted, runs))
    find_common_metric(runs)
    _require_other_weights(runs)
    return runs


def _split_label(named: str) -> tuple[Path, str | None]:
    """Split ``label=folder`` into the folder and its label; None if there is no label."""
    label, equals, folder = named.rpartition("=")
    return (Path(folder), label) if equals and label and not Path(named).exists() else (Path(named), None)


def _require_few_places(folders: Sequence[Path]) -> None:
    if len(folders) > MOST_RUNS:
        raise ConfigError(f"{len(folders)} runs are named; a report holds up to {MOST_RUNS}")
    seen: dict[Path, Path] = {}
    for folder in folders:
        if (place := folder.resolve()) in seen:
            also = f", also as {seen[place]}" if seen[place] != folder else ""
            raise ConfigError(f"{folder} is named twice{also}; name each run once")
        seen[place] = folder


def _require_one_data_set(folders: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> None:
    first = records[0]
    for folder, record in zip(folders, records, strict=True):
        if (record["dataset"], record["data"]["sha256"]) != (first["dataset"], first["data"]["sha256"]):
            raise ConfigError(
                f"{folder} is a run on {record['dataset']}, {folders[0]} on {first['dataset']} with other interactions "
                "or of another name; a report is about one data set"
            )


def _make_name_unique(run: NamedRun, others: Sequence[NamedRun]) -> NamedRun:
    """Return the run, with a longer label if its name, or the folder of its arrays, is already taken."""
    taken = {slug(other.name).lower() for other in others}
    folder = run.folder.resolve().name
    endings = itertools.chain(("", f" ({folder})"), (f" ({folder}, {number})" for number in itertools.count(2)))
    candidates = (NamedRun(run.folder, run.label + ending, run.record) for ending in endings)
    return next(one for one in candidates if slug(one.name).lower() not in taken)


def _require_other_weights(runs: Sequence[NamedRun]) -> None:
    """Raise an error for copies of one run, which would be counted as several runs."""
    seen: dict[str, Path] = {}
    for run in runs if len(runs) > 1 else ():
        if (weights := _hash_weights(run)) is None:
            continue
        if weights in seen:
            raise ConfigError(f"{run.folder} has the weights of {seen[weights]}: both are one run; name one of them")
        seen[weights] = run.folder


def _hash_weights(run: NamedRun) -> str | None:
    """Return a hash of the run's weights; None if there are none, which loading reports."""
    file = run.folder / BEST
    if not file.exists():
        return None
    weights = checkpoint_io.load(file, trust=bool(run.record["config"].get("trust_checkpoint"))).get("state_dict") or {}
    digest = hashlib.sha256()
    for name, weight in weights.items():
        if isinstance(weight, torch.Tensor) and weight.layout == torch.strided:
            digest.update(name.encode())
            digest.update(weight.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if weights else None


def read_fractions(file: Path, metric: str) -> pd.DataFrame:
    """Read the table of ``compare --train_fraction``, to draw a metric against the share of training data.

    Raises:
        ConfigError: It cannot be read, or lacks what is to be drawn.
    """
    try:
        table = pd.read_csv(file, dtype={"entry": str, "row": str}, **exact_floats())
        table = table.rename(columns={"row": "entry"})  # of older tables
    except (OSError, ValueError) as error:
        raise ConfigError(f"--fractions={file}: it cannot be read ({error})") from error
    if table.empty or not {"entry", "fraction"} <= set(table.columns):
        raise ConfigError(f"--fractions={file}: give the <dataset>-fractions.csv that compare --train_fraction writes")
    drawn = [f"{metric}_mean", f"{metric}_std"]
    if missing := [name for name in drawn if name not in table]:
        raise ConfigError(f"--fractions={file}: missing column(s) {', '.join(missing)} for metric {metric.upper()}")
    if odd := [name for name in ("fraction", *drawn) if not pd.api.types.is_numeric_dtype(table[name])]:
        raise ConfigError(f"--fractions={file}: column {odd[0]} is not numeric; write the table again")
    return table


@contextlib.contextmanager
def prepare_folder(out: Path) -> Iterator[None]:
    """Make the folder of a report and check that it can be written; remove it again if it stays empty.

    Raises:
        ConfigError: It, or later a file in it, cannot be written.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise _explain_unwritable(out, error) from error
    try:
        with lock_folder(out):
            yield
    except OSError as error:
        if error.filename is not None and not Path(error.filename).absolute().is_relative_to(out.absolute()):
            raise
        raise _explain_unwritable(out, error) from error
    finally:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()  # which only an empty folder allows


def _explain_unwritable(out: Path, error: OSError) -> ConfigError:
    reason = error.strerror or error
    return ConfigError(f"--out={out}: it cannot be written ({reason}); choose another folder or free some space")
