"""Hashes of the files of a data set, to check that they are those that a run was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.utils.files import hash_files


def hash_interactions(config: Any) -> str:
    """Return the sha256 of the interaction file, or of all of them for benchmark files."""
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = config["benchmark_filename"]
    files = [f"{name}.{part}.inter" for part in parts] if parts else [f"{name}.inter"]
    return hash_files(folder / file for file in files)


def hash_attributes(config: Any) -> str | None:
    """Return the sha256 of the other files of a data set that are loaded, such as ``.item``, or None."""
    folder, name, layout = Path(config["data_path"]), config["dataset"], Layout.from_settings(config.final_config_dict)
    files = [folder / f"{name}.{suffix}" for suffix in ("user", "item", "kg", "link") if layout.is_any_loaded(suffix)]
    there = [file for file in files if file.is_file()]
    return hash_files(there) if there else None
