"""``sharpness``: shows of finished runs how sharp their minima are, and how accurate and robust they are."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from recbole_samrec import run
from recbole_samrec.compare.display import spoken
from recbole_samrec.errors import ConfigError
from recbole_samrec.record import device_name, versions
from recbole_samrec.report.figures import draw
from recbole_samrec.report.measure import FULL, QUICK, Budget, Measured, measure, ways_between
from recbole_samrec.report.page import write_report
from recbole_samrec.report.panels import Drawn
from recbole_samrec.report.solution import Solution, load, read_record
from recbole_samrec.report.summary import Levels, meanings, measures, notes_on, per_run
from recbole_samrec.report.verdict import verdict

HELP = """Measures curvature, sharpness, loss surface and robustness of finished runs on one data set, side by side,
and writes them as one page with figures and arrays. What was computed is kept: the same command goes on where it was
stopped."""
MOST_RUNS = 6
ABOUT = "report.json"
"""What a report is of, for programs; the last file that is written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``sharpness``."""
    add = parser.add_argument
    runs = f"folders of up to {MOST_RUNS} finished runs on one data set, each perhaps with a label: 'no dropout=RUN'"
    add("runs", metavar="RUN", nargs="+", help=runs)
    add("--quick", action="store_true", help="a smaller sample and fewer points: some two minutes a run")
    add("--targets", metavar="N", type=int, help="training targets to measure on (default: 8192, quick 2048)")
    add("--out", metavar="DIR", type=Path, help="folder (default: runs/sharpness-<data set>)")
    add("--fractions", metavar="FILE", type=Path, help="a table of `compare --train_fraction` (.csv) to draw besides")
    add("--threads", metavar="N", type=int, help="threads (default: as many as there are cores)")
    add("--model", metavar="file.py:NAME", help="where a model of your own is")


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
    labels = dict(map(_labelled, arguments.runs))
    folders = _checked([folder for folder, _ in map(_labelled, arguments.runs)])
    for name in ("targets", "threads"):
        if (number := getattr(arguments, name)) is not None and number < 1:
            raise ConfigError(f"--{name}={number}: give a number of at least 1")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    budget = QUICK if arguments.quick else FULL
    if arguments.targets:
        budget = Budget(**{**vars(budget), "targets": arguments.targets})
    shares = _shares(arguments.fractions)
    out = arguments.out or Path("runs", f"sharpness-{read_record(folders[0])['dataset']}")
    started = time.monotonic()
    try:
        measured, between = _measure_all(labels, budget, out, arguments.model, console)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on", highlight=False)
        return 130
    conclude(measured, between, budget, out, console, shares=shares, seconds=time.monotonic() - started)
    return 0


def _labelled(named: str) -> tuple[Path, str | None]:
    """The folder of ``label=folder`` and its label, which most runs are named without."""
    label, equals, folder = named.rpartition("=")
    return (Path(folder), label) if equals and label and not Path(named).exists() else (Path(named), None)


def _checked(folders: Sequence[Path]) -> list[Path]:
    """The runs, whose records can be read and are of one data set."""
    if len(folders) > MOST_RUNS:
        raise ConfigError(f"{len(folders)} runs are named; a report holds up to {MOST_RUNS}")
    if len({folder.resolve() for folder in folders}) < len(folders):
        twice = next(folder for folder in folders if list(folders).count(folder) > 1)
        raise ConfigError(f"{twice} is named twice")
    records = [read_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        first = records[0]
        if (record["dataset"], record["data"]["sha256"]) != (first["dataset"], first["data"]["sha256"]):
            raise ConfigError(
                f"{folder} is a run on {record['dataset']}, {folders[0]} on {first['dataset']} with other interactions "
                "or of another name; a report is about one data set"
            )
    return list(folders)


def _shares(file: Path | None) -> pd.DataFrame | None:
    """The metric against the share of training data, of a table of ``compare``."""
    if file is None:
        return None
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--fractions={file}: it cannot be read ({error})") from error
    if not {"row", "fraction"} <= set(table.columns):
        raise ConfigError(f"--fractions={file}: give the <dataset>-fractions.csv that compare --train_fraction writes")
    return table


def _measure_all(
    labels: Mapping[Path, str | None], budget: Budget, out: Path, source: str | None, console: Console
) -> tuple[list[Measured], pd.DataFrame]:
    measured: list[Measured] = []
    solutions: list[Solution] = []
    for number, (folder, label) in enumerate(labels.items()):
        solution = load(folder, budget.targets, source)
        solution.label = label or solution.label
        if any(solution.name == other.name for other in measured):
            solution.label = f"{solution.label} ({folder.name})"
        console.print(
            f"{number + 1} of {len(labels)}: {solution.name}, {folder}: on {solution.targets} of "
            f"{solution.all_targets} training targets",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        with Bars(console) as bars:
            measured.append(measure(solution, budget, out, bars))
        solutions.append(solution)
    with Bars(console) as bars:
        between = ways_between(solutions, budget, out, bars)
    return measured, between


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
        seconds: Time that the measuring took.
    """
    summary, each, meaning = measures(runs), per_run(runs), meanings(runs)
    sentences = verdict(summary, meaning, reference=_reference(runs))
    tables = {"measures": summary, "runs": each, "between": between}
    tables |= {f"noise-{number}": one.noise for number, one in enumerate(runs)}
    tables |= {f"histories-{number}": one.changes for number, one in enumerate(runs)}
    for name, table in tables.items():
        run.write_atomically(out / f"{name}.csv", table.to_csv(index=False))
    run.write_atomically(out / "verdict.txt", "\n".join(sentences) + "\n")
    figures = draw(runs, between, out / "figures", shares=shares)
    page = out / "report.html"
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
    run.write_atomically(out / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    _show(summary, sentences, console)
    console.print(f"report: {page}", highlight=False, soft_wrap=True, markup=False)


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
        "measured on": "; ".join(f"{some} of {all_of} training targets" for some, all_of in targets),
        "time": spoken(seconds),
        "device": device_name(torch.device("cpu")),
        "command": f"python -m recbole_samrec {shlex.join(sys.argv[1:])}",
        "versions": ", ".join(f"{package} {version}" for package, version in versions().items() if version),
    }


def about_report(
    runs: Sequence[Measured], budget: Budget, figures: Sequence[Drawn], seconds: float
) -> dict[str, Any]:
    """What a program has to know of a report besides its tables; it names no place on this machine.

    Returns:
        ``dataset``; ``command``; ``budget`` (``quick`` or ``full``, and how many ``targets`` if others were asked for);
        ``seconds`` of the last call; ``facts`` in words; ``reference``, the label that others are compared with;
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
