"""Frames laid out as tables for readers: cells with marks for the best values and significant differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_samrec.compare import captions, groups
from recbole_samrec.compare.facts import Facts, PageSetting, name_page
from recbole_samrec.compare.provenance import Tuning
from recbole_samrec.compare.tables import BUDGET, DIGITS, METRICS, OF_GPU, compute_gains, rank_means
from recbole_samrec.evaluator.marks import LEVEL, SIGNIFICANT

SHOWN = ("ndcg@10", "hr@10")
"""Metrics of the tables that have no room for all."""
GROUPED = {"history": "users by history", "popularity": "items by popularity"}
SPREAD = " ± "
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


class Cell(NamedTuple):
    """A cell: its text, its place (1 best, 2 second), and its mark."""

    text: str
    place: int = 0
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table as displayed.

    Attributes:
        title: Its heading.
        name: A short name without spaces.
        captions: Fixed sentences under it.
        header: Names of the columns; the first one contains the entries.
        body: Lines of cells.
    """

    title: str
    name: str
    captions: list[str]
    header: list[str]
    body: list[list[Cell]]


@dataclass(frozen=True)
class Made:
    """The command, settings and work behind a page.

    Attributes:
        command: The command.
        settings: The settings of the entries, as yaml.
        work: What its runs took.
        uncommitted: Whether a run was made from a revision with uncommitted changes.
    """

    command: str
    settings: str
    work: Facts
    uncommitted: bool = False


@dataclass(frozen=True)
class Page:
    """One file of tables.

    Attributes:
        title: Its heading.
        facts: What all of its tables have in common, as names and values.
        remarks: Fixed sentences that apply to all of its tables.
        grids: The tables.
        notes: Sentences on single entries.
        origins: Origins of settings that are not defaults, as yaml.
        plot: File name of the plot.
        made: How it was made.
        links: Titles and file names of related pages.
    """

    title: str
    facts: Facts = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    origins: str = ""
    plot: str = ""
    made: Made | None = None
    links: tuple[tuple[str, str], ...] = ()


def lay_out_comparison(
    table: pd.DataFrame,
    setting: PageSetting,
    *,
    notes: Sequence[str] = (),
    tuned: Sequence[Tuning] = (),
    origins: str = "",
    plot: str = "",
    made: Made | None = None,
    declared: Sequence[Grid] = (),
    remarks: Sequence[str] = (),
    chosen: Sequence[Grid] = (),
) -> Page:
    """Lay out the page that compares the entries of one data set.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.build_main_table`.
        setting: What the entries have in common.
        notes: Sentences to add to those of the table.
        tuned: How the entries were tuned.
        origins: Origins of settings that are not defaults, as yaml.
        plot: File name of the plot.
        made: How the table was made.
        declared: Tables of the declared comparisons.
        remarks: Fixed sentences to add to those of the page.
        chosen: Tables of the settings that validation chose.
    """
    reference = table.index[0]
    others = table.index[(table["seeds"] > 0) & (table.index != reference)]
    compared = bool(len(others) and table["seeds"].iloc[0])
    grids = [_lay_out_accuracy(table, compared), *declared]
    if compared:
        grids.append(_lay_out_differences(table.loc[others], setting, f"Differences from {reference}", "differences"))
    if "variant_of" in table:
        grids.append(_lay_out_variants(table, setting))
    grids.append(_lay_out_costs(table[table["seeds"] > 0]))
    if tuned:
        grids.append(_lay_out_tuning(tuned))
    grids += chosen
    facts = [*setting.facts, ("reference", reference)]
    of_entries = [f"{entry}: {note}" for entry, note in table["note"].items() if note]
    sentences = [*list_remarks(setting), *remarks]
    return Page(name_page(setting), facts, sentences, grids, [*of_entries, *notes], origins, plot, made)


def list_remarks(setting: PageSetting) -> list[str]:
    """List the fixed sentences that apply to all tables of a page."""
    chosen = [captions.SELECTED] if setting.selected else [] if setting.tuned else [captions.UNTUNED]
    leaks = [captions.LEAKS] if setting.leaves_one_out else []
    forms = list_forms(setting.masked, setting.validated)
    return [" ".join(forms), *leaks, *chosen, captions.COMPARABLE]


