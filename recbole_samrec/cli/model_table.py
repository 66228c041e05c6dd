"""The table of ``doctor --models``: the features that each model supports, and the reasons where it does not.

The table is ``docs/models.csv``, which ``python -m tools.write_models`` writes. This module does not import RecBole or
torch.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_samrec.utils.paths import MODEL_TABLE

FEATURES = ("packed", "sam", "resume", "masks", "gts", "recommend", "export")
"""Features that are tried with each model, named as the columns of the file."""
COLUMNS = ("model", "kind", *FEATURES)
YES = "yes"


def read_models(path: Path = MODEL_TABLE) -> list[dict[str, str]]:
    """Read the table: a line for each model, with its cells by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number_reasons(lines: Sequence[dict[str, str]]) -> dict[str, int]:
    """Number the reasons why a feature is not supported, from 1, the most frequent first."""
    cells = [line[feature] for line in lines for feature in FEATURES if line[feature] != YES]
    reasons = sorted(dict.fromkeys(cells), key=cells.count, reverse=True)
    return {reason: number for number, reason in enumerate(reasons, 1)}


def format_lines(lines: Sequence[dict[str, str]], numbers: dict[str, int]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each line: ``yes``, or the number of a reason."""
    for line in lines:
        cells = (YES if line[feature] == YES else str(numbers[line[feature]]) for feature in FEATURES)
        yield line["model"], line["kind"], *cells


def print_models(lines: Sequence[dict[str, str]]) -> None:
    """Print the table, and the numbered reasons below it."""
    numbers = number_reasons(lines)
    rows = list(format_lines(lines, numbers))
    try:
        _show_table(rows)
    except ImportError:  # rich may be missing
        for row in (COLUMNS, *rows):
            print("".join(f"{cell:16}" for cell in row).rstrip())
    print("\nReasons:", *(f"{number:3}  {reason}" for reason, number in numbers.items()), sep="\n")


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(*COLUMNS, box=box.SIMPLE if console.is_terminal else None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
