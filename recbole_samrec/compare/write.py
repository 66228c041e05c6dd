"""All tables and plots of a comparison, written to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recbole_samrec.compare import formats, plots
from recbole_samrec.compare.captions import Made, Setting, Tuning, spread, title, work
from recbole_samrec.compare.groups import group_table
from recbole_samrec.compare.layout import Page, fractions_page, groups_page, main_page
from recbole_samrec.compare.provenance import Origin, sentences
from recbole_samrec.compare.tables import disagreements, fraction_table, main_table
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recbole_samrec.experiments.results import Run

MASKED = {False: "", True: "-masked"}


def write_tables(
    runs: Sequence[Run],
    out: str | Path,
    *,
    rows: Sequence[str] = (),
    variant_of: Mapping[str, str] | None = None,
    reasons: Mapping[str, Mapping[str, str]] | None = None,
    masked: bool = False,
    both: bool = False,
    tuned: Mapping[str, Tuning] | None = None,
    origins: Sequence[Origin] = (),
    command: str = "",
    settings: Mapping[str, str] | None = None,
) -> dict[str, Page]:
    """Write the tables and plots of each data set.

    They are ``<dataset>``, ``<dataset>-groups`` and, where runs differ in the share of the users that they
    were trained on, ``<dataset>-fractions``, each as ``.md``, ``.csv``, ``.tex``, ``.png`` and ``.pdf``. The first two
    show the runs with the largest share. With the history left out they are ``<dataset>-masked`` and so on, of tuned
    rows ``<dataset>-tuned`` and ``<dataset>-tuned-masked``; where no run was trained on all users, the largest share
    comes first, as in ``<dataset>-0.2``. Each file is at every moment the old or the new one.

    Args:
        runs: The finished runs; those of one data set ranked the same items for the same users.
        out: Folder to write to; it is made if need be.
        rows: Labels in the order to show; the first is the reference. By default in the order of the runs.
        variant_of: Of each row that is another one's variant, that row.
        reasons: For each data set and row, why runs failed or are waiting.
        masked: Whether what a user had before is left out of the rankings.
        both: Whether the tables with the history and without it are both written, so that they can name each other.
        tuned: For each data set, how its rows were tuned.
        origins: Where settings come from that are no defaults.
        command: The command that makes the tables.
        settings: For each data set, what its page says of the settings, as yaml.

    Returns:
        The main page of each data set.

    Raises:
        DataError: The folder cannot be written.
    """
    reasons, pages = reasons or {}, {}
    masks = (masked, not masked) if both else (masked,)
    for dataset in dict.fromkeys([*(run.dataset for run in runs), *reasons]):
        why = reasons.get(dataset, {})
        of_set = [run for run in runs if run.dataset == dataset]
        order = list(dict.fromkeys([*rows, *(run.row for run in of_set), *why]))
        made = Made(command, (settings or {}).get(dataset, ""), work(of_set)) if command else None
        how, said = (tuned or {}).get(dataset), sentences(origins, of_set)
        pages[dataset] = _data_set(of_set, Path(out), dataset, order, variant_of or {}, why, masks, how, said, made)
    return pages


def _data_set(
    runs: list[Run],
    out: Path,
    stem: str,
    rows: list[str],
    variant_of: Mapping[str, str],
    why: Mapping[str, str],
    masks: Sequence[bool],
    tuned: Tuning | None,
    origins: str,
    made: Made | None,
) -> Page:
    """Write what there is of one data set for the first of some masks, and return its main page."""
    shares = sorted({run.fraction for run in runs})
    share = f"-{shares[-1]:g}" if shares and shares[-1] < 1 else ""
    stem = f"{stem}{share}{'-tuned' if tuned else ''}"
    name = f"{stem}{MASKED[masks[0]]}"
    how, notes = (tuned.words, tuned.notes) if tuned else ("", ())
    if not runs:
        reasons = [f"{row}: {reason}" for row, reason in why.items()]
        page = Page(name, "No run has finished.", [], [*reasons, *notes])
        earlier = (out / f"{name}.md").exists()  # of other rows, and whole
        return page if earlier else _write(out / name, page, None, None)
    notes = [*notes, *(line for run in runs for line in disagreements(run))]
    whole = [run for run in runs if run.fraction == shares[-1]]
    parts = {"": whole, "-groups": whole} | ({"-fractions": runs} if len(shares) > 1 else {})
    titles = {
        f"{stem}{MASKED[one]}{kind}": title(Setting.of(part, one, how), kind)
        for one in masks
        for kind, part in parts.items()
    }
    drawn = {}
    for kind, part in parts.items():
        path, setting = out / f"{name}{kind}", Setting.of(part, masks[0], how, origins)
        page, table, draw = _made(kind, part, setting, rows, variant_of, why, notes, f"{path.name}.png", made)
        links = tuple((words, f"{other}.md") for other, words in titles.items() if other != path.name)
        drawn[kind] = _write(path, replace(page, links=links), table, draw)
    return drawn[""]


def _made(
    kind: str,
    runs: list[Run],
    setting: Setting,
    rows: list[str],
    variant_of: Mapping[str, str],
    why: Mapping[str, str],
    notes: list[str],
    plot: str,
    made: Made | None,
) -> tuple[Page, pd.DataFrame, Callable[[], Figure]]:
    """A page of one kind, its numbers and what draws its plot."""
    above = f"{title(setting)}, {spread(setting)}"
    if not kind:
        table = main_table(runs, rows, why, setting.masked, variant_of)
        return main_page(table, setting, notes, plot, made), table, lambda: plots.accuracy(table, above)
    if kind == "-groups":
        table, make, draw = group_table(runs, setting.masked), groups_page, plots.groups
    else:
        table, make, draw = fraction_table(runs, rows, setting.masked), fractions_page, plots.fractions
    rows = [row for row in rows if row in set(table["row"])]
    return make(table, rows, setting, plot), table, lambda: draw(table, rows, above)


def _write(path: Path, page: Page, table: pd.DataFrame | None, draw: Callable[[], Figure] | None) -> Page:
    """Write a page, its numbers and its plot beside each other; return the page."""
    files = {"md": formats.markdown(page).encode()}
    if table is not None:
        files |= {"csv": formats.csv(table).encode(), "tex": formats.latex(page).encode()}
    if draw is not None:
        figure = draw()
        files |= {form: plots.rendered(figure, form) for form in plots.FORMATS}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in files.items():
            with checkpoint_io.writing(path.with_name(f"{path.name}.{suffix}")) as file:
                file.write(content)
    except OSError as error:
        raise DataError(f"{path.parent}: tables cannot be written ({error.strerror}); choose another --out") from error
    return page