def list_forms(masked: bool, validated: Mapping[bool, Sequence[str]]) -> list[str]:
    """List the sentences on the ranking of test items and, if it differs for some entries, of validation items.

    Args:
        masked: Whether the history is masked in the rankings of the test.
        validated: Made by :func:`~recbole_samrec.compare.facts.list_validated`.
    """
    if len(validated) > 1:
        forms = " and ".join(f"{captions.HISTORY[form]} for {', '.join(validated[form])}" for form in (True, False))
    else:
        forms = "".join(captions.HISTORY[form] for form in validated if form != masked)
    return [captions.PROTOCOL[masked], *([f"{captions.VALIDATION} with the history {forms}."] if forms else [])]


def _lay_out_accuracy(table: pd.DataFrame, compared: bool) -> Grid:
    columns = [_metric_cells(table, metric, _mark_significant(table, metric)) for metric in METRICS]
    body = [
        [Cell(entry), Cell(str(table["seeds"][entry])), *cells]
        for entry, *cells in zip(table.index, *columns, strict=True)
    ]
    marks = []
    if compared:
        percent = compute_gains(table, table.index[0])
        signed = [Cell(show_number(percent[metric], "+.1f", " %")) for metric in METRICS]
        body.append([Cell(f"gain of {table.index[0]}"), Cell(""), *signed])
        if any(cell.mark for line in body for cell in line):
            marks = [f"{SIGNIFICANT}: differs significantly from {table.index[0]}; see the primary comparisons."]
    return Grid("Accuracy", "accuracy", [captions.ACCURACY, *marks], ["entry", "seeds", *map(str.upper, METRICS)], body)


def _mark_significant(table: pd.DataFrame, metric: str) -> list[str]:
    """Mark the entries whose primary comparison with the reference is significant."""
    column = f"{metric}_p_holm"
    return [SIGNIFICANT if p < LEVEL else "" for p in (table[column] if column in table else [np.nan] * len(table))]


def _metric_cells(table: pd.DataFrame, metric: str, marks: Sequence[str] | None = None) -> list[Cell]:
    means, stds = table[f"{metric}_mean"], table[f"{metric}_std"]
    texts = [_show_spread(mean, std) for mean, std in zip(means, stds, strict=True)]
    return [Cell(*parts) for parts in zip(texts, rank_means(means), marks or [""] * len(table), strict=True)]


def _lay_out_differences(table: pd.DataFrame, setting: PageSetting, title: str, name: str) -> Grid:
    header = ["entry", "metric", "difference", "95 % CI", "MDE", "p", "n"]
    body = []
    for metric in SHOWN:
        ends = (table[f"{metric}_{end}_with_seeds"] for end in ("low", "high"))
        shown = [
            _column(table[f"{metric}_difference"], f"+.{DIGITS}f"),
            [Cell(format_interval(*pair)) for pair in zip(*ends, strict=True)],
            _column(table[f"{metric}_mde"], f".{DIGITS}f"),
            [Cell(show_p(value)) for value in table[f"{metric}_p"]],
            [Cell(f"{setting.users:,}")] * len(table),
        ]
        body += [[Cell(entry), Cell(metric.upper()), *cells] for entry, *cells in zip(table.index, *shown, strict=True)]
    return Grid(title, name, [captions.DIFFERENCES, captions.EXPLORATORY], header, body)


def _lay_out_variants(table: pd.DataFrame, setting: PageSetting) -> Grid:
    varied = table[table["variant_of"].notna()]
    pairs = [f"{entry} {MINUS} {of}" for entry, of in varied["variant_of"].items()]
    columns = varied.filter(like="variant_").rename(columns=lambda name: name.removeprefix("variant_"))
    grid = _lay_out_differences(columns.set_axis(pairs), setting, "Variants", "variants")
    return Grid(grid.title, grid.name, grid.captions, [f"entry {MINUS} reference", *grid.header[1:]], grid.body)


def format_interval(low: float, high: float) -> str:
    """Format an interval of differences."""
    return NOTHING if np.isnan(low) else f"{show_number(low, f'+.{DIGITS}f')} to {show_number(high, f'+.{DIGITS}f')}"


