"""Differences of ``results/`` as tables for pages of the documentation, so that no figure is copied by hand.

A page of ``compare`` has a CSV with differences from its reference, and of variants from their base entries. The last
block of yaml of the page has the settings of its entries, which tell variants of SAM and averages of weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recbole_samrec.compare.layout import NOTHING, format_interval, show_number, show_p
from tools.markdown import escape, make_table

RESULTS = Path(__file__).parents[1] / "results"
METRIC = "ndcg@10"
HEAD = ("results", "difference", "seeds", "NDCG@10", "95 % CI", "MDE", "p")
SHARED = "all entries that read them"
"""The settings that all entries of a page have in common, in its block of yaml."""
AVERAGE = "average"
"""Key of entries that average weights; other entries are grouped by their variant of SAM."""
REPORTS = {
    "with-dropout": "ml-100k, dropout 0.2",
    "without-dropout": "ml-100k, no dropout",
    "tuned": "ml-100k, both tuned",
}
"""Titles of sharpness reports; a report without one is named by its data set."""
SHARPNESS = ("top eigenvalue", "trace", "rise after SAM's step", "rise after the adaptive step")
ROBUSTNESS = ("relative loss of",)
"""Prefixes of the measures of a report that are shown."""


@dataclass(frozen=True)
class Difference:
    """A mean difference in :data:`METRIC` between two entries of a page.

    Attributes:
        page: Name of the page, without its folder.
        entry: The entry.
        other: The entry from which the difference is taken.
        seeds: Numbers of seeds of both.
        value: Entry minus other.
        low: Lower end of the 95 % interval over users and seeds.
        high: Upper end.
        mde: Minimal detectable effect.
        p: p-value, not corrected.
    """

    page: str
    entry: str
    other: str
    seeds: tuple[int, int]
    value: float
    low: float
    high: float
    mde: float
    p: float


@cache
def list_pages() -> tuple[str, ...]:
    """List the pages of ``compare`` that have differences, by name."""
    heads = {file.stem: pd.read_csv(file, nrows=0).columns for file in RESULTS.glob("*.csv")}
    return tuple(sorted(name for name, head in heads.items() if {"entry", "reference", f"{METRIC}_p"} <= set(head)))


@cache
def read_table(page: str) -> pd.DataFrame:
    """Read the CSV of a page, by entry."""
    return pd.read_csv(RESULTS / f"{page}.csv", index_col="entry")


@cache
def read_settings(page: str) -> dict[str, dict[str, Any]]:
    """Read the settings of each entry of a page, in the order of its table."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (RESULTS / f"{page}.md").read_text(encoding="utf-8"), re.M | re.S)
    settings = yaml.safe_load(blocks[-1])
    shared = settings.pop(SHARED, {})
    return {entry: {**shared, **own} for entry, own in settings.items()}


def find_difference(page: str, entry: str, other: str) -> Difference | None:
    """Find the difference between two entries; None if the page does not have it.

    Args:
        page: Name of the page.
        entry: The entry.
        other: The entry from which the difference is taken.
    """
    table = read_table(page)
    if not {entry, other} <= set(table.index):
        return None
    if "variant_of" in table and table["variant_of"][entry] == other:
        return _read_difference(page, entry, other, entry, "variant_", 1)
    if table["reference"][entry] == other:
        return _read_difference(page, entry, other, entry, "", 1)
    if table["reference"][other] == entry:
        return _read_difference(page, entry, other, other, "", -1)
    return None


def _read_difference(page: str, entry: str, other: str, line: str, kind: str, sign: int) -> Difference:
    """Read a difference from a line of the table, or what it is in the other direction (``sign`` -1)."""
    table = read_table(page)
    names = ("difference", "low_with_seeds", "high_with_seeds", "mde", "p")
    value, low, high, mde, p = (float(table[f"{kind}{METRIC}_{name}"][line]) for name in names)
    if sign < 0:
        value, low, high = -value, -high, -low
    seeds = int(table["seeds"][entry]), int(table["seeds"][other])
    return Difference(page, entry, other, seeds, value, low, high, mde, p)


