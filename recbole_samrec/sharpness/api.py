"""``measure_sharpness``: the command ``sharpness`` for Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from recbole_samrec.sharpness.aggregate import find_common_metric
from recbole_samrec.sharpness.arguments import NamedRun, prepare_folder, read_fractions, read_runs
from recbole_samrec.sharpness.finished_run import load_run
from recbole_samrec.sharpness.measure import FULL, QUICK, Budget, Measured, measure_between, measure_run
from recbole_samrec.sharpness.part_progress import PartBars
from recbole_samrec.sharpness.report import SharpnessReport, write_files
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import require_extra

__all__ = ["SharpnessReport", "measure_sharpness"]


def measure_sharpness(
    run: str | Path,
    *others: str | Path,
    quick: bool = False,
    targets: int | None = None,
    out: str | Path | None = None,
    fractions: str | Path | None = None,
    threads: int | None = None,
    model: str | None = None,
    console: Console | None = None,
) -> SharpnessReport:
    """Measure curvature, sharpness, loss surface and robustness of finished runs on one data set.

    Results are stored, so that the same call continues where an earlier one was interrupted.

    Example::

        from recbole_samrec import measure_sharpness, run

        with_sam = run("SAMRec", "ml-100k", epochs=5).folder
        without = run("SAMRec", "ml-100k", epochs=5, sam_rho=0).folder
        measure_sharpness(with_sam, without, quick=True).comparisons

    Args:
        run: Folder of a finished run, or ``label=folder``; runs with the same label are the seeds of one entry.
        others: More runs.
        quick: Whether to use a smaller sample and fewer points.
        targets: Training targets to measure on; by default 8192, or 2048 if quick.
        out: Folder of the report; by default ``runs/sharpness-<data set>``.
        fractions: A ``<dataset>-fractions.csv`` of ``compare`` to draw as well.
        threads: Threads to compute with; by default torch's.
        model: ``file.py:Name`` of your own model.
        console: Console for progress; by default the terminal or notebook.

    Returns:
        The report, whose files are in its folder.

    Raises:
        UserError: An argument or a run cannot be used.
    """
    require_extra("report", "sharpness")
    for name, number in {"targets": targets, "threads": threads}.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number}: give a number of at least 1")
    if threads:
        torch.set_num_threads(threads)
    budget = QUICK if quick else FULL
    budget = replace(budget, targets=targets) if targets else budget
    words = [str(one) for one in (run, *others)]
    options = {"targets": targets, "out": out, "fractions": fractions, "threads": threads, "model": model}
    command = ["python", "-m", "recbole_samrec", "sharpness", *words, *["--quick"] * quick]
    command += [f"--{name}={value}" for name, value in options.items() if value is not None]
    runs = read_runs(words)
    shares = None if fractions is None else read_fractions(Path(fractions), find_common_metric(runs))
    folder = Path("runs", f"sharpness-{runs[0].record['dataset']}") if out is None else Path(out)
    with prepare_folder(folder):
        measured, between, seconds = _measure_all(runs, budget, folder, model, console or Console())
        return write_files(measured, between, budget, folder, command=command, shares=shares, seconds=seconds)


def _measure_all(
    runs: Sequence[NamedRun], budget: Budget, out: Path, source: str | None, console: Console
) -> tuple[list[Measured], pd.DataFrame, float]:
    """Measure all runs; all are loaded first, so that one that cannot be measured fails early."""
    solutions = [load_run(one.folder, budget.targets, source) for one in runs]
    measured: list[Measured] = []
    for number, (named, solution) in enumerate(zip(runs, solutions, strict=True), 1):
        solution.label = named.label
        found = f"{solution.targets} of {solution.all_targets} training targets"
        print_line(console, f"{number} of {len(runs)}: {named.name}, {named.folder}: {found}")
        with PartBars(console) as bars:
            measured.append(measure_run(solution, budget, out, bars))
    with PartBars(console) as bars:
        between, seconds = measure_between(solutions, budget, out, bars)
    return measured, between, seconds + sum(one.seconds for one in measured)
