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
from recbole_samrec.compare.tables import DIGITS
from recbole_samrec.evaluator.marks import LEVEL

HELPS, NOT_SHOWN, NOT_TESTED = "helps", "not shown", "not tested"
COLUMNS = ("dataset", "protocol", "metric", "entry", "role", "opponent", "difference", "p_holm", "better")


def judge(table: pd.DataFrame, groups: Sequence[ControlGroup], places: Sequence[Place]) -> pd.DataFrame:
    """Judge whether entries with SAM are better than each of their opponents.

    Args:
        table: Made by :func:`~recbole_samrec.compare.primary.build_primary_table`.
        groups: The entries with SAM and their opponents.
        places: The data sets and protocols.

    Returns:
        One line for each entry with SAM, data set, protocol and opponent: ``metric``, ``entry``, ``role`` (of the
        opponent), ``opponent``, ``difference`` (entry minus opponent) and ``p_holm`` of their primary comparison, NaN
        if there is none, and ``better``: whether the difference is positive with p below 0.05 after Holm's correction.
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
    for role, opponents in group.opponents.items():
        for opponent in opponents:
            difference, p = np.nan, np.nan
            for line in of_place.itertuples():
                if {line.entry, line.reference} == {sam, opponent.name}:
                    difference = line.difference if line.entry == sam else -line.difference
                    p = line.p_holm
            metric = of_place["metric"].iloc[0] if len(of_place) else ""
            named = (place.dataset, place.protocol, metric, sam, role.value, opponent.name)
            yield dict(zip(COLUMNS, (*named, difference, p, bool(difference > 0 and p < LEVEL)), strict=True))


def conclude(lines: pd.DataFrame) -> str:
    """Conclude whether SAM helps an entry.

    Args:
        lines: The lines of :func:`judge` on the entry, a data set and a protocol.

    Returns:
        ``helps``; or ``not shown`` or ``not tested`` with the reason.
    """
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
        controlled = {one.sam.name: one.sam for one in self.groups if any(one.opponents[role] for role in CONTROLS)}
        lines = self.table[self.table["entry"].isin(controlled.keys())]
        if dataset:
            lines = lines[(lines["dataset"] == dataset) & (lines["protocol"] == protocol)]
        if lines.empty:
            return []
        with_protocol = bool((lines["protocol"] != "").any())
        roles = (Role.PLAIN, *CONTROLS)
        header = ["entry", "data set", *["protocol"] * with_protocol, "tuned", *(role.value for role in roles), "SAM"]
        body = []
        for (dataset, protocol, entry), own in lines.groupby(["dataset", "protocol", "entry"], sort=False):
            tuned_as = controlled[entry].tuned_as
            place = [dataset, *[protocol] * with_protocol, f"as {tuned_as}" if tuned_as else "with SAM"]
            cells = [_show_role(own[own["role"] == role.value]) for role in roles]
            body.append([Cell(text) for text in (entry, *place, *cells, conclude(own))])
        return [Grid("Does SAM help?", "verdicts", [captions.VERDICTS, *_list_untuned(self.groups)], header, body)]


def _show_role(lines: pd.DataFrame) -> str:
    texts = [f"{show_number(one.difference, f'+.{DIGITS}f')} (p {show_p(one.p_holm)})" for one in lines.itertuples()]
    return "; ".join(texts) or NOTHING


def _list_untuned(groups: Sequence[ControlGroup]) -> list[str]:
    """List the plain entries that lack a comparison with SAM at their own settings or tuned again with it."""
    kinds: dict[str, set[bool]] = {}
    for group in groups:
        kinds.setdefault(group.plain.name, set()).add(bool(group.sam.tuned_as))
    return [
        f"SAM is compared with {name} at settings tuned {'without' if True in of else 'with'} it only."
        for name, of in kinds.items()
        if len(of) == 1
    ]
