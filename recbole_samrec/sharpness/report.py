"""The files of a sharpness report: tables, figures, the page, and ``report.json`` for programs."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.quick_start.environment import versions
from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.aggregate import (
    Levels,
    average_measures,
    compare_runs,
    list_lines,
    list_meanings,
    list_runs,
)
from recbole_samrec.sharpness.entries import choose_reference, describe_entries
from recbole_samrec.sharpness.figure_layout import Drawn
from recbole_samrec.sharpness.figures import draw_figures
from recbole_samrec.sharpness.measure import FULL, QUICK, Budget, Measured
from recbole_samrec.sharpness.notes import list_notes
from recbole_samrec.sharpness.page import write_report
from recbole_samrec.utils.durations import format_duration
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.plot_style import FORMATS

PAGE, ABOUT = "report.html", "report.json"
"""The page, and what a report is of, for programs; the last file that is written."""
write = functools.partial(write_atomically, folder="--out")


@dataclass(frozen=True, repr=False)
class SharpnessReport:
    """The measures of finished runs.

    Attributes:
        folder: Folder of its files; :attr:`page` is the page among them.
        measures: One line for each entry and measure, with a 95 % interval over its runs; see
            :func:`recbole_samrec.sharpness.aggregate.average_measures`.
        runs: One line per run; see :func:`recbole_samrec.sharpness.aggregate.list_runs`.
        comparisons: One line for each measure of an entry minus the reference, with interval, p-values and mark; see
            :func:`recbole_samrec.sharpness.comparisons.compare_entries`. Empty with a single entry.
        lines: The loss along a random direction, one line for each point of a run; see
            :func:`recbole_samrec.sharpness.aggregate.list_lines`.
    """

    folder: Path
    measures: pd.DataFrame
    runs: pd.DataFrame
    comparisons: pd.DataFrame
    lines: pd.DataFrame

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / PAGE

    def __repr__(self) -> str:
        """Show the page and the means of the measures, one column per entry."""
        table = self.measures.pivot(index="measure", columns="entry", values="value")
        table = table.reindex(self.measures["measure"].unique())[list(self.measures["entry"].unique())]
        return f"SharpnessReport of {len(self.runs)} run(s), page {self.page}\n{table.to_string(float_format='%.4g')}"


def write_files(
    runs: Sequence[Measured],
    between: pd.DataFrame,
    budget: Budget,
    out: Path,
    *,
    command: Sequence[str] = (),
    shares: pd.DataFrame | None = None,
    seconds: float = 0.0,
) -> SharpnessReport:
    """Write tables, figures and page with the measures of some runs.

    Args:
        runs: What was measured of each run.
        between: The loss on the lines between runs.
        budget: How much was computed.
        out: Folder of the report.
        command: Words of the command that makes the report.
        shares: The metric against the share of training data.
        seconds: Time that the measuring took, in all calls together.

    Raises:
        ConfigError: A file cannot be written.
    """
    compared = compare_runs(runs, choose_reference(runs))
    found = SharpnessReport(out, average_measures(runs), list_runs(runs), compared, list_lines(runs))
    tables = {"measures": found.measures, "runs": found.runs, "comparisons": found.comparisons, "lines": found.lines}
    tables["between"] = between
    tables |= {f"noise-{number}": one.noise for number, one in enumerate(runs)}
    tables |= {f"histories-{number}": one.changes for number, one in enumerate(runs)}
    (out / ABOUT).unlink(missing_ok=True)  # a report that is being written is not finished
    for name, table in tables.items():
        write(out / f"{name}.csv", table.to_csv(index=False))
    figures = draw_figures(runs, between, out / "figures", shares=shares)
    write_report(
        found.page,
        title=f"Sharpness on {runs[0].record['dataset']}",
        facts=list_report_facts(runs, command, seconds),
        entries=describe_entries(runs),
        comparisons=found.comparisons,
        measures=found.measures,
        runs=found.runs,
        figures=figures,
        notes=list_notes(runs),
        budget=budget,
    )
    remove_former(out, tables, [one.name for one in figures])
    about = describe_report(runs, budget, figures, command, seconds)
    write(out / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return found


def remove_former(out: Path, tables: Iterable[str], figures: Iterable[str]) -> None:
    """Remove tables and figures that a larger report left in the folder, but no other files.

    Args:
        out: Folder of the report.
        tables: Names of the tables that belong to it.
        figures: Names of its figures.
    """
    kept = {f"{name}.csv" for name in tables} | {f"{name}.{form}" for name in figures for form in FORMATS}
    ours = {f"{name}.{form}" for name in captions.FIGURES for form in FORMATS}
    for file in (*out.glob("*.csv"), *(out / "figures").iterdir()):
        if file.name not in kept and (file.name in ours or re.fullmatch(r"(noise|histories)-\d+\.csv", file.name)):
            file.unlink()


def list_report_facts(runs: Sequence[Measured], command: Sequence[str], seconds: float) -> dict[str, str]:
    """Return the facts of a report that its tables do not show."""
    record = runs[0].record
    data = record["data"]
    slopes = [(int(run.parts["sharpness"]["targets"]), run.targets[1]) for run in runs]
    return {
        "data": f"{record['dataset']}: {data['users']} users, {data['items']} items, {data['interactions']} events "
        f"(sha256 {data['sha256'][:12]})",
        "runs": ", ".join(one.name for one in runs),
        "training targets": _counts(one.targets for one in runs),
        "training targets of the gradient": _counts(slopes),
        "time": format_duration(seconds),
        "device": "; ".join(dict.fromkeys(one.device for one in runs if one.device)),
        "command": shlex.join(command),
        "versions": ", ".join(f"{package} {version}" for package, version in versions().items() if version),
    }


def _counts(targets: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{some:,} of {everything:,}" for some, everything in sorted(set(targets)))


def describe_report(
    runs: Sequence[Measured], budget: Budget, figures: Sequence[Drawn], command: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Describe a report for programs; the description contains no absolute path.

    Args:
        runs: The measured runs.
        budget: What was measured, and on how much.
        figures: The figures of the page.
        command: Words of the command.
        seconds: Time of all calls together.

    Returns:
        ``dataset``; ``command``; ``budget`` (``quick`` or ``full``, and the number of ``targets`` if it was set);
        ``seconds`` of all calls together; ``facts``; ``reference``, the entry that others are compared with;
        ``entries``; ``levels`` and ``meanings`` of the measures; and the names of ``notes`` and ``figures``, whose
        texts are in :mod:`recbole_samrec.sharpness.captions`.
    """
    facts = list_report_facts(runs, command, seconds)
    return {
        "dataset": runs[0].record["dataset"],
        "command": shlex.join(map(_relative, command)),
        "budget": _name_budget(budget),
        "seconds": round(seconds, 1),
        "facts": {name: fact for name, fact in facts.items() if name not in ("command", "time")},
        "reference": choose_reference(runs),
        "entries": describe_entries(runs).to_dict("records"),
        "levels": asdict(Levels.choose(runs)),
        "meanings": {measure: asdict(meaning) for measure, meaning in list_meanings(runs).items()},
        "notes": list_notes(runs),
        "figures": [one.name for one in figures],
    }


def _name_budget(budget: Budget) -> str:
    """Return the name of the budget, and its number of targets if it differs."""
    for name, known in {"quick": QUICK, "full": FULL}.items():
        if replace(budget, targets=known.targets) == known:
            return name if budget == known else f"{name}, {budget.targets} targets"
    return "other"


def _relative(word: str) -> str:
    """Return a word of the command with a path relative to the working folder or the checkout, or the path's end."""
    head, equals, named = word.rpartition("=")
    if not named.startswith(("/", "..")):
        return word
    path = Path(os.path.abspath(named))
    homes = (home for home in path.parents if home == Path.cwd() or (home / ".git").exists())
    return head + equals + (path.relative_to(home).as_posix() if (home := next(homes, None)) else path.name)
