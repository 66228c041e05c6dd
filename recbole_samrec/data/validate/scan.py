"""Check the bytes of an atomic file: one encoding, and the header's number of columns in every line."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recbole_samrec.data.validate.layout import Layout, guess_separator, make_encoding_error
from recbole_samrec.utils.errors import DataError

_CHUNK = 1 << 24
csv.field_size_limit(2**31 - 1)  # the default rejects long cells, which pandas reads


def check_lines(path: Path, layout: Layout, width: int, digest: Any = None) -> None:
    """Check the encoding and the number of columns of every line, and update ``digest`` with the bytes.

    The fast path counts separators between line ends in the raw bytes. It is not valid if cells are quoted or if
    separators or line ends are longer than a byte: such files are read line by line.

    Args:
        path: The file.
        layout: Its layout.
        width: Number of columns that the header declares.
        digest: Hash object of ``hashlib``.

    Raises:
        DataError: A line is wrong; the message contains the number of the first one.
    """
    digest = hashlib.sha256() if digest is None else digest
    plain = len(layout.separator.encode()) == 1 and layout.has_ascii_line_ends
    line = 1
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            chunk += file.readline()
            digest.update(chunk)
            if not plain:
                continue
            _check_encoding(path, chunk, line, layout)
            if is_quoted(chunk, layout.separator):
                plain = False
                continue
            _check_width(path, chunk, line, layout, width)
            line += chunk.count(b"\n")
    if not plain:
        _check_records(path, layout, width)


def read_records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield every record that RecBole's reader finds, including the header, with the number of its first line.

    Raises:
        DataError: The text is not in the encoding, or a quotation mark opens a cell and is not closed there.
    """
    with path.open(encoding=layout.encoding, newline="") as file:
        single = len(layout.separator) == 1
        reader = csv.reader(file, delimiter=layout.separator, strict=True) if single else None
        start = 1
        try:
            for number, row in enumerate(_split_lines(file, layout) if reader is None else reader, 1):
                end = number if reader is None else reader.line_num
                if end != start:
                    raise _make_quotation_error(path, start, f"closes only on line {end}")
                if len(row) > 1 or "".join(row).strip():
                    yield start, row
                start = end + 1
        except csv.Error:
            raise _make_quotation_error(path, start, "does not close where the cell ends") from None
        except UnicodeError as error:  # a missing byte order mark does not raise a UnicodeDecodeError
            raise DataError(f"{path} is not {layout.encoding} text after line {start}: name its encoding") from error


def _split_lines(file: Any, layout: Layout) -> Iterator[list[str]]:
    return (re.split(layout.separator, line.rstrip("\r\n")) for line in file)


def _make_quotation_error(path: Path, line: int, what: str) -> DataError:
    return DataError(
        f'{path} line {line}: a quotation mark (") begins a cell and {what}, so RecBole would join cells: '
        f"remove the mark or write ' instead"
    )


def _check_encoding(path: Path, chunk: bytes, line: int, layout: Layout) -> None:
    if chunk.isascii():
        return
    try:
        chunk.decode(layout.encoding)
    except UnicodeDecodeError as error:
        before = chunk.rfind(b"\n", 0, error.start) + 1
        inner = UnicodeDecodeError(error.encoding, chunk[before:], error.start - before, error.end, error.reason)
        raise make_encoding_error(path, line + chunk.count(b"\n", 0, error.start), inner) from error


def is_quoted(chunk: bytes, separator: str) -> bool:
    """Return True if a cell may begin with a quotation mark."""
    return chunk.startswith(b'"') or b'\n"' in chunk or separator.encode() + b'"' in chunk


def _check_width(path: Path, chunk: bytes, line: int, layout: Layout, width: int) -> None:
    if b"\r" in chunk:
        codes = np.frombuffer(chunk, dtype=np.uint8)
        _check_carriage_returns(path, codes, _find_line_ends(codes), line)
    for index, found, cells in find_ragged_lines(chunk, layout.separator, width):
        raise _make_width_error(path, line + index, found, width, cells.decode(layout.encoding), layout)


def find_ragged_lines(chunk: bytes, separator: str, width: int) -> Iterator[tuple[int, int, bytes]]:
    """Find the lines whose number of cells differs from the header's; blank lines are skipped.

    Args:
        chunk: Whole lines without quoted cells, in an encoding with ASCII line ends.
        separator: Separator of one byte.
        width: Number of cells of the header.

    Yields:
        The line's position in the chunk, from 0, its number of cells, and its bytes.
    """
    codes = np.frombuffer(chunk, dtype=np.uint8)
    ends = _find_line_ends(codes)
    separators = np.flatnonzero(codes == ord(separator))
    found = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    for index in np.flatnonzero(found != width):
        line = chunk[ends[index - 1] + 1 if index else 0 : ends[index]]
        if line.strip(b" \r"):
            yield int(index), int(found[index]), line


def _find_line_ends(codes: np.ndarray) -> np.ndarray:
    ends = np.flatnonzero(codes == ord("\n"))
    return ends if len(ends) and ends[-1] == len(codes) - 1 else np.append(ends, len(codes))


def _check_carriage_returns(path: Path, codes: np.ndarray, ends: np.ndarray, line: int) -> None:
    """Raise for a carriage return that is not part of a line end, because RecBole's reader ends the line there."""
    returns = np.flatnonzero(codes == ord("\r"))
    alone = returns[~np.isin(returns + 1, ends)]
    if len(alone):
        number = line + int(np.searchsorted(ends, alone[0]))
        raise DataError(f"{path} line {number} contains a carriage return, at which RecBole ends the line: remove it")


def _check_records(path: Path, layout: Layout, width: int) -> None:
    for line, cells in read_records(path, layout):
        if len(cells) != width:
            raise _make_width_error(path, line, len(cells), width, layout.separator.join(cells), layout)


def _make_width_error(path: Path, line: int, found: int, width: int, text: str, layout: Layout) -> DataError:
    other = guess_separator(text, layout)
    hint = "correct the line"
    if other:
        hint = f"{other!r} seems to separate them, where {layout.separator!r} is expected"
    return DataError(f"{path} line {line} has {found} columns, the header has {width}: {hint} ({text.strip()[:60]!r})")
