"""The rows of a comparison: what a name such as ``GRU4Rec+SAM`` or ``S3Rec (RecBole)`` stands for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.integration import registry
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES
from recbole_samrec.utils.settings import nearest

WITH_SAM = "+SAM"
KEYS = {"model", "variant_of", "settings", "fixed"}


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        name: What the table calls it.
        model: RecBole's name of the model.
        defaults: Settings below those of the user.
        fixed: Settings that make the row what its name says; they win over all others.
        source: ``file.py:Name`` of a model of the user's own.
        variant_of: Name of the row that this one is with a change, such as SAM; empty if it is none's variant.
    """

    name: str
    model: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    variant_of: str = ""

    def settings(self, *files: Mapping[str, Any], known: Collection[str] | None = None) -> dict[str, Any]:
        """The settings of a run: the row's defaults, those of the given files in their order, the row's fixed ones.

        Args:
            files: Settings above the defaults.
            known: Keys that the model reads; of the others the defaults are left out.
        """
        joined = {key: value for key, value in self.defaults.items() if known is None or key in known}
        for settings in files:
            joined |= settings
        return joined | self.fixed | {"model": self.model}


def read_rows(names: Sequence[str], files: Sequence[Path] = ()) -> list[Row]:
    """The rows of these names.

    Args:
        names: Models, names of rows in ``properties/compare.yaml`` or in ``files``, each perhaps with ``+SAM``.
        files: Further files of the same form.

    Raises:
        ConfigError: There is no such row, or a file has another form.
    """
    tables = [read_yaml(file) for file in (PROPERTIES / "compare.yaml", *files)]
    known: dict[str, dict[str, Any]] = {}
    for file, table in zip(("", *files), tables, strict=True):
        for name, entry in (table.get("rows") or {}).items():
            if not isinstance(entry, dict) or "model" not in entry or set(entry) - KEYS:
                raise ConfigError(
                    f"{file}: the row {name} needs a model, and may have variant_of, settings and fixed; nothing else"
                )
            known[name] = entry
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ConfigError(f"--models names {twice} twice")
    rows = [_row(name, known, tables) for name in names]
    there = {*registry.model_names(), *known, *(row.name for row in rows)}
    for row in rows:
        of, others = row.variant_of, there - {row.name}
        if of and not (isinstance(of, str) and of.removesuffix(WITH_SAM) in others):
            raise ConfigError(f"variant_of of {row.name}: there is no other row {of}; {nearest(str(of), others)}")
    return rows


def _row(name: str, known: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Row:
    plain, source = name.removesuffix(WITH_SAM), None
    if ".py:" in plain:
        source, plain = plain, plain.rpartition(":")[2]
        name = name.removeprefix(source.removesuffix(plain))
        registry.model_from(source)  # anew: the file may have changed since, or another one had a model of this name
    entry = known.get(name) or known.get(plain) or {"model": plain}
    model, fixed = entry["model"], upgrade_settings(entry.get("fixed") or {})
    if not registry.is_model(model):
        candidates = {*registry.model_names(), *known}
        raise ConfigError(f"--models: there is no model or row {name}; {nearest(plain, candidates)}")
    defaults: dict[str, Any] = {}
    for table in tables:
        defaults |= table.get("protocol") or {}
        for family in (table.get("families") or {}).values():
            if model in family["models"]:
                defaults |= family["settings"]
    defaults = upgrade_settings(defaults) | upgrade_settings(entry.get("settings") or {})
    if name.endswith(WITH_SAM) and name not in known:
        fixed.pop("sam_rho", None)
        defaults.setdefault("sam_rho", rho_of_samrec())
    elif "sam_rho" not in {**defaults, **fixed}:
        if model == "SAMRec":
            defaults["sam_rho"] = rho_of_samrec()
        else:
            fixed["sam_rho"] = 0
    variant_of = plain if name.endswith(WITH_SAM) and name not in known else entry.get("variant_of", "")
    return Row(name, model, defaults, fixed, source, variant_of)


def rho_of_samrec() -> float:
    """SAM's radius where nothing else is said."""
    return read_yaml(PROPERTIES / "model" / "SAMRec.yaml")["sam_rho"]


def of_dataset(name: str, files: Sequence[Path] = ()) -> dict[str, Any]:
    """The settings that belong to a data set."""
    settings: dict[str, Any] = {}
    for file in (PROPERTIES / "compare.yaml", *files):
        settings |= (read_yaml(file).get("datasets") or {}).get(name) or {}
    return upgrade_settings(settings)
