"""Convert the MovieLens archives of GroupLens."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from recbole_samrec.data.convert.atomic import INTERACTION_HEADER, join_words, write_frame
from recbole_samrec.data.convert.source import Archive
from recbole_samrec.utils.errors import DataError

_CHUNK = 1 << 24
_YEAR = re.compile(r"\s*\((\d{4})\)(?!.*\(\d{4}\))")
_NO_GENRES = "(no genres listed)"
_GENRES_100K = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()


class _Layout(NamedTuple):
    """Members of one generation of archives, and the separators of their lines."""

    ratings: str
    movies: str
    users: str
    separator: str
    user_columns: tuple[str, ...] = ()
    genre: str = "genre"


_LAYOUTS = (
    _Layout("u.data", "u.item", "u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code"), "class"),
    _Layout("ratings.dat", "movies.dat", "users.dat", "::", ("user_id", "gender", "age", "occupation", "zip_code")),
    _Layout("ratings.csv", "movies.csv", "", ","),
)
_HEADERS = {"ratings.csv": "userId,movieId,rating,timestamp", "movies.csv": "movieId,title,genres"}
_USER_ORDER = ("user_id", "age", "gender", "occupation", "zip_code")


def is_movielens(path: Path) -> bool:
    """Return True if a zip archive or folder contains the ratings of a MovieLens set."""
    with Archive(path) as archive:
        return any(layout.ratings in archive for layout in _LAYOUTS)


def convert_movielens(source: Path, stage: Path, name: str) -> list[str]:
    """Write ``.inter``, ``.item`` and, if the archive describes users, ``.user`` from a MovieLens archive.

    Titles, years and genres are written as in the files that RecBole publishes, with two differences in ml-100k:
    RecBole has "unkonwn" for the film without a title, and "V" for the year of the one film marked "(V)".

    Args:
        source: The zip archive, or the folder it was unpacked to.
        stage: Folder to write to.
        name: Name of the data set.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: The archive is damaged, has an unknown layout or two sets, or a table has other columns.
    """
    with Archive(source) as archive:
        layout = next((layout for layout in _LAYOUTS if layout.ratings in archive), None)
        if layout is None:
            wanted = ", ".join(layout.ratings for layout in _LAYOUTS)
            raise DataError(f"{source} is not a MovieLens archive: it contains none of {wanted}")
        _write_ratings(archive, layout, stage / f"{name}.inter")
        if layout.movies in archive:
            write_frame(_read_movies(archive, layout), stage / f"{name}.item")
        if layout.users in archive:
            write_frame(_read_users(archive, layout), stage / f"{name}.user")
    return []


def _write_ratings(archive: Archive, layout: _Layout, target: Path) -> None:
    """Copy the ratings with tabs as separators: all digits stay as published, and twenty million take seconds."""
    separator = b"\t" if layout.ratings == "u.data" else layout.separator.encode()
    with archive.open(layout.ratings) as lines, target.open("wb") as out:
        if layout.ratings in _HEADERS:
            _require_header(archive, layout.ratings, lines.readline().decode("utf-8-sig", errors="replace"))
        out.write(INTERACTION_HEADER.encode() + b"\n")
        while chunk := lines.read(_CHUNK):
            chunk += lines.readline()
            out.write(chunk.replace(separator, b"\t").replace(b"\r\n", b"\n"))


def _require_header(archive: Archive, member: str, line: str) -> None:
    """Check the first line of a table, without which columns would be mistaken, or its first row would be lost."""
    if line.strip() != _HEADERS[member]:
        raise DataError(
            f"{archive.path}: the first line of {member} is {line.strip()[:60]!r}, not {_HEADERS[member]!r}: correct "
            "it, or convert the file as a table, whose columns --user, --item and --time name"
        )


def _read_lines(archive: Archive, layout: _Layout, member: str, width: int) -> Iterator[list[str]]:
    """Yield the cells of a small member, line by line."""
    lines = [line.rstrip("\r") for line in archive.read_text(member).split("\n") if line.strip()]
    if member in _HEADERS:
        _require_header(archive, member, lines[0] if lines else "")
    table = csv.reader(lines) if member in _HEADERS else (line.split(layout.separator) for line in lines)
    for number, cells in enumerate(table, 1):
        if len(cells) != width:
            raise DataError(f"{archive.path}: {member} line {number} has {len(cells)} columns, expected {width}")
        if not (member in _HEADERS and number == 1):
            yield cells


def _read_movies(archive: Archive, layout: _Layout) -> pd.DataFrame:
    rows = []
    for item, title, *rest in _read_lines(archive, layout, layout.movies, 24 if layout.movies == "u.item" else 3):
        year = _YEAR.search(title)
        title = title[: year.start()] + title[year.end() :] if year else title
        rows.append((item, title, year[1] if year else "", " ".join(_parse_genres(rest))))
    header = ["item_id:token", "movie_title:token_seq", "release_year:token", f"{layout.genre}:token_seq"]
    return pd.DataFrame(rows, columns=header)


def _parse_genres(rest: list[str]) -> list[str]:
    """Return a film's genres from names separated by ``|``, or from the nineteen flags that end a line of ml-100k."""
    if len(rest) > 1:
        return [genre for genre, flag in zip(_GENRES_100K, rest[-19:], strict=True) if flag == "1"]
    return [] if rest[0] == _NO_GENRES else [join_words(genre) for genre in rest[0].split("|")]


def _read_users(archive: Archive, layout: _Layout) -> pd.DataFrame:
    frame = pd.DataFrame(list(_read_lines(archive, layout, layout.users, 5)), columns=list(layout.user_columns))
    return frame[list(_USER_ORDER)].add_suffix(":token")
