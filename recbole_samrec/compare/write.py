"""All tables and plots of a comparison, written to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recbole_samrec.compare import captions, formats, plots, reproducibility
from recbole_samrec.compare.checks import check_ranks, list_identical
from recbole_samrec.compare.chosen import END, Selected
from recbole_samrec.compare.facts import PageSetting, has_uncommitted, list_work, name_bars, name_page
from recbole_samrec.compare.groups import build_group_table
from recbole_samrec.compare.layout import Grid, Made, Page, lay_out_comparison, lay_out_fractions, lay_out_groups
from recbole_samrec.compare.primary import Family
from recbole_samrec.compare.provenance import Origin, Tuning, list_origins
from recbole_samrec.compare.reproducibility import lay_out_reproducibility
from recbole_samrec.compare.tables import build_fraction_table, build_main_table
from recbole_samrec.compare.verdicts import Verdicts
from recbole_samrec.experiments.results import Run, group_runs, keep_largest_share
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.plot_style import FORMATS, render_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MASKED = {False: "", True: "-masked"}
NO_RUN = "No run has finished."
DECLARED = "primary"
"""Begin of the names of the files of the declared comparisons."""


def join_stem(name: str, protocol: str = "", tuned: bool = False, selected: bool = False) -> str:
    """Make the common prefix of the names of a data set's files."""
    return f"{name}{f'-{protocol}' if protocol else ''}{'-tuned' if tuned else ''}{'-selected' if selected else ''}"


def name_share(name: str, runs: Sequence[Run]) -> str:
    """Return the name of a data set, with the largest share of training users if it is below 1."""
    largest = max((run.fraction for run in runs), default=1.0)
    return f"{name}-{largest:g}" if largest < 1 else name


def join_shared_stem(name: str, runs: Sequence[Run], tuned: bool, selected: bool) -> str:
    """Make the common prefix of the names of the files that cover all protocols of a data set."""
    return join_stem(name_share(name, runs), "", tuned, selected)


def list_main_pages(
    runs: Sequence[Run], masked: bool = False, tuned: bool = False, selected: bool = False
) -> list[tuple[str, str]]:
    """List title and file name of the main page of each data set under each protocol that has runs."""
    links = []
    for (dataset, protocol), own in group_runs(runs).items():
        stem = join_stem(name_share(dataset, own), protocol, tuned, selected)
        links.append((name_page(PageSetting.describe(own, masked, tuned, selected)), f"{stem}{MASKED[masked]}.md"))
    return links