def find_differences(entry: str, other: str) -> list[Difference]:
    """Find the difference between two entries on all pages that have it."""
    found = (find_difference(page, entry, other) for page in list_pages())
    return [one for one in found if one]


def find_trials() -> dict[str, list[Difference]]:
    """Find what has been tried: variants of SAM, and averages of weights, each against its plain entry.

    Returns:
        Differences by variant, or :data:`AVERAGE`.
    """
    found: dict[str, list[Difference]] = {}
    for page in list_pages():
        for entry, kind in _list_tried(page):
            differences = (find_difference(page, entry, other) for other in _list_plain(page, entry))
            found.setdefault(kind, []).extend(filter(None, differences))
    return found


def _list_tried(page: str) -> Iterator[tuple[str, str]]:
    """List the entries of a page that are not plain, with what is tried in each."""
    for entry, settings in read_settings(page).items():
        if settings.get("weight_average"):
            yield entry, AVERAGE
        elif settings.get("sam_rho"):
            yield entry, settings["sam_variant"]


def _list_plain(page: str, entry: str) -> list[str]:
    """List the plain entries of the same model."""
    tried, settings = dict(_list_tried(page)), read_settings(page)
    return [one for one in settings if one not in tried and settings[one]["model"] == settings[entry]["model"]]


def render_differences(differences: Iterable[Difference]) -> str:
    """Return differences as a table."""
    return make_table(HEAD, map(_show_difference, differences), numbers=5)


def _show_difference(one: Difference) -> tuple[str, ...]:
    title = (RESULTS / f"{one.page}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    seeds = str(one.seeds[0]) if one.seeds[0] == one.seeds[1] else f"{one.seeds[0]}, {one.seeds[1]}"
    return (
        f"[{title}](../../results/{one.page}.md)",
        escape(f"{one.entry} \N{MINUS SIGN} {one.other}"),
        seeds,
        show_number(one.value, "+.4f"),
        format_interval(one.low, one.high),
        show_number(one.mde, ".4f"),
        escape(show_p(one.p)),
    )


def render_trials() -> str:
    """Return all that :func:`find_trials` finds, each variant of SAM and each average against its plain entry."""
    return render_differences(one for found in find_trials().values() for one in found)


def render_samrec() -> str:
    """Return SAMRec against SASRec, the first claim of its paper."""
    entries = ("SAMRec", "SAMRec with rho 0.03")
    return render_differences(one for entry in entries for one in find_differences(entry, "SASRec"))


def render_self_supervised() -> str:
    """Return SAMRec against the self-supervised models of its paper, S3Rec and CL4SRec."""
    return render_differences(one for other in ("S3Rec", "CL4SRec") for one in find_differences("SAMRec", other))


def render_sharpness() -> str:
    """Return SAMRec against SASRec in four measures of sharpness."""
    return _render_reports(SHARPNESS)


def render_robustness() -> str:
    """Return SAMRec against SASRec in the loss of accuracy under noise and under changed histories."""
    return _render_reports(ROBUSTNESS)


def _render_reports(measures: Sequence[str]) -> str:
    """Return the differences between SAMRec and SASRec in some measures of sharpness reports."""
    table = pd.read_csv(RESULTS / "sharpness.csv")
    pairs = table["entry"].str.startswith("SAMRec") & table["reference"].str.startswith("SASRec")
    lines = table[pairs & table["measure"].str.startswith(tuple(measures))].itertuples()
    head = ("runs", "measure", "seeds", "SAMRec \N{MINUS SIGN} SASRec", "95 % CI", "p", "p, Holm")
    return make_table(head, map(_show_measure, lines), numbers=5)


def _show_measure(line: Any) -> tuple[str, ...]:
    value, low, high = (show_number(number, "+.3g") for number in (line.difference, line.low, line.high))
    return (
        escape(REPORTS.get(line.report, line.report)),
        escape(line.measure),
        str(line.runs),
        value,
        NOTHING if low == NOTHING else f"{low} to {high}",
        escape(show_p(line.p)),
        escape(show_p(line.p_holm)),
    )
