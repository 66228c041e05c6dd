"""Write ``results/sharpness.md`` and its picture from finished reports of the command ``sharpness``.

Every folder under ``--reports`` is one report. All numbers and sentences of the page follow from the reports' tables; a
file ``title.txt`` in a report's folder says in a line what the report is. The picture is drawn from the arrays of the
report, which a checkout does not hold: without them it stays as it is.
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

from benchmarks.report import markdown
from recbole_samrec.experiments.jobs import slug
from recbole_samrec.experiments.progress import spoken
from recbole_samrec.sharpness.aggregate import TARGETS, TOP, TRACE
from recbole_samrec.sharpness.figure_layout import style
from recbole_samrec.sharpness.measure import DATA, Measured
from recbole_samrec.sharpness.surface_figures import Scale, contours, rise_of, surfaces
from recbole_samrec.sharpness.verdict import DIGITS, rounded_to
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import DataError, UserError, in_one_line
from recbole_samrec.utils.files import write_atomically
from tools.sharpness_answers import accompanied, flattened, sharp
from tools.sharpness_reports import Report, read_all

FIGURES = ("contours", "density", "noise", "histories")
"""Figures that the page shows of each report."""
PAIR, SEED = ("SASRec", "SAMRec"), 2020
"""Whose surfaces the picture shows side by side, and of which seed."""
MISSED = "† It did not converge in all runs: a rough estimate, which no sentence rests on."
HOW = """\
A figure is the mean over the runs of a label ± half of its 95 % interval by Student's t; of one run the interval is
that of the estimate, where probes or draws make one. Two labels are told apart where their intervals do not overlap, in
sharpness only if they lowered the same loss. All losses and their curvature are those of a sample of the training
targets, without dropout. Adaptive measures count each weight's move in units of that weight."""
QUESTIONS = {
    "Is SASRec's minimum sharp?": sharp,
    "Does SAM flatten it?": flattened,
    "Does flatness go with accuracy and robustness?": accompanied,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the command line; an error of the reports is one line and status 2."""
    options = _parser().parse_args(arguments)
    image = options.out.with_name(f"{options.out.stem}-surfaces.png")
    try:
        reports, unfinished = read_all(options.reports)
        for name in unfinished:
            print(f"{options.reports / name}: no finished report, left out", file=sys.stderr)
        shown = pictured(reports)
        drawn = picture(shown) if shown else None
        options.out.parent.mkdir(parents=True, exist_ok=True)
        if drawn is not None:
            with checkpoint_io.writing(image) as file:
                file.write(drawn)
        write_atomically(options.out, page(reports, options.out, image))
    except (UserError, OSError) as error:
        print(f"error: {in_one_line(error)}", file=sys.stderr)
        return 2
    if drawn is None:
        print(f"{image}: not drawn, as the arrays of {' and '.join(PAIR)}, seed {SEED}, are not here", file=sys.stderr)
    print(f"written to {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.sharpness_page", description=__doc__.partition("\n")[0])
    parser.add_argument("--reports", type=Path, default=Path("results/sharpness"), help="folder of the reports")
    parser.add_argument("--out", type=Path, default=Path("results/sharpness.md"), help="the page that is written")
    return parser


def page(reports: Sequence[Report], out: Path, image: Path) -> str:
    """The whole page in Markdown.

    Args:
        reports: What it is made of.
        out: Where it will lie, so that its links hold.
        image: The picture of the two surfaces, shown if it is there.

    Raises:
        DataError: A figure of a report is not there.
    """
    parts = ["# Sharpness", "Made by `python -m tools.sharpness_page` from the reports; do not edit."]
    if image.exists() and (shown := pictured(reports)):
        words = f"Loss surfaces of {' and '.join(PAIR)}, seed {SEED}, on one scale"
        parts += [f"![{words}]({_link(image, out)})", f"{words}, from {_text(shown.name)}."]
    parts += ["## Summary", HOW, markdown(_overview(reports)), _columns(reports)]
    parts += [MISSED] * any(_missed(report) for report in reports)
    for question, answer in QUESTIONS.items():
        first, *lines = answer(reports)
        parts += [f"## {question}", _text(first), _bullets(lines)]
    if noted := [report.name for report in reports if report.about["notes"]]:
        parts.append(f"Not all comparisons are of like with like: see the notes on {_text(', '.join(noted))}.")
    for report in reports:
        parts += _section(report, out)
    return "\n\n".join(filter(None, parts)) + "\n"


def _overview(reports: Sequence[Report]) -> pd.DataFrame:
    """A line for each report and label, with the measures that stand for their kinds."""
    lines = []
    for report in reports:
        for label in report.labels:
            cells = {name: _cell(report, label, measure) for name, measure in _shown(report).items()}
            lines.append({"report, label": _cell_text(f"{report.name}, {label}"), **cells})
    return pd.DataFrame(lines)


def _shown(report: Report) -> dict[str, str]:
    """The columns of the overview, and which measure of a report stands in each."""
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


def _columns(reports: Sequence[Report]) -> str:
    """What the columns of the overview are, report by report if they are not the same."""
    meant: dict[str, list[str]] = {}
    for report in reports:
        said = "; ".join(f"*{name}* is {measure}" for name, measure in _shown(report).items() if name != measure)
        meant.setdefault(said, []).append(report.name)
    if len(meant) == 1:
        return f"{next(iter(meant))}."
    return "\n".join(f"- {_text(', '.join(names))}: {said}." for said, names in meant.items())


def _section(report: Report, out: Path) -> list[str]:
    """All that is shown of one report."""
    about, facts = report.about, report.about["facts"]
    runs = "; ".join(f"{label}: {_seeds(report.seeds(label))}" for label in report.labels)
    parts = [f"## {_text(f'{report.name}: {report.title}' if report.title else report.name)}"]
    parts.append(f"{_text(about['dataset'])}; {_text(runs)}.")
    parts.append(f"```bash\n{about['command']}\n```")
    measured = [facts.get("data"), facts.get("measured on"), f"budget: {about['budget']}", facts.get("device")]
    measured += [facts.get("versions"), f"{spoken(about['seconds'])} of measuring"]
    parts.append(f"{_text('; '.join(filter(None, measured)))}.")
    parts.append(markdown(_measures(report)))
    parts += [MISSED] * _missed(report)
    parts.append(_bullets(report.sentences))
    parts += [f"Note: {_text(note)}" for note in about["notes"]]
    return parts + _figures(report, out)


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"


def _measures(report: Report) -> pd.DataFrame:
    """All measures of a report, a column for each label."""
    names = dict.fromkeys(report.measures["measure"])
    columns = {"measure": [_cell_text(name) for name in names]}
    for label in report.labels:
        columns[_cell_text(label)] = [_cell(report, label, name) for name in names]
    return pd.DataFrame(columns)


def _cell(report: Report, label: str, measure: str) -> str:
    """A measure of a label with its interval; marked where it did not converge."""
    line = report.line(label, measure)
    if line is None:
        return "not measured"
    half = (line.high - line.low) / 2
    if not math.isfinite(line.value):
        return "not finite"
    value = _with_spread(line.value, half) if half > 0 else rounded_to(line.value, DIGITS)
    return value if line.converged else f"(about {value}) †"


def _missed(report: Report) -> bool:
    return not report.measures["converged"].all()


def _figures(report: Report, out: Path) -> list[str]:
    """The figures of a report that the page shows, with their captions."""
    known, parts = {figure["name"]: figure for figure in report.about["figures"]}, []
    for name in (name for name in FIGURES if name in known):
        file = report.folder / "figures" / f"{name}.png"
        if not file.exists():
            raise DataError(f"{file}: it is not there; run the command of its report again")
        alt = _text(known[name]["alt"]).replace("[", "(").replace("]", ")")
        parts += [f"![{alt}]({_link(file, out)})", f"{_text(known[name]['title'])}. {_text(known[name]['caption'])}"]
    return parts


def pictured(reports: Sequence[Report]) -> Report | None:
    """The report whose surfaces the picture shows: the first with runs of both labels and the seed."""
    return next((report for report in reports if all(SEED in report.seeds(label) for label in PAIR)), None)


def picture(report: Report) -> bytes | None:
    """The surfaces of SASRec and SAMRec side by side, in relief and from above, on one scale, as PNG.

    Returns:
        The picture, or None where the report's arrays are not there.

    Raises:
        DataError: The arrays are damaged.
    """
    runs = [_surface_of(report, label) for label in PAIR]
    if None in runs:
        return None
    scale = Scale.of([rise_of(run.parts["surface"]) for run in runs])
    with style():
        return _above_each_other([draw(runs, scale).png for draw in (surfaces, contours)])


def _surface_of(report: Report, label: str) -> Measured | None:
    """The surface of a label's run with the seed, as far as its pictures need to know the run."""
    run = report.runs[(report.runs["label"] == label) & (report.runs["seed"] == SEED)].iloc[0]
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
    return Measured(run["run"], label, SEED, {"surface": surface}, nothing, nothing, {}, targets)


def _above_each_other(images: Sequence[bytes]) -> bytes:
    """Pictures of one width as one, the first on top."""
    from matplotlib.image import imread, imsave

    stored = io.BytesIO()
    whole = np.vstack([imread(io.BytesIO(image), format="png") for image in images])
    imsave(stored, whole, format="png", metadata={"Software": None})
    return stored.getvalue()


def _with_spread(value: float, half: float) -> str:
    """A figure as far as its interval lets it be known: two digits of the interval, and as many places of the value."""
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_text(line)}" for line in lines)


def _cell_text(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: Any) -> str:
    """Words of others, in which nothing is HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)


def _link(file: Path, out: Path) -> str:
    """Where a file lies as seen from the page."""
    return quote(Path(os.path.relpath(file, out.parent)).as_posix())


if __name__ == "__main__":
    sys.exit(main())
