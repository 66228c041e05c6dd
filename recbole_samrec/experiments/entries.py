"""Entries of a comparison: models with settings, under names such as ``GRU4Rec+SAM`` or ``S3Rec (RecBole)``."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_samrec.config.former_settings import check_former_settings
from recbole_samrec.config.parameters import Parameter
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.candidates import read_choices, read_further
from recbole_samrec.integration import registry
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES
from recbole_samrec.utils.settings import suggest_nearest

WITH_SAM = "+SAM"
EQUAL_PASSES = " (equal passes)"
"""End of the names of entries whose search continues that of another one."""
DOUBLED = ("epochs", "stopping_step")
"""Settings that the first candidate of such an entry has doubled."""
KEYS = {"model", "variant_of", "settings", "fixed", "choose", "choose_more", "tuned_as"}
LISTED_UNDER = ("entries", "rows")
"""Keys of a file under which its entries are; files of revision 6de9c71 have the second one."""


@dataclass(frozen=True)
class Entry:
    """An entry of a comparison: a model with its settings.

    Args:
        name: Its name in tables.
        model: RecBole's name of the model.
        defaults: Settings below those of the user.
        fixed: Settings that define the entry; they override all others.
        source: ``file.py:Name`` of a user's own model.
        variant_of: Name of the entry that this one is with one change, such as SAM; empty if it is not a variant.
        choose: Settings that ``compare --select`` chooses by validation, and their values.
        choose_more: Further values of such settings, or ranges of them, with which the search of the entry continues.
        tuned_as: Name of the entry whose searched and chosen settings this one takes; empty for its own.
        continues: Name of the entry whose search this one continues; empty if it continues none.
    """

    name: str
    model: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    variant_of: str = ""
    choose: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    choose_more: Mapping[str, Parameter] = field(default_factory=dict)
    tuned_as: str = ""
    continues: str = ""

    @property
    def candidates(self) -> int:
        """Number of candidates."""
        return math.prod(len(values) for values in self.choose.values())

    def settings(
        self,
        *files: Mapping[str, Any],
        known: Collection[str] | None = None,
        chosen: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Settings of a run: the entry's defaults, those of the given files in their order, the entry's fixed settings.

        Args:
            files: Settings above the defaults.
            known: Keys that the model reads; defaults of other keys are dropped.
            chosen: Settings that validation chose, above the files. A continued search may choose to train for longer
                than the entry fixes.
        """
        joined = {key: value for key, value in self.defaults.items() if known is None or key in known}
        for settings in (*files, chosen or {}):
            joined |= settings
        longer = {key for key in DOUBLED if self.continues and key in (chosen or {})}
        fixed = {key: value for key, value in self.fixed.items() if key not in longer}
        return {**joined, **fixed, "model": self.model}


def read_entries(names: Sequence[str], files: Sequence[Path] = ()) -> list[Entry]:
    """Read the entries with these names.

    Args:
        names: Models, or names of entries in ``properties/compare.yaml`` or in ``files``, each perhaps with ``+SAM``.
        files: Further files of the same form.

    Raises:
        ConfigError: There is no such entry, or a file has an invalid form.
    """
    tables = [read_yaml(file) for file in (PROPERTIES / "compare.yaml", *files)]
    known = dict(_stored_entries(tables, files))
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ConfigError(f"--models names {twice} twice")
    entries = [_make_entry(name, known, tables) for name in names]
    there = {*registry.model_names(), *known, *(entry.name for entry in entries)}
    for entry in entries:
        of, others = entry.variant_of, there - {entry.name}
        if of and not (isinstance(of, str) and of.removesuffix(WITH_SAM) in others):
            raise ConfigError(
                f"variant_of of {entry.name}: there is no other entry {of}; {suggest_nearest(str(of), others)}"
            )
    _check_tuned_as(entries)
    return entries


def _check_tuned_as(entries: Sequence[Entry]) -> None:
    """Check that the entries of ``tuned_as`` are compared, and are tuned themselves.

    Raises:
        ConfigError: One is not.
    """
    known = {entry.name: entry for entry in entries}
    for entry in entries:
        of = entry.tuned_as
        if of and (of not in known or of == entry.name):
            others = known.keys() - {entry.name}
            raise ConfigError(
                f"tuned_as of {entry.name}: {of} is not compared; {suggest_nearest(str(of), others)} Otherwise add "
                "it to --models"
            )
        if of and known[of].tuned_as:
            raise ConfigError(
                f"tuned_as of {entry.name}: {of} itself is tuned as {known[of].tuned_as}; name {known[of].tuned_as}"
            )


def _stored_entries(tables: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file, table in zip(("", *files), tables, strict=True):
        for name, stored in ((name, of) for key in LISTED_UNDER for name, of in (table.get(key) or {}).items()):
            if not isinstance(stored, dict) or "model" not in stored or set(stored) - KEYS:
                raise ConfigError(
                    f"{file}: the entry {name} needs a model, and may have {', '.join(sorted(KEYS - {'model'}))}; "
                    "nothing else"
                )
            check_former_settings({**(stored.get("settings") or {}), **(stored.get("fixed") or {})}, f"{file}: {name}")
            yield name, stored


def _make_entry(name: str, known: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Entry:
    plain, source = name.removesuffix(WITH_SAM), None
    if ".py:" in plain:
        source, plain = plain, plain.rpartition(":")[2]
        name = name.removeprefix(source.removesuffix(plain))
        registry.model_from(source)  # import again: the file may have changed, or another file had a model of this name
    stored = known.get(name) or known.get(plain) or {"model": plain}
    model, fixed = stored["model"], upgrade_settings(stored.get("fixed") or {})
    if not registry.is_model(model):
        candidates = {*registry.model_names(), *known}
        raise ConfigError(f"--models: unknown model or entry {name}; {suggest_nearest(plain, candidates)}")
    defaults: dict[str, Any] = {}
    for table in tables:
        defaults |= table.get("protocol") or {}
        for family in (table.get("families") or {}).values():
            if model in family["models"]:
                defaults |= family["settings"]
    defaults = upgrade_settings(defaults) | upgrade_settings(stored.get("settings") or {})
    choose = read_choices(stored.get("choose"), f"choose of {name}", fixed)
    if name.endswith(WITH_SAM) and name not in known:
        fixed.pop("sam_rho", None)
        defaults.setdefault("sam_rho", samrec_rho())
    elif "sam_rho" not in {**defaults, **fixed, **choose}:
        if model == "SAMRec":
            defaults["sam_rho"] = samrec_rho()
        else:
            fixed["sam_rho"] = 0
    variant_of = plain if name.endswith(WITH_SAM) and name not in known else stored.get("variant_of", "")
    more = read_further(stored.get("choose_more"), f"choose_more of {name}", fixed)
    if lone := sorted(more.keys() - choose.keys()):
        raise ConfigError(f"choose_more of {name}: {lone[0]} is not in choose; add choose: {{{lone[0]}: [value]}}")
    return Entry(name, model, defaults, fixed, source, variant_of, choose, more, stored.get("tuned_as", ""))


def samrec_rho() -> float:
    """SAM's default radius, that of SAMRec."""
    return read_yaml(PROPERTIES / "model" / "SAMRec.yaml")["sam_rho"]


def dataset_settings(name: str, files: Sequence[Path] = ()) -> dict[str, Any]:
    """Settings for a data set."""
    settings: dict[str, Any] = {}
    for file in (PROPERTIES / "compare.yaml", *files):
        settings |= (read_yaml(file).get("datasets") or {}).get(name) or {}
    return upgrade_settings(settings)
