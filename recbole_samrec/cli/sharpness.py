"""``sharpness``: measures the sharpness, accuracy and robustness of finished runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from recbole_samrec.cli.options import add_options
from recbole_samrec.config.command_options import SharpnessOptions
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from recbole_samrec.sharpness.report import SharpnessReport

HELP = """Measures curvature, sharpness, loss surface and robustness of finished runs on one data set, side by side,
and writes them as one page with figures and arrays. Results are stored: the same command continues where it was
interrupted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``sharpness``."""
    add_options(parser, SharpnessOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Run ``sharpness``.

    Args:
        arguments: What :func:`add_arguments` reads.
        rest: Nothing.
        console: Where progress and the measures are shown.

    Raises:
        UserError: A run is damaged, or has no loss that can be differentiated, or is of another data set.
    """
    if rest:
        raise ConfigError(f"{rest[0]}: this command takes no such argument; --help lists them")

    from recbole_samrec.sharpness.api import measure_sharpness

    options = {name: getattr(arguments, name) for name in ("quick", "targets", "out", "fractions", "threads", "model")}
    try:
        report = measure_sharpness(*arguments.runs, **options, console=console)
    except KeyboardInterrupt:
        console.print("stopped; run the same command again to continue", highlight=False)
        return 130
    print_report(report, console)
    return 0


def print_report(report: SharpnessReport, console: Console) -> None:
    """Print the measures of a report, the marked differences, and the path of its page."""
    from recbole_samrec.evaluator.marks import MEANINGS, NOT_CONVERGED

    console.print(_table_of_measures(report.measures))
    marked = report.comparisons[report.comparisons["mark"] != ""]
    if len(marked):
        console.print(_table_of_differences(marked))
    marks = {*marked["mark"], *([] if report.measures["converged"].all() else [NOT_CONVERGED])}
    for mark in (mark for mark in MEANINGS if mark in marks):
        console.print(f"{mark}: {MEANINGS[mark]}", highlight=False, markup=False)
    print_line(console, f"report: {report.page}")


def _table_of_measures(measures: pd.DataFrame) -> Table:
    table = Table(title="Mean over the runs of each entry, ± half of its 95 % interval", title_justify="left")
    entries = list(dict.fromkeys(measures["entry"]))
    table.add_column("measure")
    for entry in entries:
        table.add_column(entry, justify="right")
    for measure in dict.fromkeys(measures["measure"]):
        lines = measures[measures["measure"] == measure].set_index("entry")
        table.add_row(measure, *(_cell(lines.loc[entry]) if entry in lines.index else "" for entry in entries))
    return table


def _cell(line: pd.Series) -> str:
    from recbole_samrec.evaluator.marks import NOT_CONVERGED

    half = (line["high"] - line["low"]) / 2
    spread = f" ± {half:.2g}" if half > 0 else ""
    return f"{line['value']:.4g}{spread}{'' if line['converged'] else f' {NOT_CONVERGED}'}"


def _table_of_differences(marked: pd.DataFrame) -> Table:
    table = Table(title=f"Marked differences from {marked['reference'].iloc[0]}", title_justify="left")
    for column in ("entry", "measure"):
        table.add_column(column)
    for column in ("difference", "p (Holm)", "mark"):
        table.add_column(column, justify="right")
    for line in marked.itertuples():
        numbers = (f"{line.difference:+.3g}", f"{line.p_holm:.3g}")
        table.add_row(line.entry, line.measure, *("" if text.endswith("nan") else text for text in numbers), line.mark)
    return table
