"""Finished sharpness reports as they lie on the disk, read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.cli.sharpness import ABOUT
from recbole_samrec.sharpness.aggregate import SLOPE_LOSS, TARGETS, Levels
from recbole_samrec.sharpness.verdict import (
    Comparison,
    Figure,
    Meaning,
    comparable,
    losses_of,
    together,
    verdict,
)
from recbole_samrec.utils.errors import DataError

WITH_SAM = "SAM"
"""What is in the labels of runs with SAM."""
AGAIN = "run the command of its report again, which computes nothing twice"
MEASURES = {"label": str, "measure": str, "value": float, "low": float, "high": float, "runs": int, "converged": bool}
MEASURES |= {"loss": str}
RUNS = {"run": str, "label": str, "seed": int, "weights": float, SLOPE_LOSS: float, TARGETS: int}
RUNS |= {"training targets in all": int}


@dataclass(frozen=True)
class Report:
    """What the command ``sharpness`` left in its folder.

    Args:
        folder: Where it lies; its name is the report's.
        title: What the user says it is, or nothing.
        about: Its ``report.json``.
        measures: Its ``measures.csv``: a line for each label and measure.
        runs: Its ``runs.csv``: a line for each run.
        levels: Which levels the measures are taken at.
        meanings: What the measures tell.
    """

    folder: Path
    title: str
    about: Mapping[str, Any]
    measures: pd.DataFrame
    runs: pd.DataFrame
    levels: Levels
    meanings: Mapping[str, Meaning]

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def labels(self) -> list[str]:
        """What was compared."""
        return list(dict.fromkeys(self.measures["label"]))

    @property
    def reference(self) -> str:
        """The label that the others are compared with."""
        return self.about["reference"]

    @property
    def others(self) -> list[str]:
        """The labels that are compared with the reference."""
        return [label for label in self.labels if label != self.reference]

    @property
    def sentences(self) -> list[str]:
        """What the measures show, in words."""
        return verdict(self.measures, self.meanings, self.reference)

    @property
    def with_sam(self) -> bool:
        """Whether a label is of runs with SAM."""
        return any(WITH_SAM in label for label in self.labels)

    def seeds(self, label: str) -> list[int]:
        """The seeds of a label's runs."""
        return self.runs.loc[self.runs["label"] == label, "seed"].tolist()

    def line(self, label: str, measure: str) -> Any | None:
        """The line of a measure of a label, None where it was not measured."""
        found = self.measures[(self.measures["label"] == label) & (self.measures["measure"] == measure)]
        return next(found.itertuples(index=False), None)

    def figure(self, label: str, measure: str) -> Figure | None:
        """A measure of a label, None where it was not measured, did not converge or is not finite."""
        line = self.line(label, measure)
        if line is None or not line.converged or not all(map(math.isfinite, (line.value, line.low, line.high))):
            return None
        return Figure(line.value, line.low, line.high, line.runs)

    def compared(self, label: str, *kinds: str) -> list[Comparison]:
        """The measures of some kinds, of a label against the reference, that can be compared."""
        pairs = {
            measure: (self.figure(label, measure), self.figure(self.reference, measure))
            for measure, meaning in self.meanings.items()
            if meaning.kind in kinds and comparable(meaning.kind, label, self.reference, losses_of(self.measures))
        }
        return [Comparison(name, self.meanings[name], *pair) for name, pair in pairs.items() if None not in pair]

    def outcome(self, label: str, *kinds: str) -> str:
        """What all measures of some kinds say of a label against the reference; see :func:`together`."""
        return together([one.outcome for one in self.compared(label, *kinds)])


def read_all(folder: Path) -> tuple[list[Report], list[str]]:
    """All finished reports of a folder.

    Args:
        folder: Holds a folder for each report.

    Returns:
        The reports, those of the most seeds first, then those with SAM, then by name; and the names of folders without
        a finished one.

    Raises:
        DataError: There is none, or one is damaged.
    """
    make = f"make one by python -m recbole_samrec sharpness RUN RUN --out {folder}/NAME"
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; {make}")
    folders = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.name.lower())
    finished = [path for path in folders if (path / ABOUT).exists()]
    if not finished:
        raise DataError(f"{folder}: there is no finished report in it; {make}")
    reports = sorted(map(read, finished), key=lambda report: (-report.measures["runs"].max(), not report.with_sam))
    return reports, [path.name for path in folders if path not in finished]


def read(folder: Path) -> Report:
    """One report.

    Raises:
        DataError: One of its files is missing or damaged.
    """
    about, levels, meanings = _about(folder / ABOUT)
    measures, runs = _table(folder / "measures.csv", MEASURES), _table(folder / "runs.csv", RUNS)
    labels = set(measures["label"])
    if labels != set(runs["label"]) or about["reference"] not in labels:
        raise DataError(f"{folder}: measures.csv, runs.csv and {ABOUT} are not of the same runs; {AGAIN}")
    if measures.duplicated(["label", "measure"]).any():
        raise DataError(f"{folder / 'measures.csv'}: a measure of a label is there twice; {AGAIN}")
    title = folder / "title.txt"
    words = " ".join(title.read_text(encoding="utf-8").split()) if title.exists() else ""
    return Report(folder, words, about, measures, runs, levels, meanings)


def _about(file: Path) -> tuple[dict[str, Any], Levels, dict[str, Meaning]]:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        levels = Levels(**about["levels"])
        meanings = {measure: Meaning(**meaning) for measure, meaning in about["meanings"].items()}
        missing = {"dataset", "command", "budget", "seconds", "facts", "reference", "notes", "figures"} - set(about)
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: it is damaged ({error}); {AGAIN}") from error
    return about, levels, meanings


def _table(file: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """A table that has at least some columns, of the right types."""
    try:
        table = pd.read_csv(file, dtype=dict(columns), keep_default_na=False, na_values=[""])
    except OSError as error:
        raise DataError(f"{file}: it cannot be read ({error.strerror}); {AGAIN}") from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{file}: it is damaged ({error}); {AGAIN}") from error
    if missing := [name for name in columns if name not in table]:
        raise DataError(f"{file}: it is damaged (no column {', '.join(missing)}); {AGAIN}")
    if table.empty or table["label"].isna().any():
        raise DataError(f"{file}: it is damaged (no lines, or one without a label); {AGAIN}")
    return table
