"""Keeps, beside the records of a data set, which entries are incompatible with it, for tables without the data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from recbole_samrec.utils.files import read_mapping, write_atomically

FILE = "incompatible.json"
Reasons = Mapping[str, str]
"""For each entry, why it is incompatible with a data set."""


def remember_incompatible(folder: Path, protocol: str, entries: Iterable[str], reasons: Reasons) -> None:
    """Write what is known of some entries under a protocol; what is known of others stays.

    Args:
        folder: Folder of the data set's runs.
        protocol: Name of the protocol; empty for the one of the settings.
        entries: All entries that were tried.
        reasons: Those of them that are incompatible, and why.
    """
    known = _read_all(folder)
    of_protocol = {name: reason for name, reason in known.get(protocol, {}).items() if name not in set(entries)}
    found = {**known, protocol: {**of_protocol, **reasons}}
    found = {name: dict(sorted(of.items())) for name, of in sorted(found.items()) if of}
    if found != known:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FILE, json.dumps(found, indent=2, ensure_ascii=False) + "\n", "--out")


def recall_incompatible(folder: Path, protocol: str) -> Reasons:
    """Read which entries are incompatible with a data set under a protocol, and why; empty if nothing is known."""
    return _read_all(folder).get(protocol, {})


def _read_all(folder: Path) -> dict[str, dict[str, str]]:
    """Read the reasons of all protocols; a damaged file counts as missing, since it is written again with the data."""
    found = read_mapping(folder / FILE)
    if not all(isinstance(of, dict) for of in found.values()):
        return {}
    return {str(name): {str(entry): str(reason) for entry, reason in of.items()} for name, of in found.items()}
