"""Entries with SAM, their plain entries and their controls, derived from the entries' settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_samrec.experiments.entries import Entry
from recbole_samrec.utils.errors import ConfigError


class Role(Enum):
    """Role of an entry in a comparison of SAM; pages show the values."""

    PLAIN = "plain"
    SAM = "SAM"
    RANDOM = "random direction"
    AVERAGED = "weight averaging"
    OTHER = "SAM with weight averaging"


CONTROLS = (Role.RANDOM, Role.AVERAGED)
STAGED = "S3Rec"
"""The model that trains in stages, of which SAM acts in some."""


@dataclass(frozen=True)
class ControlGroup:
    """An entry with SAM and the entries that it has to beat.

    Attributes:
        sam: The entry.
        opponents: Its plain entry, also with equal passes, and its controls, which are selected like it.
        tuned_without: Whether its other settings were tuned without SAM, as those of a plain entry.
    """

    sam: Entry
    opponents: Mapping[Role, Sequence[Entry]]
    tuned_without: bool = False

    @property
    def plain(self) -> Entry:
        """The plain entry."""
        return self.opponents[Role.PLAIN][0]


def find_role(entry: Entry, given: Mapping[str, Any]) -> Role:
    """Find the role of an entry.

    Args:
        entry: The entry; what it chooses from counts like its settings.
        given: Settings of the user for all entries.
    """
    settings = entry.settings(given)
    values = {key: entry.choose.get(key, (settings.get(key),)) for key in ("sam_rho", "sam_variant", "weight_average")}
    moves, averages = any(values["sam_rho"]), any(values["weight_average"])
    if moves and averages:
        return Role.OTHER
    if moves:
        return Role.RANDOM if set(values["sam_variant"]) == {"random"} else Role.SAM
    return Role.AVERAGED if averages else Role.PLAIN


def find_groups(entries: Sequence[Entry], given: Mapping[str, Any]) -> list[ControlGroup]:
    """Find the entries with SAM whose plain entry is also compared, and the entries that each has to beat.

    A control is a variant of the same plain entry that has as many candidates and is tuned as the same entry. A random
    direction also acts in the same stage of S3Rec; an average of weights exists in fine-tuning only, and counts for
    both stages.

    Args:
        entries: All entries of the comparison.
        given: Settings of the user for all entries.
    """
    roles = {entry.name: find_role(entry, given) for entry in entries}
    plain = {entry.name: entry for entry in entries if roles[entry.name] is Role.PLAIN}
    groups = []
    for sam in entries:
        if roles[sam.name] is not Role.SAM or sam.variant_of not in plain:
            continue
        base = plain[sam.variant_of]
        opponents = {Role.PLAIN: [base, *(one for one in entries if one.continues == base.name)]}
        opponents |= {
            role: [one for one in entries if roles[one.name] is role and _is_control(one, role, sam, given)]
            for role in CONTROLS
        }
        groups.append(ControlGroup(sam, opponents, tuned_without=sam.tuned_as in plain))
    return groups


def _is_control(entry: Entry, role: Role, sam: Entry, given: Mapping[str, Any]) -> bool:
    same = entry.variant_of == sam.variant_of and entry.tuned_as == sam.tuned_as
    alike = role is not Role.RANDOM or _find_stages(entry, given) == _find_stages(sam, given)
    return same and entry.candidates == sam.candidates and alike


def _find_stages(entry: Entry, given: Mapping[str, Any]) -> set[str]:
    """Find the stages of S3Rec, its fine-tuning by default, in which an entry perturbs; other models have none."""
    if entry.model != STAGED:
        return set()
    return set(entry.choose.get("sam_stage", (entry.settings(given).get("sam_stage", "finetuning"),)))


def check_controls(entries: Sequence[Entry], given: Mapping[str, Any]) -> None:
    """Check that each control of an entry with SAM is selected like such an entry, and perturbs in its stage.

    Raises:
        ConfigError: A control has another number of candidates, is tuned as another entry, or perturbs in another
            stage.
    """
    groups = find_groups(entries, given)
    matched = {one.name for group in groups for role in CONTROLS for one in group.opponents[role]}
    for control in entries:
        rivals = [group.sam for group in groups if group.plain.name == control.variant_of]
        if rivals and control.name not in matched and find_role(control, given) in CONTROLS:
            raise _explain_mismatch(control, rivals, given)


def _explain_mismatch(control: Entry, rivals: Sequence[Entry], given: Mapping[str, Any]) -> ConfigError:
    """Return the error about a control that is not selected like any of the entries with SAM, or acts elsewhere."""
    of_same = [one for one in rivals if one.tuned_as == control.tuned_as]
    if not of_same:
        return ConfigError(
            f"{control.name}: it is tuned as {control.tuned_as or 'itself'} and {rivals[0].name} as "
            f"{rivals[0].tuned_as or 'itself'}; a control must be selected like SAM: give both the same tuned_as"
        )
    equal = [one for one in of_same if one.candidates == control.candidates]
    if not equal:
        return ConfigError(
            f"{control.name}: it has {control.candidates} candidates and {of_same[0].name} has "
            f"{of_same[0].candidates}; a control needs as many candidates as SAM: change choose of one of them"
        )
    mine, other = (" or ".join(sorted(_find_stages(one, given))) for one in (control, equal[0]))
    return ConfigError(
        f"{control.name}: its sam_stage is {mine} and that of {equal[0].name} is {other}; a random direction must act "
        "in the stage of SAM: give both the same sam_stage"
    )
