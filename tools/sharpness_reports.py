"""Finished sharpness reports, read from their folders and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.sharpness.aggregate import SLOPE_LOSS, TARGETS, Levels
from recbole_samrec.sharpness.comparisons import Meaning, compare_entries
from recbole_samrec.sharpness.report import ABOUT
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.exact_floats import exact_floats

WITH_SAM = "SAM"
"""Part of the labels of runs with SAM."""
AGAIN = "run the command of its report again, which computes nothing twice"
MEASURES = {"entry": str, "measure": str, "value": float, "low": float, "high": float, "runs": int, "converged": bool}
MEASURES |= {"loss": str}
RUNS = {"run": str, "entry": str, "seed": int, "weights": float, SLOPE_LOSS: float, TARGETS: int}
RUNS |= {"training targets in all": int}
NEEDED = {"dataset", "command", "budget", "seconds", "facts", "reference", "entries", "notes", "figures"}


@dataclass(frozen=True)
class Report:
    """The files of a report of the command ``sharpness``.

    Args:
        folder: Its folder, which gives it its name.
        title: The user's title, or nothing.
        about: Its ``report.json``.
        measures: Its ``measures.csv``: one line for each entry and measure.
        runs: Its ``runs.csv``: one line per run.
        levels: Levels of the measures.
        meanings: Kinds and directions of the measures.
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
        """Name of the folder."""
        return self.folder.name

    @property
    def entries(self) -> list[str]:
        """Entries of the report."""
        return list(dict.fromkeys(self.measures["entry"]))

    @property
    def reference(self) -> str:
        """The entry that the others are compared with."""
        return self.about["reference"]

    @property
    def comparisons(self) -> pd.DataFrame:
        """The differences of the other entries from the reference."""
        losses = dict(zip(self.measures["entry"], self.measures["loss"], strict=True))
        return compare_entries(self.runs, self.meanings, losses, self.reference)

    @property
    def has_sam(self) -> bool:
        """True if an entry has runs with SAM."""
        return any(WITH_SAM in entry for entry in self.entries)

    def seeds(self, entry: str) -> list[int]:
        """Return the seeds of an entry's runs."""
        return self.runs.loc[self.runs["entry"] == entry, "seed"].tolist()

    def line(self, entry: str, measure: str) -> Any | None:
        """Return the line of a measure of an entry, or None where it was not measured."""
        found = self.measures[(self.measures["entry"] == entry) & (self.measures["measure"] == measure)]
        return next(found.itertuples(index=False), None)


def read_all(folder: Path) -> tuple[list[Report], list[str]]:
    """Read all finished reports of a folder.

    Args:
        folder: Contains a folder for each report.

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
    reports = sorted(
        map(read_report, finished), key=lambda report: (-report.measures["runs"].max(), not report.has_sam)
    )
    return reports, [path.name for path in folders if path not in finished]


def read_report(folder: Path) -> Report:
    """Read one report.

    Raises:
        DataError: One of its files is missing or damaged.
    """
    about, levels, meanings = _about(folder / ABOUT)
    measures, runs = _table(folder / "measures.csv", MEASURES), _table(folder / "runs.csv", RUNS)
    entries = set(measures["entry"])
    if entries != set(runs["entry"]) or about["reference"] not in entries:
        raise DataError(f"{folder}: measures.csv, runs.csv and {ABOUT} are not of the same runs; {AGAIN}")
    if measures.duplicated(["entry", "measure"]).any():
        raise DataError(f"{folder / 'measures.csv'}: a measure of an entry is there twice; {AGAIN}")
    title = folder / "title.txt"
    words = " ".join(title.read_text(encoding="utf-8").split()) if title.exists() else ""
    return Report(folder, words, about, measures, runs, levels, meanings)


def _about(file: Path) -> tuple[dict[str, Any], Levels, dict[str, Meaning]]:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        levels = Levels(**about["levels"])
        meanings = {measure: Meaning(**meaning) for measure, meaning in about["meanings"].items()}
        if missing := NEEDED - set(about):
            raise ValueError(f"no {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: it is damaged ({error}); {AGAIN}") from error
    return about, levels, meanings


def _table(file: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """Read a table that has at least some columns, of the right types."""
    try:
        table = pd.read_csv(file, dtype=dict(columns), keep_default_na=False, na_values=[""], **exact_floats())
    except OSError as error:
        raise DataError(f"{file}: it cannot be read ({error.strerror}); {AGAIN}") from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{file}: it is damaged ({error}); {AGAIN}") from error
    if missing := [name for name in columns if name not in table]:
        raise DataError(f"{file}: it is damaged (no column {', '.join(missing)}); {AGAIN}")
    if table.empty or table["entry"].isna().any():
        raise DataError(f"{file}: it is damaged (no lines, or one without an entry); {AGAIN}")
    return table
