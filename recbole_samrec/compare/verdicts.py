"""Verdicts on SAM: it helps an entry if it is significantly better than the plain entry and than both controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.compare import captions
from recbole_samrec.compare.control_groups import CONTROLS, ControlGroup, Role
from recbole_samrec.compare.layout import NOTHING, Cell, Grid, show_number, show_p
from recbole_samrec.compare.primary import DIFFERENCE, Place
from recbole_samrec.compare.provenance import SearchBudget
from recbole_samrec.compare.tables import DIGITS
from recbole_samrec.evaluator.marks import LEVEL
from recbole_samrec.experiments.entries import Entry

HELPS, NOT_SHOWN, NOT_TESTED = "helps", "not shown", "not tested"
UNTUNED = "not tuned"
COLUMNS = (
    "dataset", "protocol", "metric", "entry", "tuned", "role", "opponent", "difference", "p_holm", "better", "obstacle",
)  # fmt: skip


def judge(table: pd.DataFrame, groups: Sequence[ControlGroup], places: Sequence[Place]) -> pd.DataFrame:
    """Judge whether entries with SAM are better than each of their opponents.

    Args:
        table: Made by :func:`~recbole_samrec.compare.primary.build_primary_table`.
        groups: The entries with SAM and their opponents.
        places: The data sets and protocols.

    Returns:
        One line for each entry with SAM, data set, protocol and opponent: ``metric``, ``entry``, ``tuned`` (how its
        other settings were), ``role`` (of the opponent), ``opponent``, ``difference`` (entry minus opponent) and
        ``p_holm`` of their primary comparison, NaN if there is none, ``better``: whether the difference is positive
        with p below 0.05 after Holm's correction, and ``obstacle``: what is concluded whatever the tests say, or empty.
    """
    lines = []
    for place in places:
        for group in groups:
            if group.sam.name not in place.incompatible and group.plain.name not in place.incompatible:
                lines += list(_compare(table, group, place))
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"difference": float, "p_holm": float, "better": bool})


def _compare(table: pd.DataFrame, group: ControlGroup, place: Place) -> Iterator[dict[str, Any]]:
    here = (table["dataset"] == place.dataset) & (table["protocol"] == place.protocol) & (table["test"] == DIFFERENCE)
    of_place, sam = table[here], group.sam.name
    tuned, obstacle = _describe_tuning(group.sam, place), _find_obstacle(group, place)
    for role, opponents in group.opponents.items():
        for opponent in opponents:
            difference, p = np.nan, np.nan
            for line in of_place.itertuples():
                if {line.entry, line.reference} == {sam, opponent.name}:
                    difference = line.difference if line.entry == sam else -line.difference
                    p = line.p_holm
            metric = of_place["metric"].iloc[0] if len(of_place) else ""
            named = (place.dataset, place.protocol, metric, sam, tuned, role.value, opponent.name)
            found = (difference, p, bool(difference > 0 and p < LEVEL), obstacle)
            yield dict(zip(COLUMNS, (*named, *found), strict=True))


def _describe_tuning(sam: Entry, place: Place) -> str:
    if sam.tuned_as:
        return f"as {sam.tuned_as}"
    return "with SAM" if sam.choose or sam.name in place.searches else UNTUNED


def _find_obstacle(group: ControlGroup, place: Place) -> str:
    """Find what prevents a test of SAM in a place: it does not perturb, or a control has another search."""
    sam = group.sam.name
    if place.radii.get(sam) == 0:
        return f"{NOT_SHOWN}: validation chose sam_rho 0"
    budget = place.searches.get(sam)
    others = [one.name for role in CONTROLS for one in group.opponents[role]]
    unlike = [name for name in others if not _are_alike(budget, place.searches.get(name))]
    return f"{NOT_TESTED}: not searched like {sam}: {', '.join(unlike)}" if unlike else ""


def _are_alike(one: SearchBudget | None, other: SearchBudget | None) -> bool:
    """Return True if two searches had as many trials, or as many passes for them, or if there is none."""
    if one is None or other is None:
        return one is other
    return one.trials == other.trials or (one.passes is not None and one.passes == other.passes)


def conclude(lines: pd.DataFrame) -> str:
    """Conclude whether SAM helps an entry.

    Args:
        lines: The lines of :func:`judge` on the entry, a data set and a protocol.

    Returns:
        ``helps``; or ``not shown`` or ``not tested`` with the reason.
    """
    if obstacle := lines["obstacle"].iloc[0]:
        return obstacle
    missing = [f"no {role.value} that is selected like it" for role in CONTROLS if role.value not in set(lines["role"])]
    unknown = lines[lines["p_holm"].isna()]
    missing += [f"no p against {name}" for name in unknown["opponent"]]
    if missing:
        return f"{NOT_TESTED}: {'; '.join(missing)}"
    if lines["better"].all():
        return HELPS
    return f"{NOT_SHOWN}: not better than {', '.join(lines[~lines['better']]['opponent'])}"


@dataclass(frozen=True)
class Verdicts:
    """The conclusions of one comparison on entries with SAM.

    Attributes:
        table: Made by :func:`judge`.
        groups: The entries with SAM and their opponents.
    """

    table: pd.DataFrame
    groups: Sequence[ControlGroup]

    @property
    def conclusions(self) -> pd.DataFrame:
        """One line for each entry with SAM, data set and protocol: ``dataset``, ``protocol``, ``entry``, ``sam``."""
        by = ["dataset", "protocol", "entry"]
        lines = [(*key, conclude(own)) for key, own in self.table.groupby(by, sort=False)]
        return pd.DataFrame(lines, columns=[*by, "sam"])

    def lay_out(self, dataset: str = "", protocol: str = "") -> list[Grid]:
        """Lay out the conclusions on a data set under a protocol, or all of them; no table if no entry has controls."""
        controlled = [one.sam.name for one in self.groups if any(one.opponents[role] for role in CONTROLS)]
        lines = self.table[self.table["entry"].isin(controlled)]
        if dataset:
            lines = lines[(lines["dataset"] == dataset) & (lines["protocol"] == protocol)]
        if lines.empty:
            return []
        with_protocol = bool((lines["protocol"] != "").any())
        roles = (Role.PLAIN, *CONTROLS)
        header = ["entry", "data set", *["protocol"] * with_protocol, "tuned", *(role.value for role in roles), "SAM"]
        body = []
        for (dataset, protocol, entry), own in lines.groupby(["dataset", "protocol", "entry"], sort=False):
            place = [dataset, *[protocol] * with_protocol, own["tuned"].iloc[0]]
            cells = [_show_role(own[own["role"] == role.value]) for role in roles]
            body.append([Cell(text) for text in (entry, *place, *cells, conclude(own))])
        return [Grid("Does SAM help?", "verdicts", [captions.VERDICTS, *self._list_untuned()], header, body)]

    def _list_untuned(self) -> list[str]:
        """List the plain entries that lack a comparison with SAM at their own settings or tuned again with it."""
        kinds: dict[str, set[str]] = {}
        tuned = set(self.table.loc[self.table["tuned"] != UNTUNED, "entry"])
        for group in self.groups:
            with_sam = {"with"} if group.sam.name in tuned else set()
            kinds.setdefault(group.plain.name, set()).update({"without"} if group.tuned_without else with_sam)
        return [
            f"SAM is compared with {name} at settings tuned {next(iter(of))} it only."
            if of
            else f"SAM is compared with {name} at settings that are not tuned."
            for name, of in kinds.items()
            if len(of) < 2
        ]


def _show_role(lines: pd.DataFrame) -> str:
    texts = [f"{show_number(one.difference, f'+.{DIGITS}f')} (p {show_p(one.p_holm)})" for one in lines.itertuples()]
    return "; ".join(texts) or NOTHING