def _lay_out_costs(table: pd.DataFrame) -> Grid:
    shown = {
        "parameters": ("parameters", ",.0f"),
        "seconds per epoch": ("seconds_per_epoch", ",.2f"),
        "seconds to the best epoch": ("seconds_to_best", ",.0f"),
        "gradient passes": ("gradient_passes", ",.1f"),
        "CPU seconds": ("cpu_seconds", ",.0f"),
        "peak memory, MB": ("peak_memory_mb", ",.0f"),
    }
    if OF_GPU in table:
        shown["peak memory of the GPU, MB"] = (OF_GPU, ",.0f")
    columns = [_column(table[name], form) for name, form in shown.values()]
    body = [[Cell(entry), *cells] for entry, *cells in zip(table.index, *columns, strict=True)]
    unknown = bool(table[list(BUDGET)].isna().any(axis=None))
    texts = [captions.COST, *[captions.COST_UNKNOWN] * unknown]
    return Grid("Cost", "cost", texts, ["entry", *shown], body)


def _lay_out_tuning(tuned: Sequence[Tuning]) -> Grid:
    header = ["entry", "trials", "search", "scheduler", "grace", "epochs", "seeds", "metric", "best trial", "search in"]
    body = []
    for one in tuned:
        cells = [NOTHING] * (len(header) - 1)
        if (budget := one.budget) is not None:
            seeds = ", ".join(map(str, budget.seeds))
            numbers = (str(budget.grace), str(budget.epochs), seeds, budget.metric, str(one.trial), one.folder)
            cells = [str(budget), budget.search, budget.scheduler, *numbers]
        body.append([Cell(one.entry), *map(Cell, cells)])
    return Grid("Tuning", "tuning", [captions.TUNING], header, body)


def lay_out_groups(table: pd.DataFrame, entries: Sequence[str], setting: PageSetting, plot: str) -> Page:
    """Lay out the page that compares entries by groups of users and of items.

    Args:
        table: Made by :func:`~recbole_samrec.compare.groups.build_group_table`.
        entries: Their names in the order to show.
        setting: What the entries have in common.
        plot: File name of the plot.
    """
    grids = []
    for kind, counted in groups.KINDS.items():
        part = table[table["kind"] == kind]
        columns = {
            f"{bounds} ({size})": part[part["group"] == group]
            for group, (bounds, size) in groups.label_groups(part).items()
        }
        for metric in SHOWN:
            title = f"{metric.upper()}, {GROUPED[kind]}: {counted}"
            grids.append(_lay_out_pivot(title, f"{kind}-{metric}", captions.GROUPS, entries, columns, metric))
    return Page(name_page(setting, "-groups"), setting.facts, list_remarks(setting), grids, plot=plot)


def lay_out_fractions(table: pd.DataFrame, entries: Sequence[str], setting: PageSetting, plot: str) -> Page:
    """Lay out the page that compares entries by the share of training users; see :func:`lay_out_groups`."""
    columns = {f"{100 * share:g} %": table[table["fraction"] == share] for share in sorted(table["fraction"].unique())}
    grids = [_lay_out_pivot(metric.upper(), metric, captions.FRACTIONS, entries, columns, metric) for metric in SHOWN]
    return Page(name_page(setting, "-fractions"), setting.facts, list_remarks(setting), grids, plot=plot)


def _lay_out_pivot(
    title: str,
    name: str,
    caption: str,
    entries: Sequence[str],
    columns: Mapping[str, pd.DataFrame],
    metric: str,
) -> Grid:
    """Lay out entries against groups or shares, one frame for each column."""
    cells = [_metric_cells(column.set_index("entry").reindex(entries), metric) for column in columns.values()]
    body = [[Cell(entry), *line] for entry, *line in zip(entries, *cells, strict=True)]
    return Grid(title, name, [caption], ["entry", *columns], body)


def _column(values: pd.Series, form: str) -> list[Cell]:
    return [Cell(show_number(value, form)) for value in values]


def _show_spread(mean: float, std: float) -> str:
    text = show_number(mean, f".{DIGITS}f")
    return text if np.isnan(std) else f"{text}{SPREAD}{std:.{DIGITS}f}"


def show_number(value: float, form: str, unit: str = "") -> str:
    """Format a number; a missing number becomes a dash."""
    return f"{value:{form}}{unit}".replace("-", MINUS) if np.isfinite(value) else NOTHING


def show_p(value: float) -> str:
    """Format a p-value."""
    return NOTHING if np.isnan(value) else "<0.0001" if value < 0.0001 else f"{value:.4f}"
