"""The table of what SAM changes in accuracy, from the comparisons in ``results/``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from recbole_samrec.compare.layout import DIGITS, format_interval, show_number
from recbole_samrec.utils.exact_floats import exact_floats
from tools.markdown import make_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
METRIC = "ndcg@10"
PARTS = ("difference", "low_with_seeds", "high_with_seeds")
"""Ends of the names of columns: a difference and its 95 % interval over users and seeds."""
HEAD = ("model and data", "without SAM", "with SAM", "difference (95 % CI)", "difference, history masked")


class Effect(NamedTuple):
    """A comparison of a model with SAM and without.

    Args:
        label: Its name in the table.
        page: Stem of the CSV file.
        entry: Entry with SAM.
        reference: Entry without.
    """

    label: str
    page: str
    entry: str
    reference: str


EFFECTS = (
    Effect("SASRec, ml-100k", "ml-100k", "SAMRec", "SASRec"),
    Effect("SASRec, ml-100k, both tuned", "ml-100k-tuned", "SAMRec", "SASRec"),
    Effect("SASRec, ml-1m", "ml-1m", "SAMRec", "SASRec"),
    Effect("SASRec, Amazon_Beauty, rho 0.3", "Amazon_Beauty", "SAMRec", "SASRec"),
    Effect("SASRec, Amazon_Beauty, rho 0.03", "Amazon_Beauty", "SAMRec with rho 0.03", "SASRec"),
    Effect("GRU4Rec, ml-100k", "ml-100k", "GRU4Rec+SAM", "GRU4Rec"),
)


def read_page(stem: str) -> pd.DataFrame:
    """Read the table of a comparison, by entry."""
    return pd.read_csv(RESULTS / f"{stem}.csv", index_col="entry", **exact_floats())


def find_difference(page: str, entry: str, reference: str) -> tuple[float, float, float]:
    """Find the difference of two entries, whichever of them is the reference on the page.

    Args:
        page: Stem of the CSV file.
        entry: Name of an entry.
        reference: Name of the entry that it is compared with.

    Returns:
        Entry minus reference in NDCG@10, and its 95 % interval over users and seeds.

    Raises:
        KeyError: The page does not compare the two.
    """
    table = read_page(page)
    one, other = table.loc[entry], table.loc[reference]
    for line, column, named in ((one, "variant_of", reference), (one, "reference", reference)):
        if line.get(column) == named:
            stem = "variant_" if column == "variant_of" else ""
            difference, low, high = (float(line[f"{stem}{METRIC}_{part}"]) for part in PARTS)
            return difference, low, high
    if other["reference"] == entry:
        difference, low, high = (float(other[f"{METRIC}_{part}"]) for part in PARTS)
        return -difference, -high, -low
    raise KeyError(f"{page}.csv does not compare {entry} with {reference}")


def render_effects() -> str:
    """Return the table; differences whose interval excludes 0 are bold."""
    rows = []
    for one in EFFECTS:
        means = (f"{read_page(one.page).loc[name, f'{METRIC}_mean']:.{DIGITS}f}" for name in (one.reference, one.entry))
        pages = (one.page, f"{one.page}-masked")
        differences = (_format_difference(*find_difference(page, one.entry, one.reference)) for page in pages)
        rows.append([one.label, *means, *differences])
    return make_table(HEAD, rows, numbers=len(HEAD) - 1)


def _format_difference(difference: float, low: float, high: float) -> str:
    text = f"{show_number(difference, f'+.{DIGITS}f')} ({format_interval(low, high)})"
    return f"**{text}**" if low * high > 0 else text
