"""Layout of atomic files: separators, encoding, columns and their types."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.data.catalog import find_close_names
from recbole_samrec.utils.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_OTHER_SEPARATORS = ("::", "\t", ",", ";", "|", " ")


@dataclass(frozen=True)
class Column:
    """Column of an atomic file: its name, its type and its header as written."""

    name: str
    type: str
    header: str


@dataclass(frozen=True)
class Layout:
    """Layout of a data set's files, from RecBole's settings.

    Attributes:
        user: Name of the user column.
        item: Name of the item column.
        time: Name of the time column.
        separator: Separator of columns.
        seq_separator: Separator of the values of a sequence.
        encoding: Encoding of the files.
        load: Columns that RecBole loads, by suffix; None if it loads all.
        unload: Columns that RecBole skips, by suffix.
        benchmark: Names of the parts of benchmark files.
        additional: Suffixes of additional files, such as ``itememb``.
        keep_na_tokens: Whether ids such as "NA" and "null" are ids; if not, they are missing.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    separator: str = "\t"
    seq_separator: str = " "
    encoding: str = "utf-8"
    load: Mapping[str, Any] | None = None
    unload: Mapping[str, Any] | None = None
    benchmark: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    keep_na_tokens: bool = True

    @classmethod
    def from_settings(cls, fields: Any) -> Layout:
        """Make a layout from RecBole's settings, such as ``USER_ID_FIELD``; missing ones have their defaults."""
        keys = {
            "user": "USER_ID_FIELD", "item": "ITEM_ID_FIELD", "time": "TIME_FIELD", "separator": "field_separator",
            "seq_separator": "seq_separator", "encoding": "encoding", "load": "load_col", "unload": "unload_col",
            "benchmark": "benchmark_filename", "additional": "additional_feat_suffix",
            "keep_na_tokens": "keep_na_tokens",
        }  # fmt: skip
        given = {name: fields[key] for name, key in keys.items() if key in fields and fields[key] is not None}
        for name in ("benchmark", "additional"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)

    @property
    def has_ascii_line_ends(self) -> bool:
        """True if line ends can be found in the bytes, as in all encodings except UTF-16 and UTF-32."""
        return "ab".encode(self.encoding).removeprefix(codecs.BOM_UTF8) == b"ab"

    def is_loaded(self, suffix: str, name: str) -> bool:
        """Return True if RecBole loads the column ``name`` of the file with this suffix."""
        if self.load is not None:
            wanted = self.load.get(suffix, ())
            if wanted != "*" and name not in (wanted or ()):
                return False
        return name not in ((self.unload or {}).get(suffix) or ())

    def is_any_loaded(self, suffix: str) -> bool:
        """Return True if RecBole opens the file with this suffix."""
        return self.load is None or bool(self.load.get(suffix))


def read_header(path: Path, layout: Layout) -> list[Column]:
    """Read the columns that the first line of an atomic file declares.

    Raises:
        DataError: The file is empty or starts with a byte order mark, or its first line is not a header.
    """
    with path.open("rb") as file:
        raw = file.readline()
    if not raw.strip():
        raise DataError(f"{path} line 1 is empty: the first line names the columns, such as {layout.user}:token")
    for mark, name in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark) and layout.encoding.lower() not in ("utf-8-sig", "utf-16"):
            raise DataError(f"{path} line 1 begins with a {name} byte order mark: save the file as UTF-8 without it")
    try:
        line = raw.decode(layout.encoding) if layout.has_ascii_line_ends else _read_first_line(path, layout)
    except UnicodeDecodeError as error:
        raise make_encoding_error(path, 1, error) from error
    except UnicodeError as error:  # of UTF-16 and UTF-32, which begin with a byte order mark
        raise DataError(f"{path} is not {layout.encoding} text ({error}): name its encoding") from error
    return list(_parse_columns(path, line.rstrip("\r\n"), layout))


def _read_first_line(path: Path, layout: Layout) -> str:
    with path.open(encoding=layout.encoding) as file:
        return file.readline()


def make_encoding_error(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    """Make the error for a byte that is invalid in the encoding, in a line counted from 1."""
    return DataError(
        f"{path} line {line}, byte {error.start + 1}: 0x{error.object[error.start]:02x} is not {error.encoding}: "
        f"save the file as {error.encoding}, or name its encoding with the setting encoding"
    )


def guess_separator(line: str, layout: Layout) -> str | None:
    """Guess the separator of a line that does not contain the configured one."""
    if layout.separator in line:
        return None
    return next((other for other in _OTHER_SEPARATORS if other in line), None)


def _parse_columns(path: Path, line: str, layout: Layout) -> Iterator[Column]:
    other = guess_separator(line, layout)
    if other:
        raise DataError(
            f"{path} line 1: {other!r} seems to separate the columns, where {layout.separator!r} is expected: "
            f"replace it, or convert the file with python -m recbole_samrec data"
        )
    for number, cell in enumerate(line.split(layout.separator), 1):
        if cell.startswith('"'):
            raise DataError(
                f"{path} line 1, column {number}: RecBole does not read names in quotation marks: remove the marks"
            )
        if not cell.strip():
            raise DataError(f"{path} line 1, column {number} has no name: name it, or remove the surplus separator")
        name, colon, kind = cell.partition(":")
        if not colon or not name:
            guess = "float" if name in (layout.time, "rating") else "token"
            example = name if name.isidentifier() else layout.user
            raise DataError(
                f"{path} line 1, column {number}: {cell!r} has no type: the first line names every column with its "
                f"type, such as {example}:{guess}"
            )
        if kind not in TYPES:
            raise DataError(f"{path} line 1, column {name}: type {kind!r} is unknown: use {', '.join(TYPES)}")
        yield Column(name, kind, cell)


def require_column(path: Path, columns: Collection[Column], name: str, kind: str) -> None:
    """Check that a column exists and has a type.

    Raises:
        DataError: The column is missing or has another type.
    """
    found = [column for column in columns if column.name == name]
    if not found:
        names = [column.name for column in columns]
        close = find_close_names(name, names, count=1)
        hint = f", perhaps {close[0]!r} is meant" if close else ""
        raise DataError(
            f"{path} line 1 has no column {name!r}: it has {', '.join(names)}{hint}; rename the column, "
            f"or set the field's name"
        )
    if found[0].type != kind:
        raise DataError(f"{path} line 1, column {name}: type is {found[0].type}, must be {kind}: write {name}:{kind}")
