"""Compare the CSV files of two ``results/`` folders by the meaning of each number, and report every other change.

A number is found by its file, its entry and its column. The lists below name each change that is made on purpose:
files that move, columns that are renamed, added or removed, differences whose sign turns, and numbers that are computed
in another way. Anything else is an error, and the exit status is then 1::

    git worktree add ../before 6de9c71
    python -m tools.compare_csvs ../before/results results

``--change=p`` names the changes since 38a6630, where p-values were those of randomization tests::

    git worktree add ../before 38a6630
    python -m tools.compare_csvs --change=p ../before/results results
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

METRIC = r"(?:hr@\d+|ndcg@\d+|mrr)"


@dataclass(frozen=True)
class Change:
    """An intended change.

    Attributes:
        moved: Regular expressions of files that moved, and where to.
        renamed: Columns that have another name.
        added: Regular expression of columns that only the newer files have.
        removed: Regular expression of columns that only the older files have.
        free: Regular expression of columns whose numbers may change.
        new_files: Files that only the newer folder has.
        turned: Columns of differences that were reference minus entry and are entry minus reference, and the column
            whose negative each now is. The columns of variants, ``variant_...``, already were entry minus reference.
    """

    moved: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    added: str = "$^"
    removed: str = "$^"
    free: str = "$^"
    new_files: Collection[str] = ()
    turned: Mapping[str, str] = field(default_factory=dict)


CHANGES = {
    "signs": Change(
        moved={r"^(search|sharpness)/": r"records/\1/"},
        renamed={"row": "entry", "label": "entry"},
        added="^reference$",
        new_files=("search.csv", "sharpness.csv"),
        turned={
            rf"^({METRIC})_difference$": r"\1_difference",
            rf"^({METRIC})_low(_with_seeds)?$": r"\1_high\2",
            rf"^({METRIC})_high(_with_seeds)?$": r"\1_low\2",
        },
    ),
    "p": Change(
        added=rf"^((variant_)?{METRIC}_)?mde$",
        removed="^(p_holm|mark)$",
        free=rf"^((variant_)?{METRIC}_)?p(_holm)?$",
    ),
}
KEYS = {
    "measures.csv": ("entry", "measure"),
    "runs.csv": ("run",),
    "trials.csv": ("trial",),
    "-groups.csv": ("kind", "group", "entry"),
    "-fractions.csv": ("entry", "fraction"),
    "search.csv": ("entry", "metric"),
    "sharpness.csv": ("report", "entry", "measure"),
    ".csv": ("entry",),
}
"""Columns that identify a line, by the end of a file's name; the first that fits counts."""
TEXTS = {"note"}
"""Columns of free text, which are not compared."""
PRECISION = 1e-12
"""Relative difference up to which numbers are equal: the order of a sum may be another one on another processor."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two folders; return 1 if they differ in more than the listed changes."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_csvs", description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="the older results folder")
    parser.add_argument("new", type=Path, help="the newer results folder")
    parser.add_argument("--change", choices=CHANGES, default="signs", help="what changes on purpose (signs)")
    given = parser.parse_args(arguments)
    numbers, changes = compare_folders(given.old, given.new, CHANGES[given.change])
    for change in changes:
        print(change)
    print(f"{numbers:,} numbers compared, {len(changes):,} unexpected changes")
    return 1 if changes or not numbers else 0


def compare_folders(old: Path, new: Path, change: Change = CHANGES["signs"]) -> tuple[int, list[str]]:
    """Compare all CSV files below two folders, with a list of intended changes.

    Returns:
        Number of compared cells, and a line for each unexpected change.
    """
    before = {_rename_file(name, change): path for name, path in _find_files(old)}
    after = dict(_find_files(new))
    changes = [f"{name}: missing" for name in before if name not in after]
    changes += [f"{name}: not expected" for name in after if name not in before and name not in change.new_files]
    compared = 0
    for name in sorted(before.keys() & after.keys()):
        try:
            cells, found = _compare(_read_cells(before[name], change), _read_cells(after[name], Change()), change)
        except ValueError as error:
            cells, found = 0, [str(error)]
        compared += cells
        changes += [f"{name}: {line}" for line in found]
    return compared, changes


def _find_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.csv")):
        yield path.relative_to(folder).as_posix(), path


def _rename_file(name: str, change: Change) -> str:
    for old, new in change.moved.items():
        name = re.sub(old, new, name)
    return name


def _read_cells(file: Path, change: Change) -> dict[tuple[str, ...], str]:
    """Read the cells of a file by key columns and column, named and signed as in newer files."""
    keys = next(columns for end, columns in KEYS.items() if file.name.endswith(end))
    cells: dict[tuple[str, ...], str] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            values = {change.renamed.get(name, name): value for name, value in line.items()}
            if missing := [key for key in keys if key not in values]:
                raise ValueError(f"no column {', '.join(missing)}")
            place = tuple(values[key] for key in keys)
            for name, value in values.items():
                column, turned = _rename_column(name, change)
                cell = (*place, column)
                if cell in cells:
                    raise ValueError(f"{cell}: there twice")
                cells[cell] = _negate(value) if turned else value
    return cells


def _rename_column(column: str, change: Change) -> tuple[str, bool]:
    """Return the new column of a number of an older file, and whether its sign changed."""
    for old, new in change.turned.items():
        if re.match(old, column):
            return re.sub(old, new, column), True
    return column, False


def _negate(value: str) -> str:
    return repr(-float(value)) if value else value


def _compare(
    old: Mapping[tuple[str, ...], str], new: Mapping[tuple[str, ...], str], change: Change
) -> tuple[int, list[str]]:
    changes = [f"{cell}: missing" for cell in old.keys() - new.keys() if not re.search(change.removed, cell[-1])]
    changes += [f"{cell}: not expected" for cell in new.keys() - old.keys() if not re.search(change.added, cell[-1])]
    shared = [cell for cell in old if cell in new and cell[-1] not in TEXTS and not re.search(change.free, cell[-1])]
    changes += [f"{cell}: {old[cell]} became {new[cell]}" for cell in shared if not _are_equal(old[cell], new[cell])]
    return len(shared), sorted(changes)


def _are_equal(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=PRECISION, abs_tol=1e-18)
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
