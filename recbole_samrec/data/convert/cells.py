"""Check that every line of a provider's table has as many cells as its header.

pandas silently fills missing cells, drops surplus ones and shifts the columns of a file whose first line has surplus
cells. Therefore the cells of each line are counted before pandas reads the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from recbole_samrec.data.convert.source import codec, open_bytes, open_text
from recbole_samrec.data.validate.scan import find_ragged_lines, is_quoted
from recbole_samrec.utils.errors import DataError

_CHUNK = 1 << 24


def check_cells(path: Path, delimiter: str, encoding: str, header: list[str]) -> None:
    """Check the number of cells of every line; empty surplus cells at the end of a line are allowed.

    Args:
        path: Text file, which may be gzipped.
        delimiter: Text between cells.
        encoding: Encoding of the file.
        header: Cells of the first line.

    Raises:
        DataError: A line has missing cells, or surplus cells that are not empty; the message has its number.
    """
    width = len(header)
    while width > 1 and not header[width - 1].strip():
        width -= 1
    for line, cells in _find_ragged(path, delimiter, encoding, width):
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            shown = delimiter.join(cells).strip()[:60]
            raise DataError(
                f"{path} line {line} has {len(cells)} cells, the header has {width}: correct the line, or quote "
                f"cells that contain {delimiter!r} ({shown!r})"
            )


def _find_ragged(path: Path, delimiter: str, encoding: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of ragged lines, from the bytes, or by records if cells are quoted."""
    name = codec(encoding)
    plain = len(delimiter.encode()) == 1 and "a\n".encode(name).endswith(b"a\n")
    line = 1
    with open_bytes(path) as file:
        while plain and (chunk := file.read(_CHUNK)):
            chunk += file.readline()
            plain = not is_quoted(chunk, delimiter) and b"\r" not in chunk.replace(b"\r\n", b"")
            if plain:
                for index, _, text in find_ragged_lines(chunk, delimiter, width):
                    yield line + index, text.rstrip(b"\r").decode(name, errors="replace").split(delimiter)
                line += chunk.count(b"\n")
    if not plain:
        yield from ((at, cells) for at, cells in read_rows(path, delimiter, encoding) if len(cells) != width)


def read_rows(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a table, the header included, with the numbers of their first lines; blank ones are skipped.

    Raises:
        DataError: The file cannot be read as text, or as a table.
    """
    with open_text(path, encoding) as text:
        single = len(delimiter) == 1
        reader = csv.reader(text, delimiter=delimiter) if single else None
        start = 1
        try:
            for number, cells in enumerate(reader or (line.rstrip("\r\n").split(delimiter) for line in text), 1):
                if len(cells) > 1 or "".join(cells).strip():
                    yield start, cells
                start = (number if reader is None else reader.line_num) + 1
        except csv.Error as error:
            raise DataError(f"{path} line {start} cannot be read ({error}): correct the line") from error
