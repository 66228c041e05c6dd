"""The table of what SAM changes in accuracy, from the comparisons in ``results/``."""

from __future__ import annotations

from typing import NamedTuple

from recbole_samrec.compare.layout import DIGITS, format_interval, show_number
from tools.evidence import METRIC, Difference, find_difference, read_table
from tools.markdown import make_table

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
    Effect("SASRec, Foursquare-NYC", "Foursquare-NYC-loo", "SAMRec", "SASRec"),
    Effect("SASRec, Foursquare-NYC, split by time", "Foursquare-NYC-gts-last", "SAMRec", "SASRec"),
    Effect("SASRec, MovieTweetings-142k", "MovieTweetings-142k-loo", "SAMRec", "SASRec"),
    Effect("SASRec, MovieTweetings-142k, split by time", "MovieTweetings-142k-gts-last", "SAMRec", "SASRec"),
    Effect("SASRec, Amazon_Beauty-times", "Amazon_Beauty-times-loo", "SAMRec", "SASRec"),
    Effect("SASRec, Amazon_Beauty-times, split by time", "Amazon_Beauty-times-gts-last", "SAMRec", "SASRec"),
    Effect("GRU4Rec, ml-100k", "ml-100k", "GRU4Rec+SAM", "GRU4Rec"),
)


def find_effect(effect: Effect, masked: bool = False) -> Difference:
    """Find the difference that SAM makes.

    Args:
        effect: The comparison.
        masked: Whether each user's history is masked.

    Raises:
        KeyError: The page does not compare the two entries.
    """
    page = f"{effect.page}-masked" if masked else effect.page
    found = find_difference(page, effect.entry, effect.reference)
    if found is None:
        raise KeyError(f"{page}.csv does not compare {effect.entry} with {effect.reference}")
    return found


def render_effects() -> str:
    """Return the table; differences whose interval excludes 0 are bold."""
    rows = []
    for one in EFFECTS:
        means = read_table(one.page)[f"{METRIC}_mean"]
        shown = (f"{means[name]:.{DIGITS}f}" for name in (one.reference, one.entry))
        rows.append([one.label, *shown, *(_format_difference(find_effect(one, masked)) for masked in (False, True))])
    return make_table(HEAD, rows, numbers=len(HEAD) - 1)


def _format_difference(one: Difference) -> str:
    text = f"{show_number(one.value, f'+.{DIGITS}f')} ({format_interval(one.low, one.high)})"
    return f"**{text}**" if one.low * one.high > 0 else text