def write_tables(
    runs: Sequence[Run],
    pages: str | Path,
    *,
    entries: Sequence[str] = (),
    variant_of: Mapping[str, str] | None = None,
    reasons: Mapping[str, Mapping[str, str]] | None = None,
    masked: bool = False,
    both: bool = False,
    tuned: Mapping[str, Sequence[Tuning]] | None = None,
    origins: Sequence[Origin] = (),
    command: str = "",
    settings: Mapping[str, str] | None = None,
    protocol: str = "",
    declared: Family | None = None,
    selected: Mapping[str, Selected] | None = None,
    verdicts: Verdicts | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> dict[str, Page]:
    """Write the tables and plots of each data set.

    They are ``<dataset>``, ``<dataset>-groups`` and, where runs differ in the share of the users that they
    were trained on, ``<dataset>-fractions``, each as ``.md``, ``.csv``, ``.tex``, ``.png`` and ``.pdf``. The first two
    show the runs with the largest share. With the history masked they are ``<dataset>-masked`` and so on, of tuned
    entries ``<dataset>-tuned`` and ``<dataset>-tuned-masked``; where no run was trained on all users, the largest share
    comes first, as in ``<dataset>-0.2``. A file is always either the old or the new one, never a part of it.

    Args:
        runs: The finished runs; those of one data set ranked the same items for the same users.
        pages: Folder to write to; it is made if needed.
        entries: Their names in the order to show; the first is the reference. By default in the order of the runs.
        variant_of: The base entry of each variant.
        reasons: For each data set and entry, why runs failed or are waiting.
        masked: Whether the history is masked in the rankings.
        both: Whether the tables with and without the history masked are both written, so that they link to each other.
        tuned: For each data set, how its entries were tuned.
        origins: Origins of settings that are not defaults.
        command: The command that makes the tables.
        settings: For each data set, the settings of its entries as yaml.
        protocol: Name of the protocol, which is then part of the names, as in ``<dataset>-gts-last``.
        declared: The declared comparisons on all data sets and under all protocols; None if there are none.
        selected: For each data set, the choices of validation, whose files ``<dataset>-selected-chosen.json`` and pages
            ``<dataset>-selected`` then are; None if settings were not chosen so.
        verdicts: Whether SAM helps, on all data sets and under all protocols; None if no comparisons are declared.
        links: Titles and ends of the names of further pages, which each main page links to.

    Returns:
        The main page of each data set.

    Raises:
        DataError: The folder cannot be written.
    """
    reasons, written = reasons or {}, {}
    for dataset in dict.fromkeys([*(run.dataset for run in runs), *reasons]):
        of_set = [run for run in runs if run.dataset == dataset]
        why = reasons.get(dataset, {})
        work = Made(command, (settings or {}).get(dataset, ""), list_work(of_set), has_uncommitted(of_set))
        written[dataset] = _DataSet(
            runs=of_set,
            pages=Path(pages),
            name=dataset,
            entries=list(dict.fromkeys([*entries, *(run.entry for run in of_set), *why])),
            variant_of=variant_of or {},
            why=why,
            masks=(masked, not masked) if both else (masked,),
            tuned=(tuned or {}).get(dataset, ()),
            origins=list_origins(origins, of_set),
            made=work if command else None,
            protocol=protocol,
            declared=declared,
            selected=None if selected is None else selected[dataset],
            verdicts=verdicts,
            links=links,
        ).write()
    return written


@dataclass(frozen=True)
class _DataSet:
    """The pages of one data set; see :func:`write_tables` for the fields."""

    runs: Sequence[Run]
    pages: Path
    name: str
    entries: Sequence[str]
    variant_of: Mapping[str, str]
    why: Mapping[str, str]
    masks: Sequence[bool]
    tuned: Sequence[Tuning]
    origins: str
    made: Made | None
    protocol: str
    declared: Family | None
    selected: Selected | None
    verdicts: Verdicts | None
    links: Sequence[tuple[str, str]]
    largest: list[Run] = field(init=False)

    def __post_init__(self) -> None:
        """Find the runs with the largest share of training users."""
        object.__setattr__(self, "largest", keep_largest_share(self.runs))

    @property
    def stem(self) -> str:
        """Common prefix of the names of the files."""
        return self._join_stem(name_share(self.name, self.largest))

    def _join_stem(self, name: str) -> str:
        return join_stem(name, self.protocol, bool(self.tuned), self.selected is not None)

    def write(self) -> Page:
        """Write the pages under the first masking, and return the main one."""
        stem = f"{self.stem}{MASKED[self.masks[0]]}"
        files = []
        if self.selected is not None:
            name = f"{self._join_stem(self.name)}{END}"
            self.selected.write(self.pages / name)
            files.append(("all candidates and why they were chosen", name))
        if not self.runs:
            notes = [f"{entry}: {reason}" for entry, reason in self.why.items()]
            page = Page(stem, remarks=[NO_RUN], notes=[*notes, *map(str, self.tuned)], links=tuple(files))
            earlier = (self.pages / f"{stem}.md").exists()  # a page of other entries, which is complete
            return page if earlier else write_page(self.pages / stem, page, None, None)
        parts: dict[str, Sequence[Run]] = {"": self.largest, "-groups": self.largest}
        if len(self.largest) < len(self.runs):
            parts["-fractions"] = self.runs
        titles = {
            f"{self.stem}{MASKED[mask]}{kind}": name_page(self._setting(part, mask), kind)
            for mask in self.masks
            for kind, part in parts.items()
        }
        written = {}
        for kind, part in parts.items():
            path = self.pages / f"{stem}{kind}"
            page, table, draw = self._make(kind, part, f"{path.name}.png")
            links = [(title, f"{other}.md") for other, title in titles.items() if other != path.name]
            if not kind:
                shared = join_shared_stem(self.name, self.largest, bool(self.tuned), self.selected is not None)
                links += [(title, f"{shared}{end}.md") for title, end in self.links]
            written[kind] = write_page(path, replace(page, links=(*links, *files)), table, draw)
        return written[""]

    def _setting(self, runs: Sequence[Run], mask: bool) -> PageSetting:
        return PageSetting.describe(runs, mask, bool(self.tuned), self.selected is not None)

    def _make(self, kind: str, runs: Sequence[Run], plot: str) -> tuple[Page, pd.DataFrame, Callable[[], Figure]]:
        """Make a page of one kind, its numbers and the function that draws its plot."""
        setting = self._setting(runs, self.masks[0])
        above = f"{name_page(setting)}, {name_bars(setting)}"
        if not kind:
            return self._make_main(runs, setting, plot, above)
        if kind == "-groups":
            table, lay_out, draw = build_group_table(runs, setting.masked), lay_out_groups, plots.draw_groups
        else:
            table = build_fraction_table(runs, self.entries, setting.masked)
            lay_out, draw = lay_out_fractions, plots.draw_fractions
        entries = [entry for entry in self.entries if entry in set(table["entry"])]
        return lay_out(table, entries, setting, plot), table, lambda: draw(table, entries, above)

    def _make_main(
        self, runs: Sequence[Run], setting: PageSetting, plot: str, above: str
    ) -> tuple[Page, pd.DataFrame, Callable[[], Figure]]:
        """Make the main page, with all numbers of the entries."""
        declared, selected = self.declared, self.selected
        own = None if declared is None else declared.select(self.name, self.protocol, setting.masked)
        table = build_main_table(runs, self.entries, self.why, setting.masked, self.variant_of, own)
        tuning = [f"{one.entry}: {remark}" for one in self.tuned for remark in one.remarks]
        page = lay_out_comparison(
            table,
            setting,
            notes=[
                *tuning,
                *([] if selected is None else selected.list_notes()),
                *list_identical(runs),
                *(line for run in self.runs for line in check_ranks(run)),
            ],
            tuned=self.tuned,
            origins=self.origins,
            plot=plot,
            made=self.made,
            declared=[] if declared is None or own is None else [*declared.lay_out(own), *self._judge(setting)],
            remarks=[*([] if declared is None else declared.remark(setting.masked)), *self._remark_form(setting)],
            chosen=[] if selected is None else selected.lay_out(),
        )
        return page, table, lambda: plots.draw_accuracy(table, above)

    def _judge(self, setting: PageSetting) -> list[Grid]:
        """Lay out the verdicts on SAM, on the page with the masking of the declared comparisons."""
        if self.verdicts is None or self.declared is None or self.declared.masked != setting.masked:
            return []
        return self.verdicts.lay_out(self.name, self.protocol)

    def _remark_form(self, setting: PageSetting) -> list[str]:
        """List the remark on a page whose rankings are masked differently from those of the validation."""
        selected = self.selected
        other = selected is not None and bool(selected.choices) and selected.masked != setting.masked
        return [captions.CHOSEN_FORM[not setting.masked]] if other else []


def write_declared(
    declared: Family,
    folder: Path,
    tuned: bool = False,
    command: str = "",
    selected: bool = False,
    verdicts: Verdicts | None = None,
) -> Path:
    """Write the page of the declared comparisons on all data sets, and its numbers; return its path.

    Args:
        declared: The declared comparisons with their tests.
        folder: Folder of the pages.
        tuned: True if the entries were tuned.
        command: Command that the page names; empty for none.
        selected: True if the settings were chosen by validation runs.
        verdicts: Verdicts to show beside them; None for none.

    Raises:
        DataError: The folder cannot be written.
    """
    masked = ", history masked" if declared.masked else ""
    page = Page(
        f"Declared comparisons{', tuned' if tuned else ''}{', selected' if selected else ''}{masked}",
        facts=[("command", command)] if command else [],
        remarks=[captions.PROTOCOL[declared.masked]],
        grids=[*declared.lay_out(declared.table), *([] if verdicts is None else verdicts.lay_out())],
    )
    path = folder / f"{join_stem(DECLARED, tuned=tuned, selected=selected)}{MASKED[declared.masked]}"
    write_page(path, page, declared.table)
    return path.with_name(f"{path.name}.md")


def write_reproducibility(
    runs: Sequence[Run],
    folder: Path,
    *,
    tuned: Sequence[Tuning] = (),
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
    origins: Sequence[Origin] = (),
    command: str = "",
    settings: str = "",
) -> Path:
    """Write the reproducibility page of one data set beside its tables; return its path.

    Args:
        runs: The finished runs of the data set under all protocols, at least one.
        folder: Folder of the pages.
        tuned: How its entries were tuned.
        chosen: For each protocol, what validation runs chose; see :func:`lay_out_reproducibility`.
        origins: Origins of settings that are not defaults.
        command: The command that makes the comparison.
        settings: The settings of its entries, as yaml.

    Raises:
        DataError: The folder cannot be written.
    """
    made = Made(command, settings, list_work(runs), has_uncommitted(runs))
    stem = join_shared_stem(runs[0].dataset, runs, bool(tuned), chosen is not None)
    page = lay_out_reproducibility(runs, tuned=tuned, chosen=chosen, origins=list_origins(origins, runs), made=made)
    path = folder / f"{stem}{reproducibility.END}"
    write_page(path, page, None)
    return path.with_name(f"{path.name}.md")


def write_page(path: Path, page: Page, table: pd.DataFrame | None, draw: Callable[[], Figure] | None = None) -> Page:
    """Write a page, its numbers and its plot side by side; return the page."""
    files = {"md": formats.write_markdown(page).encode()}
    if table is not None:
        files |= {"csv": formats.write_csv(table).encode(), "tex": formats.write_latex(page).encode()}
    if draw is not None:
        figure = draw()
        files |= {form: render_figure(figure, form, plots.DPI) for form in FORMATS}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in files.items():
            with checkpoint_io.open_atomically(path.with_name(f"{path.name}.{suffix}")) as file:
                file.write(content)
    except OSError as error:
        raise DataError(
            f"{path.parent}: cannot write tables ({error.strerror}); choose another --pages or --out"
        ) from error
    return page
