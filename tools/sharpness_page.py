"""Write ``results/sharpness.md``, its CSV and its picture from finished reports of the command ``sharpness``.

Each folder under ``--reports`` is one report; a file ``title.txt`` in it names what the report is about. The picture is
drawn from the arrays of the report, which a checkout does not contain: without them it stays as it is.
"""

from __future__ import annotations

import argparse
import html
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from benchmarks.report import format_markdown
from recbole_samrec.evaluator.marks import (
    NOT_COMPARABLE,
    NOT_CONVERGED,
    SIGNIFICANT,
    UNCORRECTED,
    explain_marks,
)
from recbole_samrec.experiments.job_folders import slug
from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.aggregate import TARGETS, TOP, TRACE
from recbole_samrec.sharpness.measure import DATA, Measured
from recbole_samrec.sharpness.page import format_number, round_digits
from recbole_samrec.sharpness.surface_figures import Scale, compute_rise, draw_contours, draw_surfaces
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.durations import format_duration
from recbole_samrec.utils.errors import DataError, UserError, flatten_message
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.plot_style import use_style
from tools.sharpness_reports import Report, read_all

FIGURES = ("contours", "density", "noise", "histories")
"""Figures that the page shows of each report."""
PAIR, SEED = ("SASRec", "SAMRec"), 2020
"""Entries whose surfaces the picture shows side by side, and the seed."""
NOTHING = "\N{EN DASH}"
MISSED = f"{NOT_CONVERGED}: the estimate did not converge in all runs and is approximate."
LOSSES = "All losses and their curvature are those of a sample of the training targets, without dropout."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors in the reports are printed in one line, with status 2."""
    options = _make_parser().parse_args(arguments)
    image = options.out.with_name(f"{options.out.stem}-surfaces.png")
    try:
        reports, unfinished = read_all(options.reports)
        for name in unfinished:
            print(f"{options.reports / name}: no finished report, skipped", file=sys.stderr)
        shown = find_pictured(reports)
        drawn = draw_picture(shown) if shown else None
        options.out.parent.mkdir(parents=True, exist_ok=True)
        if drawn is not None:
            with checkpoint_io.open_atomically(image) as file:
                file.write(drawn)
        write_atomically(options.out, render_page(reports, options.out, image), folder="--out")
        write_atomically(options.out.with_suffix(".csv"), list_comparisons(reports).to_csv(index=False), folder="--out")
    except (UserError, OSError) as error:
        print(f"error: {flatten_message(error)}", file=sys.stderr)
        return 2
    if drawn is None:
        print(f"{image}: not drawn, as the arrays of {' and '.join(PAIR)}, seed {SEED}, are not here", file=sys.stderr)
    print(f"written to {options.out}")
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.sharpness_page", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--reports", type=Path, default=Path("results/records/sharpness"), help="folder of the reports")
    add("--out", type=Path, default=Path("results/sharpness.md"), help="the page that is written")
    return parser


def list_comparisons(reports: Sequence[Report]) -> pd.DataFrame:
    """Return the comparisons of all reports in one table, the name of the report in its first column."""
    tables = [report.comparisons for report in reports]
    for table, report in zip(tables, reports, strict=True):
        table.insert(0, "report", report.name)
    return pd.concat(tables, ignore_index=True)


def render_page(reports: Sequence[Report], out: Path, image: Path) -> str:
    """Return the whole page in Markdown.

    Args:
        reports: What it is made of.
        out: Where it will be, so that its links are right.
        image: The picture of the two surfaces, shown if it exists.

    Raises:
        DataError: A figure of a report is missing.
    """
    parts = ["# Sharpness", "Made by `python -m tools.sharpness_page` from the reports; do not edit."]
    if image.exists() and (shown := find_pictured(reports)):
        title = f"Loss surfaces of {' and '.join(PAIR)}, seed {SEED}, on one scale"
        parts += [f"![{title}]({_link(image, out)})", f"{title}, from {_text(shown.name)}."]
    parts += ["## Differences from the reference", format_markdown(_list_differences(reports))]
    parts += [_text(captions.DIFFERENCES) + " Each report is a table of its own for this correction."]
    parts += [_text(captions.RESCALING), *explain_marks(SIGNIFICANT, UNCORRECTED, NOT_CONVERGED, NOT_COMPARABLE)]
    parts += ["## Measures", format_markdown(_list_measures(reports)), _text(f"{captions.MEASURES} {LOSSES}")]
    parts += [_explain_columns(reports), *[MISSED] * any(map(_has_missed, reports))]
    for report in reports:
        parts += _write_section(report, out)
    return "\n\n".join(filter(None, parts)) + "\n"


def _list_differences(reports: Sequence[Report]) -> pd.DataFrame:
    """Return the comparisons of all reports, formatted for the page."""
    return pd.DataFrame(
        {
            "report": _cell_text(line.report),
            "entry \N{MINUS SIGN} reference": _cell_text(f"{line.entry} \N{MINUS SIGN} {line.reference}"),
            "measure": _cell_text(line.measure),
            "better": line.better,
            "difference": _signed(line.difference),
            "95 % CI": NOTHING if math.isnan(line.low) else f"{_signed(line.low)} to {_signed(line.high)}",
            "p": format_number(line.p, 3) or NOTHING,
            "p (Holm)": format_number(line.p_holm, 3) or NOTHING,
            "n": f"{line.runs}, {line.reference_runs}",
            "mark": line.mark,
        }
        for line in list_comparisons(reports).itertuples()
    )


def _signed(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{'+' if value > 0 else ''}{format_number(value, 3)}".replace("-", "\N{MINUS SIGN}")


def _list_measures(reports: Sequence[Report]) -> pd.DataFrame:
    """Return one line per report and entry, with one measure of each kind."""
    lines = []
    for report in reports:
        for entry in report.entries:
            cells = {name: _cell(report, entry, measure) for name, measure in _choose_columns(report).items()}
            lines.append({"report, entry": _cell_text(f"{report.name}, {entry}"), **cells})
    return pd.DataFrame(lines)


def _choose_columns(report: Report) -> dict[str, str]:
    """Return the columns of the table of measures, and the measure of a report in each."""
    levels = report.levels
    return {
        TOP: TOP,
        TRACE: TRACE,
        "ascent rise": levels.ascent,
        "adaptive rise": levels.adaptive_ascent,
        "test": levels.accuracy,
        "under noise": levels.under_noise,
        "events dropped": levels.under_drops,
    }


def _explain_columns(reports: Sequence[Report]) -> str:
    """Return the meaning of the columns of the table of measures, for each report if they differ."""
    meant: dict[str, list[str]] = {}
    for report in reports:
        columns = "; ".join(
            f"*{name}*: {measure}" for name, measure in _choose_columns(report).items() if name != measure
        )
        meant.setdefault(columns, []).append(report.name)
    if len(meant) == 1:
        return f"{next(iter(meant))}."
    return "\n".join(f"- {_text(', '.join(names))}: {columns}." for columns, names in meant.items())


def _write_section(report: Report, out: Path) -> list[str]:
    """Return the parts of the page about one report."""
    about = report.about
    parts = [f"## {_text(f'{report.name}: {report.title}' if report.title else report.name)}"]
    parts.append(f"```bash\n{about['command']}\n```")
    facts = {**about["facts"], "budget": about["budget"], "time of measuring": format_duration(about["seconds"])}
    parts.append(
        format_markdown(pd.DataFrame({"fact": list(facts), "value": [_cell_text(fact) for fact in facts.values()]}))
    )
    entries = pd.DataFrame(about["entries"]).drop(columns="differing").map(_cell_text)
    parts += [format_markdown(entries.rename(columns={"loss": "training loss", "ranking": "test ranking"}))]
    parts += [format_markdown(_list_all_measures(report)), *[MISSED] * _has_missed(report)]
    parts += [f"Note: {_text(captions.NOTES[note])}" for note in about["notes"]]
    return parts + _show_figures(report, out)


def _list_all_measures(report: Report) -> pd.DataFrame:
    """Return all measures of a report, one column per entry."""
    names = dict.fromkeys(report.measures["measure"])
    columns = {"measure": [_cell_text(name) for name in names]}
    for entry in report.entries:
        columns[_cell_text(entry)] = [_cell(report, entry, name) for name in names]
    return pd.DataFrame(columns)


def _cell(report: Report, entry: str, measure: str) -> str:
    """Return a measure of an entry with its interval, marked where it did not converge."""
    line = report.line(entry, measure)
    if line is None:
        return "not measured"
    half = (line.high - line.low) / 2
    if not math.isfinite(line.value):
        return "not finite"
    value = _with_spread(line.value, half) if half > 0 else round_digits(line.value)
    return value if line.converged else f"{value} {NOT_CONVERGED}"


def _has_missed(report: Report) -> bool:
    return not report.measures["converged"].all()


def _show_figures(report: Report, out: Path) -> list[str]:
    """Return the figures of a report that the page contains, with their captions."""
    parts = []
    for name in (name for name in FIGURES if name in report.about["figures"]):
        file = report.folder / "figures" / f"{name}.png"
        if not file.exists():
            raise DataError(f"{file}: it is missing; run the command of its report again")
        caption = captions.FIGURES[name]
        parts += [f"![{caption.alt}]({_link(file, out)})", f"{caption.title}. {_text(caption.text)}"]
    return parts


def find_pictured(reports: Sequence[Report]) -> Report | None:
    """Find the report whose surfaces the picture shows: the first one with runs of both entries and the seed."""
    return next((report for report in reports if all(SEED in report.seeds(entry) for entry in PAIR)), None)


def draw_picture(report: Report) -> bytes | None:
    """Draw the surfaces of SASRec and SAMRec side by side, in relief and from above, on one scale, as PNG.

    Returns:
        The picture, or None where the report's arrays are missing.

    Raises:
        DataError: The arrays are damaged.
    """
    runs = [_read_surface(report, entry) for entry in PAIR]
    if None in runs:
        return None
    scale = Scale.fit([compute_rise(run.parts["surface"]) for run in runs])
    with use_style():
        return _stack_images([draw(runs, scale).png for draw in (draw_surfaces, draw_contours)])


def _read_surface(report: Report, entry: str) -> Measured | None:
    """Read the surface of an entry's run with the seed, without parts of the run that pictures do not need."""
    run = report.runs[(report.runs["entry"] == entry) & (report.runs["seed"] == SEED)].iloc[0]
    file = report.folder / DATA / slug(run["run"]) / "surface.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            surface = {name: stored[name] for name in ("x", "y", "loss")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{file}: it is damaged ({error}); run the command of its report again") from error
    targets = (int(run[TARGETS]), int(run["training targets in all"]))
    nothing = pd.DataFrame()
    return Measured(run["run"], entry, SEED, {"surface": surface}, nothing, nothing, {}, targets)


def _stack_images(images: Sequence[bytes]) -> bytes:
    """Stack pictures of equal width into one, the first on top."""
    from matplotlib.image import imread, imsave

    stored = io.BytesIO()
    whole = np.vstack([imread(io.BytesIO(image), format="png") for image in images])
    imsave(stored, whole, format="png", metadata={"Software": None})
    return stored.getvalue()


def _with_spread(value: float, half: float) -> str:
    """Format a number with its interval: two digits of the interval, and as many decimals of the number."""
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def _cell_text(text: Any) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: Any) -> str:
    """Escape text so that it contains no HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)


def _link(file: Path, out: Path) -> str:
    """Return the path of a file relative to the page."""
    return quote(Path(os.path.relpath(file, out.parent)).as_posix())


if __name__ == "__main__":
    sys.exit(main())
