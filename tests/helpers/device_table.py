"""The table of the costs of a training step on a device, which are upper limits of the counts.

``python -m tests.helpers.device_table`` measures all of it again and writes it, and the table of
``docs/how_to/gpu.md``; with names of cases, only those.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

from tests.helpers.device_checks import CASES, check_training
from tests.helpers.device_process import SIMULATED, DeviceProcess

FILE = Path(__file__).parents[1] / "gpu" / "counts.csv"
PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "gpu.md"
UNITS = ["waits", "copies", "launches"]
TORCH = ".".join(torch.__version__.split(".")[:2])


def read_counts() -> pd.DataFrame:
    """Read the table: a line for each case, with the torch version for which its launches were counted."""
    return pd.read_csv(FILE, index_col="case", dtype={"torch": str})


def compare_counts(case, found, launches=True) -> str | None:
    """Compare the counts of a case with those of the table.

    Args:
        case: Name of the case.
        found: Its counts, and the places where it waits and copies.
        launches: Whether to compare the launches, if they were counted on this version of torch.

    Returns:
        What is wrong, and what to do about it; None if the counts are as recorded.
    """
    recorded = read_counts().loc[case]
    units = UNITS if launches and recorded["torch"] == TORCH else UNITS[:2]
    changes = [
        f"{unit} per step {recorded[unit]:g} -> {found[unit]:g}" for unit in units if found[unit] != recorded[unit]
    ]
    if not changes:
        return None
    if all(found[unit] <= recorded[unit] for unit in units):
        remedy = f"fewer than recorded: run python -m tests.helpers.device_table '{case}' and commit {FILE.name}"
    else:
        remedy = "more than recorded; it waits and copies at:\n" + "\n".join(found["places"])
    return f"{case}: {', '.join(changes)}; {remedy}"


def main(names) -> None:
    """Measure cases, all if none is given, and write the table."""
    process, lines = DeviceProcess(SIMULATED), []
    for name in names or CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = process.call(check_training, folder, CASES[name], False)
        lines.append({"case": name, **{unit: found[unit] for unit in UNITS}, "torch": TORCH})
        print(lines[-1], flush=True)
    process.close()
    table = pd.DataFrame(lines).set_index("case")
    if FILE.exists():
        old = read_counts()
        table = pd.concat([old[~old.index.isin(table.index)], table])
    table = table.loc[[name for name in CASES if name in table.index]]
    table.to_csv(FILE, lineterminator="\n")
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


def fill_page(page, table) -> str:
    """Write the counts into the columns of the documentation's table that show the current ones."""

    def fill(line):
        cells = line.split("|")
        name = cells[1].strip() if len(cells) == 9 else None
        if name not in table.index:
            return line
        for column, unit in zip((3, 5, 7), UNITS, strict=True):
            cells[column] = f" {table.loc[name, unit]:g} "
        return "|".join(cells)

    return "\n".join(map(fill, page.split("\n")))


if __name__ == "__main__":
    main(sys.argv[1:])
