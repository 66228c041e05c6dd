"""Open the files of providers: plain, gzipped or zipped text, in UTF-8 or latin-1."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from recbole_samrec.utils.encodings import is_text_encoding
from recbole_samrec.utils.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_DAMAGED = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, unpacking it if it is gzipped.

    Raises:
        DataError: The file is missing, or its compression is damaged.
    """
    if not path.is_file():
        raise DataError(f"{path} is {'a folder, not a file' if path.is_dir() else 'missing'}: give the path of a file")
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        try:
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        except _DAMAGED as error:
            raise _make_damage_error(path, error) from error


@contextmanager
def open_text(path: Path, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
    """Open a plain or gzipped text file; a byte order mark is skipped.

    Raises:
        DataError: As for :func:`open_bytes`, or the text is not in ``encoding``.
    """
    with open_bytes(path) as raw:
        try:
            yield io.TextIOWrapper(raw, encoding=codec(encoding), newline="")
        except UnicodeError as error:  # the error about a missing byte order mark has no reason
            name, reason = getattr(error, "encoding", encoding), getattr(error, "reason", error)
            raise DataError(f"{path} is not {name} text ({reason}): give its --encoding") from error


def first_line(path: Path, encoding: str = "utf-8") -> str:
    """Return the first line of a text file, without its line end; invalid bytes become replacement characters."""
    with open_bytes(path) as raw:
        text = io.TextIOWrapper(raw, encoding=codec(encoding), errors="replace", newline="")
        try:
            return text.readline(1_000_000).rstrip("\r\n")
        except UnicodeError as error:  # a missing byte order mark cannot be replaced
            raise DataError(f"{path} is not {encoding} text ({error}): give its --encoding") from error


def codec(encoding: str) -> str:
    """Return the name of a codec; for UTF-8, of the one that skips a byte order mark.

    Raises:
        DataError: There is no such encoding.
    """
    if not is_text_encoding(encoding):
        raise DataError(f"--encoding {encoding!r} is unknown: use a name such as utf-8 or latin-1")
    name = codecs.lookup(encoding).name
    return "utf-8-sig" if name == "utf-8" else name


def _make_damage_error(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path} is damaged or incomplete ({error}): download it again")


class Archive:
    """A zip archive, or the folder it was unpacked to, whose members are read by their file names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, list[str]] = {}  # paths by file name; several folders may contain the name
        try:
            if path.is_dir():
                paths = [str(file) for file in sorted(path.rglob("*")) if file.is_file()]
            else:
                self._zip = zipfile.ZipFile(path)
                paths = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        except zipfile.BadZipFile as error:
            raise _make_damage_error(path, error) from error
        for one in paths:
            self._members.setdefault(Path(one).name, []).append(one)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._zip is not None:
            self._zip.close()
        if isinstance(error, _DAMAGED):
            raise _make_damage_error(self.path, error) from error

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def open(self, member: str) -> IO[bytes]:
        """Open a member by its file name alone, in any folder of the archive.

        Raises:
            DataError: Several folders have such a member, or it is encrypted or packed by a method that Python cannot
                unpack.
        """
        first, *others = self._members[member]
        if others:
            raise DataError(
                f"{self.path} has {1 + len(others)} files {member}, such as {first} and {others[0]}: give a folder or "
                "an archive with one of them"
            )
        if self._zip is None:
            return Path(first).open("rb")
        try:
            return self._zip.open(first)
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"{self.path}: {member} cannot be unpacked here ({error}): unpack the archive and give its folder"
            ) from error

    def read_text(self, member: str) -> str:
        """Read a small member as text: UTF-8, or latin-1 if the bytes are not UTF-8."""
        with self.open(member) as file:
            data = file.read()
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return data.decode("latin-1")
