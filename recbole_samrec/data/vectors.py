"""Checks of additional files, which mostly contain a vector for each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.validate.layout import Column, Layout, read_header
from recbole_samrec.data.validate.scan import check_lines
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.settings import is_number

READERS = ("GRU4RecKG", "KSR")
"""Models that read ``preload_weight``."""


def check_additional_files(folder: Path, name: str, settings: Mapping[str, Any]) -> list[str]:
    """Check the files of ``additional_feat_suffix``.

    Args:
        folder: Folder of the data set.
        name: Its name.
        settings: RecBole's settings.

    Returns:
        Remarks on repeated ids and on vectors that are short, empty or contain nan, one line each.

    Raises:
        DataError: A file is missing, a line has surplus cells, or a cell is not a number.
    """
    layout, remarks = Layout.from_settings(settings), []
    suffixes = settings.get("additional_feat_suffix") or ()
    for suffix in [suffixes] if isinstance(suffixes, str) else suffixes:
        path = folder / f"{name}.{suffix}"
        if not path.is_file():
            raise DataError(f"additional_feat_suffix={suffixes}: {path} is missing; create it or remove the suffix")
        columns = read_header(path, layout)
        check_lines(path, layout, len(columns))
        if layout.is_any_loaded(suffix):
            loaded = [column for column in columns if layout.is_loaded(suffix, column.name)]
            remarks += _check_table(path, loaded, layout)
    return remarks


def _check_table(path: Path, columns: list[Column], layout: Layout) -> list[str]:
    headers = [column.header for column in columns]
    engine = "c" if len(layout.separator) == 1 else "python"
    reading: dict[str, Any] = {"sep": layout.separator, "encoding": layout.encoding, "engine": engine}
    table = pd.read_csv(path, usecols=headers, dtype=str, keep_default_na=False, skip_blank_lines=True, **reading)
    remarks = []
    for column in columns:
        cells = table[column.header]
        if column.type == "float_seq":
            remarks += _check_vectors(path, column.name, cells, layout.seq_separator)
        elif column is next((one for one in columns if one.type == "token"), None):
            repeated = cells.duplicated()
            if repeated.any():
                first = cells[repeated].iloc[0]
                remarks.append(f"{path}: {repeated.sum()} rows repeat a {column.name} ({first!r}); the last one counts")
    return remarks


def _check_vectors(path: Path, name: str, cells: pd.Series, separator: str) -> list[str]:
    """Check a column of vectors; line 1 is the header."""
    lengths = np.empty(len(cells), dtype=np.int64)
    finite = np.ones(len(cells), dtype=bool)
    for row, cell in enumerate(cells):
        parts = [part for part in cell.split(separator) if part]
        try:
            vector = np.array(parts, dtype=np.float64)
        except ValueError as error:
            bad = next(part for part in parts if not is_number(part))
            raise DataError(
                f"{path} line {row + 2}, column {name}: {bad!r} is not a number: correct it, or set seq_separator"
            ) from error
        lengths[row], finite[row] = len(vector), np.isfinite(vector).all()
    remarks = []
    if (~finite).any():
        line = int((~finite).argmax()) + 2
        remarks.append(f"{path}: {(~finite).sum()} vectors of {name} contain nan or inf (first: line {line})")
    usual = Counter(lengths.tolist()).most_common(1)[0][0] if len(lengths) else 0
    odd = lengths != usual
    if odd.any():
        line = int(odd.argmax()) + 2
        remarks.append(
            f"{path}: {odd.sum()} vectors of {name} do not have {usual} numbers as the others do (first: line {line}); "
            "all are filled up with 0 to the longest"
        )
    return remarks


def describe_unread_vectors(config: Any) -> str | None:
    """Describe vectors of ``preload_weight`` that the model does not read, if there are any.

    Args:
        config: RecBole's configuration.
    """
    theirs = config.model_class.__module__.startswith(("recbole.", "recbole_samrec."))
    if not config["preload_weight"] or not theirs or config["model"] in READERS:
        return None
    return (
        f"{config['model']} does not read the vectors of preload_weight={config['preload_weight']}; a model of your "
        f"own gets them with dataset.get_preload_weight({next(iter(config['preload_weight']))!r})"
    )
