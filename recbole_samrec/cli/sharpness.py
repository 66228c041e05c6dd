"""``sharpness``: shows of finished runs how sharp their minima are, and how accurate and robust they are."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from recbole_samrec.cli.options import add_options
from recbole_samrec.compare.plots import FORMATS
from recbole_samrec.config.command_options import SharpnessOptions
from recbole_samrec.experiments.progress import spoken
from recbole_samrec.quick_start.environment import versions
from recbole_samrec.sharpness.aggregate import Levels, common_metric, meanings, measures, notes_on, per_run
from recbole_samrec.sharpness.arguments import Named, named_runs, read_shares, writable
from recbole_samrec.sharpness.figure_layout import Drawn, counted, slope_targets
from recbole_samrec.sharpness.figures import NAMES, draw
from recbole_samrec.sharpness.finished_run import load
from recbole_samrec.sharpness.measure import FULL, QUICK, Budget, Measured, measure, ways_between
from recbole_samrec.sharpness.page import write_report
from recbole_samrec.sharpness.verdict import verdict
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import write_atomically

HELP = """Measures curvature, sharpness, loss surface and robustness of finished runs on one data set, side by side,
and writes them as one page with figures and arrays. What was computed is kept: the same command goes on where it was
stopped."""
PAGE, ABOUT = "report.html", "report.json"
"""The page, and what a report is of, for programs; the last file that is written."""
write = functools.partial(write_atomically, folder="--out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``sharpness``."""
    add_options(parser, SharpnessOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Carry out ``sharpness``.

    Args:
        arguments: What :func:`add_arguments` reads.
        rest: Nothing.
        console: Where progress and the measures are shown.

    Raises:
        UserError: A run is damaged, or has no loss that can be differentiated, or is of another data set.
    """
    if rest:
        raise ConfigError(f"{rest[0]}: this command takes no such argument; --help lists them")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    budget = QUICK if arguments.quick else FULL
    if arguments.targets:
        budget = Budget(**{**vars(budget), "targets": arguments.targets})
    runs = named_runs(arguments.runs)
    shares = None if arguments.fractions is None else read_shares(arguments.fractions, common_metric(runs))
    out = arguments.out or Path("runs", f"sharpness-{runs[0].record['dataset']}")
    with writable(out):
        try:
            measured, between, seconds = _measure_all(runs, budget, out, arguments.model, console)
        except KeyboardInterrupt:
            console.print("stopped; the same command goes on", highlight=False)
            return 130
        conclude(measured, between, budget, out, console, shares=shares, seconds=seconds)
    return 0


def _measure_all(
    runs: Sequence[Named], budget: Budget, out: Path, source: str | None, console: Console
) -> tuple[list[Measured], pd.DataFrame, float]:
    """Measure all runs; they are loaded first, so that one that cannot be measured is known before it costs time."""
    solutions = [load(one.folder, budget.targets, source) for one in runs]
    measured: list[Measured] = []
    for number, (named, solution) in enumerate(zip(runs, solutions, strict=True), 1):
        solution.label = named.label
        console.print(
            f"{number} of {len(runs)}: {named.name}, {named.folder}: on {solution.targets} of "
            f"{solution.all_targets} training targets",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        with Bars(console) as bars:
            measured.append(measure(solution, budget, out, bars))
    with Bars(console) as bars:
        between, seconds = ways_between(solutions, budget, out, bars)
    return measured, between, seconds + sum(one.seconds for one in measured)


class Bars:
    """A bar for each part that is measured, with the time left; a line for each where there is no terminal.

    Args:
        console: Where they are drawn.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("  {task.description:20}"), BarColumn(24), TextColumn("{task.completed}/{task.total}"))
        self._console, self._tasks = console, dict[str, Any]()
        quiet = not console.is_terminal
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet)

    def __enter__(self) -> Bars:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it is."""
        self._progress.stop()

    def __call__(self, part: str, done: int, total: int) -> None:
        """Show how far a part is."""
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=total)
            if not self._console.is_terminal:
                self._console.print(f"  {part}", highlight=False)
        self._progress.update(self._tasks[part], completed=min(done, total), total=total)


def conclude(
    runs: Sequence[Measured],
    between: pd.DataFrame,
    budget: Budget,
    out: Path,
    console: Console,
    *,
    shares: pd.DataFrame | None = None,
    seconds: float = 0.0,
) -> None:
    """Write tables, figures and page of what was measured, and show the measures.

    Args:
        runs: What was measured of each run.
        between: The loss on the lines between runs.
        budget: How much was computed.
        out: Folder of the report.
        console: Where the measures are shown.
        shares: The metric against the share of training data.
        seconds: Time that the measuring took, in all calls together.
    """
    summary, each, meaning = measures(runs), per_run(runs), meanings(runs)
    sentences = verdict(summary, meaning, reference=_reference(runs))
    tables = {"measures": summary, "runs": each, "between": between}
    tables |= {f"noise-{number}": one.noise for number, one in enumerate(runs)}
    tables |= {f"histories-{number}": one.changes for number, one in enumerate(runs)}
    (out / ABOUT).unlink(missing_ok=True)  # a report that is being written is not finished
    for name, table in tables.items():
        write(out / f"{name}.csv", table.to_csv(index=False))
    write(out / "verdict.txt", "\n".join(sentences) + "\n")
    figures = draw(runs, between, out / "figures", shares=shares)
    page = out / PAGE
    write_report(
        page,
        title=f"Sharpness on {runs[0].record['dataset']}",
        facts=facts_of(runs, seconds),
        runs=each,
        summary=summary,
        sentences=sentences,
        figures=figures,
        notes=notes_on(runs),
        budget=budget,
    )
    about = about_report(runs, budget, figures, seconds)
    remove_former(out, tables, [one.name for one in figures])
    write(out / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    _show(summary, sentences, console)
    console.print(f"report: {page}", highlight=False, soft_wrap=True, markup=False)


def remove_former(out: Path, tables: Iterable[str], figures: Iterable[str]) -> None:
    """Remove tables and figures that a larger report left in the folder; arrays and files of others stay.

    Args:
        out: Folder of the report.
        tables: Names of the tables that belong to it.
        figures: Names of its figures.
    """
    kept = {f"{name}.csv" for name in tables} | {f"{name}.{form}" for name in figures for form in FORMATS}
    ours = {f"{name}.{form}" for name in NAMES for form in FORMATS}
    for file in (*out.glob("*.csv"), *(out / "figures").iterdir()):
        if file.name not in kept and (file.name in ours or re.fullmatch(r"(noise|histories)-\d+\.csv", file.name)):
            file.unlink()


def _reference(runs: Sequence[Measured]) -> str:
    """What the others are compared with: plain SASRec where it is there, else the last label."""
    labels = list(dict.fromkeys(one.label for one in runs))
    plain = [label for label in labels if label.startswith("SASRec")]
    return "SASRec" if "SASRec" in labels else (plain or labels)[-1]


def facts_of(runs: Sequence[Measured], seconds: float) -> dict[str, str]:
    """What a reader has to know of a report, in words."""
    record = runs[0].record
    data = record["data"]
    targets = sorted({one.targets for one in runs})
    return {
        "data": f"{record['dataset']}: {data['users']} users, {data['items']} items, {data['interactions']} events "
        f"(sha256 {data['sha256'][:12]})",
        "runs": ", ".join(one.name for one in runs),
        "measured on": f"{counted(targets)} training targets; the gradient and rises along it on "
        f"{counted(sorted(map(slope_targets, runs)))}",
        "time": spoken(seconds),
        "device": "; ".join(dict.fromkeys(one.device for one in runs if one.device)),
        "command": f"python -m recbole_samrec {shlex.join(sys.argv[1:])}",
        "versions": ", ".join(f"{package} {version}" for package, version in versions().items() if version),
    }


def about_report(runs: Sequence[Measured], budget: Budget, figures: Sequence[Drawn], seconds: float) -> dict[str, Any]:
    """What a program has to know of a report besides its tables; it names no place on this machine.

    Returns:
        ``dataset``; ``command``; ``budget`` (``quick`` or ``full``, and how many ``targets`` if others were asked for);
        ``seconds`` of all calls together; ``facts`` in words; ``reference``, the label that others are compared with;
        ``levels`` and ``meanings`` of the measures; ``notes``; and name, title, caption and alt text of ``figures``.
    """
    facts = facts_of(runs, seconds)
    said = ("name", "title", "caption", "alt")
    return {
        "dataset": runs[0].record["dataset"],
        "command": shlex.join(["python", "-m", "recbole_samrec", *map(_anywhere, sys.argv[1:])]),
        "budget": _name_of(budget),
        "seconds": round(seconds, 1),
        "facts": {name: facts[name] for name in ("data", "runs", "measured on", "device", "versions")},
        "reference": _reference(runs),
        "levels": asdict(Levels.of(runs)),
        "meanings": {measure: asdict(meaning) for measure, meaning in meanings(runs).items()},
        "notes": notes_on(runs),
        "figures": [{name: getattr(one, name) for name in said} for one in figures],
    }


def _name_of(budget: Budget) -> str:
    """Which of the budgets it is, and how many targets it takes if not as many as that."""
    for name, known in {"quick": QUICK, "full": FULL}.items():
        if replace(budget, targets=known.targets) == known:
            return name if budget == known else f"{name}, {budget.targets} targets"
    return "other"


def _anywhere(word: str) -> str:
    """A word of the command line; a path is that from the working folder or the checkout it lies in, or its end."""
    head, equals, named = word.rpartition("=")
    if not named.startswith(("/", "..")):
        return word
    path = Path(os.path.abspath(named))
    homes = (home for home in path.parents if home == Path.cwd() or (home / ".git").exists())
    return head + equals + (path.relative_to(home).as_posix() if (home := next(homes, None)) else path.name)


def _show(summary: pd.DataFrame, sentences: Sequence[str], console: Console) -> None:
    table = Table(title="Mean over the runs of each label", title_justify="left")
    labels = list(dict.fromkeys(summary["label"]))
    table.add_column("measure")
    for label in labels:
        table.add_column(label, justify="right")
    for measure_name in dict.fromkeys(summary["measure"]):
        lines = summary[summary["measure"] == measure_name].set_index("label")
        table.add_row(measure_name, *(_cell(lines.loc[label]) if label in lines.index else "" for label in labels))
    console.print(table)
    for sentence in sentences:
        console.print(sentence, highlight=False, markup=False)


def _cell(line: pd.Series) -> str:
    spread = (line["high"] - line["low"]) / 2
    certain = "" if line["converged"] in (True, None) or pd.isna(line["converged"]) else " (not converged)"
    return f"{line['value']:.4g}" + (f" ± {spread:.2g}" if spread > 0 else "") + certain
