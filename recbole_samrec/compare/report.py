"""All tables and plots of a comparison, written to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recbole_samrec import checkpoint
from recbole_samrec.compare import plots, render
from recbole_samrec.compare.captions import Made, Setting, Tuning, title, work
from recbole_samrec.compare.grids import Page, fractions_page, groups_page, main_page
from recbole_samrec.compare.groups import group_table
from recbole_samrec.compare.tables import disagreements, fraction_table, main_table
from recbole_samrec.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recbole_samrec.compare.runs import Run


def write_tables(
    runs: Sequence[Run],
    out: str | Path,
    *,
    rows: Sequence[str] = (),
    reasons: Mapping[str, Mapping[str, str]] | None = None,
    masked: bool = False,
    tuned: Mapping[str, Tuning] | None = None,
    command: str = "",
    settings: Mapping[str, str] | None = None,
) -> dict[str, Page]:
    """Write the tables and plots of each data set.

    They are ``<dataset>``, ``<dataset>-groups`` and, where runs differ in the share of the users that they
    were trained on, ``<dataset>-fractions``, each as ``.md``, ``.csv``, ``.tex``, ``.png`` and ``.pdf``. The first two
    show the runs with the largest share. With the history left out they are ``<dataset>-masked`` and so on, of tuned
    rows ``<dataset>-tuned`` and ``<dataset>-tuned-masked``. Each file is at every moment the old or the new one.

    Args:
        runs: The finished runs; those of one data set ranked the same items for the same users.
        out: Folder to write to; it is made if need be.
        rows: Labels in the order to show; the first is the reference. By default in the order of the runs.
        reasons: For each data set and row, why runs failed or are waiting.
        masked: Whether what a user had before is left out of the rankings.
        tuned: For each data set, how its rows were tuned.
        command: The command that makes the tables.
        settings: For each data set, what its page says of the settings, as yaml.

    Returns:
        The main page of each data set.

    Raises:
        DataError: The folder cannot be written.
    """
    reasons = reasons or {}
    pages = {}
    for dataset in dict.fromkeys([*(run.dataset for run in runs), *reasons]):
        why = reasons.get(dataset, {})
        of_set = [run for run in runs if run.dataset == dataset]
        order = list(dict.fromkeys([*rows, *(run.row for run in of_set), *why]))
        made = Made(command, (settings or {}).get(dataset, ""), work(of_set)) if command else None
        pages[dataset] = _data_set(dataset, of_set, Path(out), order, why, masked, (tuned or {}).get(dataset), made)
    return pages


def _data_set(
    dataset: str,
    runs: list[Run],
    out: Path,
    rows: list[str],
    why: Mapping[str, str],
    masked: bool,
    tuned: Tuning | None,
    made: Made | None,
) -> Page:
    """Write what there is of one data set, and return its main page."""
    stem = out / f"{dataset}{'-tuned' if tuned else ''}{'-masked' if masked else ''}"
    how, notes = (tuned.words, tuned.notes) if tuned else ("", ())
    if not runs:
        reasons = [f"{row}: {reason}" for row, reason in why.items()]
        page = Page(stem.name, "No run has finished.", [], [*reasons, *notes])
        earlier = stem.with_name(f"{stem.name}.md").exists()  # of other rows, and whole
        return page if earlier else _write(stem, page, None, None)
    shares = sorted({run.fraction for run in runs})
    notes = [*notes, *(line for run in runs for line in disagreements(run))]
    whole = [run for run in runs if run.fraction == shares[-1]]
    main = _main(whole, stem, rows, why, notes, masked, how, made)
    _groups(whole, stem.with_name(f"{stem.name}-groups"), rows, masked, how)
    if len(shares) > 1:
        _fractions(runs, stem.with_name(f"{stem.name}-fractions"), rows, masked, how)
    return main


def _main(
    runs: list[Run],
    path: Path,
    rows: list[str],
    why: Mapping[str, str],
    notes: list[str],
    masked: bool,
    tuned: str,
    made: Made | None,
) -> Page:
    table, setting = main_table(runs, rows, why, masked), Setting.of(runs, masked, tuned)
    page = main_page(table, setting, notes, f"{path.name}.png", made)
    return _write(path, page, table, lambda: plots.accuracy(table, _title(setting)))


def _groups(runs: list[Run], path: Path, rows: list[str], masked: bool, tuned: str) -> Page:
    table, setting = group_table(runs, masked), Setting.of(runs, masked, tuned)
    rows = [row for row in rows if row in set(table["row"])]
    page = groups_page(table, rows, setting, f"{path.name}.png")
    return _write(path, page, table, lambda: plots.groups(table, rows, _title(setting)))


def _fractions(runs: list[Run], path: Path, rows: list[str], masked: bool, tuned: str) -> Page:
    table, setting = fraction_table(runs, rows, masked), Setting.of(runs, masked, tuned)
    rows = [row for row in rows if row in set(table["row"])]
    page = fractions_page(table, rows, setting, f"{path.name}.png")
    return _write(path, page, table, lambda: plots.fractions(table, rows, _title(setting)))


def _title(setting: Setting) -> str:
    spread = ", mean ± standard deviation over seeds" if setting.seeds[-1] > 1 else ""
    return f"{title(setting)}{spread}"


def _write(path: Path, page: Page, table: pd.DataFrame | None, draw: Callable[[], Figure] | None) -> Page:
    """Write a page, its numbers and its plot beside each other; return the page."""
    files = {"md": render.markdown(page).encode()}
    if table is not None:
        files |= {"csv": render.csv(table).encode(), "tex": render.latex(page).encode()}
    if draw is not None:
        figure = draw()
        files |= {form: plots.rendered(figure, form) for form in plots.FORMATS}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in files.items():
            with checkpoint.writing(path.with_name(f"{path.name}.{suffix}")) as file:
                file.write(content)
    except OSError as error:
        raise DataError(f"{path.parent}: tables cannot be written ({error.strerror}); choose another --out") from error
    return page
