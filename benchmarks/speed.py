"""Measure speed and memory side by side and write ``results/speed.md`` and ``results/speed.csv``.

Every measurement runs in a separate process. The entries of a table take turns, repetition after repetition, so that
other load on the machine affects all of them alike; an idle machine is best. Finished measurements are kept under
``runs/bench``; the same command measures what is missing. Those of older code are kept too, and the page names all
revisions; ``--fresh`` starts over.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import cases, machine
from benchmarks.figures import tabulate_figures
from benchmarks.records import Measurement, Records
from benchmarks.report import Results, build_tables, render_page

PARTS = ("epochs", "variants", "beside", "convergence", "growth")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _make_parser().parse_args(arguments)
    console, results = _make_console(), Results(skipped=explain_skipped(options.datasets))
    records = Records(options.records, options.fresh)
    base = _measure_imports(options.threads)
    results.add(base, records.find(base) or records.measure(base))
    planned = list(plan_measurements(options.datasets, options.parts, options.repetitions, options.threads, results))
    for number, measurement in enumerate(planned, 1):
        stored = records.find(measurement)
        begun = time.perf_counter()
        result = stored or records.measure(measurement)
        results.add(measurement, result)
        took = "kept" if stored else f"{time.perf_counter() - begun:.0f} s"
        figure = result.get("failed") or (f"{result['epoch']:.2f} s an epoch" if "epoch" in result else "done")
        console.print(
            f"{number}/{len(planned)}  {measurement.name}  {figure}  ({took})", highlight=False, soft_wrap=True
        )
    for title, frame, _ in build_tables(results):
        console.print(make_rich_table(title, frame))
    command = shlex.join(["python", "-m", "benchmarks.speed", *(sys.argv[1:] if arguments is None else arguments)])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(render_page(results, command, machine.describe_machine(options.threads)), encoding="utf-8")
    tabulate_figures(results).to_csv(options.out.with_suffix(".csv"), index=False)
    console.print(f"written to {options.out}")


def _make_console() -> Console:
    """Make the console, with room for a table's columns if it is a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.partition("\n")[0])
    for name, known in (("datasets", tuple(cases.DATASETS)), ("parts", PARTS)):
        parser.add_argument(f"--{name}", type=_make_reader(known), default=known, help=f"some of {','.join(known)}")
    parser.add_argument("--repetitions", type=int, default=3, help="how often every entry is measured")
    parser.add_argument("--threads", type=int, default=2, help="threads of every process")
    parser.add_argument("--out", type=Path, default=Path("results/speed.md"), help="the page, with a .csv beside it")
    parser.add_argument("--records", type=Path, default=Path("runs/bench"), help="where measurements are kept")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    return parser


def _make_reader(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a function that reads names separated by commas."""

    def some(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{','.join(unknown)}: choose among {', '.join(known)}")
        return names

    return some


def explain_skipped(datasets: Sequence[str]) -> dict[str, str]:
    """Explain which entries and data sets are not measured on this machine."""
    missing = [name for name in datasets if name != "ml-100k" and not Path("dataset", name, f"{name}.inter").exists()]
    reasons = {name: f"it is not in dataset/{name}; see the README's section Data" for name in missing}
    if reason := machine.explain_no_bf16():
        reasons[cases.BF16] = reason
    if reason := machine.explain_no_compiler():
        reasons[cases.COMPILED] = reason
    return reasons


def plan_measurements(
    datasets: Sequence[str], parts: Sequence[str], repetitions: int, threads: int, results: Results
) -> Iterator[Measurement]:
    """Plan all measurements in order: the entries of a table take turns."""
    for dataset in datasets:
        if "epochs" in parts and dataset not in results.skipped:
            most = cases.MOST_REPETITIONS.get(dataset, repetitions)
            yield from _take_turns(
                "epochs", dataset, _select_possible(cases.MAIN, results), min(repetitions, most), threads
            )
    if "variants" in parts:
        yield from _take_turns("variants", "ml-100k", cases.VARIANTS, repetitions, threads)
        yield from _take_turns("variants", "ml-100k", cases.TWO_PASSES, 1, threads)
    if "beside" in parts:
        yield from _take_turns("beside", "ml-100k", _select_possible(cases.BESIDE, results), 1, threads)
    if "convergence" in parts:
        for name, entry in cases.CONVERGENCE.items():
            yield Measurement("convergence", "ml-100k", name, 1, cases.make_convergence_request(entry, threads))
    if "growth" in parts:
        for name, request in cases.make_growth_requests(threads).items():
            yield Measurement("growth", "synthetic", name, 1, request)
    if results.gpu and "ml-1m" in datasets and "ml-1m" not in results.skipped:
        yield from _take_turns("gpu", "ml-1m", cases.MAIN, repetitions, threads, device="cuda")


def _select_possible(entries: dict[str, cases.Entry], results: Results) -> dict[str, cases.Entry]:
    """Select the entries that this machine can measure."""
    return {name: entry for name, entry in entries.items() if name not in results.skipped}


def _take_turns(
    part: str, dataset: str, entries: dict[str, cases.Entry], repetitions: int, threads: int, device: str = "cpu"
) -> Iterator[Measurement]:
    for repetition in range(1, repetitions + 1):
        for name, entry in entries.items():
            yield Measurement(part, dataset, name, repetition, cases.make_request(entry, dataset, threads, device))


def _measure_imports(threads: int) -> Measurement:
    return Measurement("imports", "none", "imports", 1, {"what": "imports", "threads": threads, "device": "cpu"})


def make_rich_table(title: str, frame: Any) -> Any:
    """Make a table for the terminal."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(frame.columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for cells in frame.itertuples(index=False):
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    main()
