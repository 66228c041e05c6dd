"""Published data sets: their sizes, and the sources of their files."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Counts(NamedTuple):
    """The size of a data set: users, items with at least one interaction, and interactions."""

    users: int
    items: int
    interactions: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.items:,} items and {self.interactions:,} interactions"


PUBLISHED = {
    "ml-100k": Counts(943, 1_682, 100_000),
    "ml-1m": Counts(6_040, 3_706, 1_000_209),
    "ml-10m": Counts(69_878, 10_677, 10_000_054),
    "ml-20m": Counts(138_493, 26_744, 20_000_263),
    "ml-25m": Counts(162_541, 59_047, 25_000_095),
    "Amazon_Beauty": Counts(22_363, 12_101, 198_502),
    "Amazon_Sports_and_Outdoors": Counts(35_598, 18_357, 296_337),
    "Amazon_Toys_and_Games": Counts(19_412, 11_924, 167_597),
}
"""Sizes of the original MovieLens archives and of the 2014 Amazon 5-core review files."""


def describe_source(name: str) -> str:
    """Describe in one phrase where the data set ``name`` is published and which command converts it."""
    command = f"python -m recbole_samrec data {name}"
    if name.startswith("ml-"):
        return f"get {name}.zip from GroupLens (MovieLens), then run: {command} path/to/{name}.zip"
    if name.startswith("Amazon_"):
        file = f"reviews_{name.removeprefix('Amazon_')}_5.json.gz"
        return f"get {file} from the Amazon review data (2014, 5-core), then run: {command} path/to/{file}"
    return (
        f"get its interactions from the provider as CSV or Parquet, then run: "
        f"{command} path/to/file.csv --user COLUMN --item COLUMN --time COLUMN"
    )


def find_close_names(word: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """Return the choices most similar to ``word``, ignoring case and the difference between ``-`` and ``_``."""
    plain = {choice.casefold().replace("_", "-"): choice for choice in choices}
    found = get_close_matches(word.casefold().replace("_", "-"), plain, n=count, cutoff=0.5)
    return [plain[key] for key in found]
