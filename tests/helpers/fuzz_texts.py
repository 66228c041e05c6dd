"""Texts as in real files: ids, numbers and times in their many spellings."""

from __future__ import annotations

import pandas as pd
from hypothesis import strategies as st

WORDS = [
    "NA", "nan", "NaN", "null", "None", "N/A", "n/a", "#N/A", "<NA>", "NULL", "-nan", "inf", "-inf", "True", "[PAD]",
    "0", "1", "01", "1.0", "1e3", "-1", "007", "1_0", "9007199254740993", "18446744073709551616", " a", "a ", "a b",
    "a", "A", "é", "ß", "\uff45", "日本", "😀", "e\u0301", "a,b", "a;b", "a|b", "a::b", "a:token",
    'a"b', '"a"', "'a'", "\\",
    "\\N", "#x", "%s", "{a}", "\u2028x", "x\x85y", "x\x0by", "x\x1cy", "\u00a0", "\ufeffx", "user_id:token", "-", ".",
]  # fmt: skip
"""Ids that programs misread."""

LETTERS = st.text("abcxyzABC0123456789._-", min_size=1, max_size=4)
ODD = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\t\r\n\x00"),
    min_size=1,
    max_size=5,
)


def ids() -> st.SearchStrategy[str]:
    """A nonempty id without tab, line end or NUL."""
    return st.one_of(LETTERS, st.sampled_from(WORDS), ODD)


HUGE = [text for text in ("1e400", "-1e400") if pd.to_numeric(pd.Series([text]), errors="coerce").notna().all()]
"""Numbers beyond the floats; pandas 2 takes them for words, and they are refused there."""

NUMBERS = st.one_of(
    st.integers(0, 5).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["5.", ".5", "+3", "-0", "1e3", "1E-3", "00012", *HUGE, "inf", "-inf", "Infinity", "3.0"]),
)
"""Numbers as texts that both Python and RecBole read."""

MISSING = ["", "nan", "NA", "NULL", "None", "N/A"]
"""Texts for a missing number."""

NO_NUMBERS = [
    "soon",
    "1,5",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    "0x10",
    "1 2",
    "٣",
    "--1",
    "1.2.3",
    "$5",
    "12:30",
    "é",
]
"""Texts that are no numbers."""


def times() -> st.SearchStrategy[list[str]]:
    """Twelve times of one kind as texts: seconds to nanoseconds, decimals, small, negative, huge, with ties."""

    def spell(numbers: list[int], kind: str) -> list[str]:
        spellings = {
            "s": lambda n: str(1_700_000_000 + n),
            "ms": lambda n: str(1_700_000_000_000 + n),
            "us": lambda n: str(1_700_000_000_000_000 + n),
            "ns": lambda n: str(1_700_000_000_000_000_000 + n),
            "ns.0": lambda n: f"{1_700_000_000_000_000_000 + n}.0",
            "decimal": lambda n: f"{1_700_000_000 + n}.{n % 10}25",
            "small": str,
            "negative": lambda n: str(-n),
            "exponent": lambda n: f"{n}e{n % 5}",
            "huge": lambda n: f"{n}e30",
            "float": lambda n: repr(n / 7),
        }
        return [spellings[kind](number) for number in numbers]

    kinds = st.sampled_from(
        ["s", "ms", "us", "ns", "ns.0", "decimal", "small", "negative", "exponent", "huge", "float"]
    )
    return st.builds(spell, st.lists(st.integers(0, 200), min_size=12, max_size=12), kinds)
