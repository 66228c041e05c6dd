"""Generated data sets: atomic files in many styles, with the rows that they contain and suitable settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from recbole_samrec.utils.settings import is_number
from tests.helpers.fuzz_texts import MISSING, NO_NUMBERS, NUMBERS, ids, times
from tests.helpers.fuzz_truth import Event, Feature, Rules, Truth, find_truth

Draw = Callable[[st.SearchStrategy], Any]
ENCODINGS = ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "gb18030"]
SEPARATORS = ["\t", "\t", "\t", ",", ";", "|", "::", " "]
INTERVALS = ["[2,inf)", "[1,9]", "(1,inf)", "[0,inf)", "[2,3];[5,20]", "[1,inf)", "[3,inf)"]
FAULTS = [
    "missing cell", "surplus cell", "broken byte", "bad time", "no time", "open quote", "unknown type", "no column",
    "empty", "header only", "other separator", "undeclared encoding", "lone carriage return", "text after quote",
]  # fmt: skip


@dataclass
class Style:
    """The style of files."""

    separator: str
    encoding: str
    line_end: str
    quotes: bool
    blank_lines: bool
    last_end: bool

    def spell(self, cell: str) -> str:
        """Write a cell, quoted if necessary or if the style quotes."""
        special = cell.startswith('"') or (len(self.separator) == 1 and self.separator in cell)
        if special or (self.quotes and cell and len(self.separator) == 1):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def write(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        """Write lines without line ends; the first one is the header."""
        lines = [self.separator.join(header)]
        for number, row in enumerate(rows):
            lines += [""] if self.blank_lines and number % 3 == 1 else []
            lines.append(self.separator.join(map(self.spell, row)))
        return lines

    def encode(self, lines: Sequence[str]) -> bytes:
        """Join lines into a file."""
        text = self.line_end.join(lines) + (self.line_end if self.last_end else "")
        return text.encode(self.encoding)

    def can_write(self, cell: str) -> bool:
        """True if an id can be written in this style."""
        try:
            cell.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        long = len(self.separator) > 1
        return not (long and (self.separator[0] in cell or '"' in cell))


@dataclass
class Case:
    """A data set ``toy``.

    Attributes:
        files: Files by name.
        settings: Settings to read them by.
        truth: What has to come out; None for a refusal.
        may_refuse: True if a refusal is right, too.
    """

    files: dict[str, bytes]
    settings: dict[str, Any]
    truth: Truth | None
    may_refuse: bool
    about: str


@st.composite
def cases(draw: Draw, clean: bool = False) -> Case:
    """Draw a data set; with ``clean`` one without faults."""
    style = draw(
        st.builds(
            Style,
            st.sampled_from(SEPARATORS),
            st.sampled_from(ENCODINGS),
            st.sampled_from(["\n", "\n", "\r\n"]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        )
    )
    fault = None if clean else draw(st.one_of(st.none(), st.sampled_from(FAULTS)))
    writable = ids().filter(style.can_write)
    users = draw(st.lists(writable, min_size=1, max_size=4, unique=True))
    items = draw(st.lists(writable, min_size=1, max_size=8, unique=True))
    clock = draw(times())
    rows = draw(st.lists(_events(users, items, clock), min_size=draw(st.sampled_from([1, 15, 30])), max_size=45))
    rules, settings = draw(_rules())
    item = draw(_features(items)) if draw(st.sampled_from([False, True])) else None
    user = draw(_features(users)) if draw(st.sampled_from([False, False, True])) else None
    if item is None and rules.number:  # a filter of a column that is not there is refused
        rules.number = None
        settings["val_interval"].pop("item_number")
    columns = draw(st.permutations(["user_id:token", "item_id:token", "timestamp:float", "rating:float", "note:token"]))
    columns = list(columns)
    if len(style.separator) > 1 or not draw(st.booleans()):
        columns.remove("note:token")
    settings |= {"field_separator": style.separator, "encoding": style.encoding}
    lines = style.write(columns, [_cells(row, columns) for row in rows])
    known, may_refuse, content = _apply_fault(draw, fault, style, lines, columns, settings)
    files = {"toy.inter": content}
    for name, feature in (("item", item), ("user", user)):
        if feature is not None:
            files[f"toy.{name}"] = style.encode(_write_feature(style, name, feature))
    if fault == "no column":  # where no times are needed, the order of the file decides which repeated row stays
        rows = [row._replace(time="0") for row in rows]
    truth = find_truth(rows, rules, user, item) if known else None
    if any(feature is not None and not feature.rows for feature in (item, user)):
        truth = None
    return Case(files, settings, truth, may_refuse, f"{fault}, {rules}")


def _events(users: list[str], items: list[str], clock: list[str]) -> st.SearchStrategy[Event]:
    some = [None] if len(users) + len(items) > 6 else []
    ratings = st.integers(0, 6).map(str) | st.one_of(st.none(), st.integers(2, 5).map(str), NUMBERS)
    user, item = st.sampled_from([*users, *some]), st.sampled_from([*items, *some])
    return st.builds(Event, user, item, st.sampled_from(clock), ratings)


def _features(keys: list[str]) -> st.SearchStrategy[Feature]:
    """Rows for some of the ids, in any order, some twice, and for other ids."""
    numbers = st.integers(0, 9).map(str) | st.none() | NUMBERS
    some = st.lists(st.tuples(st.sampled_from([*keys, *keys, "other", None]), numbers), max_size=12)
    every = st.tuples(*(st.tuples(st.just(key), numbers) for key in keys)).map(list)
    return st.builds(Feature, st.one_of(some, st.builds(lambda first, more: first + more, every, some)))


def _cells(row: Event, columns: list[str]) -> list[str]:
    cells = {"user_id": row.user, "item_id": row.item, "timestamp": row.time, "rating": row.rating, "note": "x y"}
    return [cells[column.partition(":")[0]] or "" for column in columns]


def _write_feature(style: Style, name: str, feature: Feature) -> list[str]:
    header = [f"{name}_id:token", f"{name}_tags:token_seq", f"{name}_number:float", f"{name}_vector:float_seq"]
    if style.separator == " ":  # which also separates the values of a sequence
        header = [header[0], header[2]]
    rows = []
    for place, (key, number) in enumerate(feature.rows):
        cells = [
            key or "",
            " ".join(f"t{place % n}" for n in range(1, place % 4 + 1)),
            number or "",
            "0.5 -1e3" * (place % 2),
        ]
        rows.append(cells if len(header) == 4 else [cells[0], cells[2]])
    return style.write(header, rows)


@st.composite
def _rules(draw: Draw) -> tuple[Rules, dict[str, Any]]:
    """Draw filters, a split and a model."""
    model = draw(st.sampled_from(["SASRec", "SASRec", "SAMRec", "BPR"]))
    ratios = st.sampled_from([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [8, 1, 1], [0.7, 0.0, 0.3], [1, 0, 0], [0.6, 0.4, 0]])
    split = draw(
        st.one_of(
            st.sampled_from([{"LS": "valid_and_test"}, {"LS": "valid_only"}, {"LS": "test_only"}]),
            ratios.map(lambda shares: {"RS": shares}),
            ratios.map(lambda shares: {"TS": shares}),
        )
    )
    rules = Rules(
        rm_dup_inter=draw(st.sampled_from([None, None, "first", "last"])),
        rating=draw(st.sampled_from([None, None, None, None, "[2,inf)", "(1,5]", "[0,1];[3,4)", "[-1e3, 1e3]"])),
        number=draw(st.sampled_from([None, None, None, None, "[0,10]", "(0,inf)"])),
        filter_inter_by_user_or_item=draw(st.booleans()),
        user_inter_num_interval=draw(st.sampled_from([None, None, None, *INTERVALS])),
        item_inter_num_interval=draw(st.sampled_from([None, None, None, *INTERVALS])),
        split=split,
        group_by=draw(st.sampled_from(["user", "user", "none"])),
        order=draw(st.sampled_from(["TO", "TO", "RO"])) if model == "BPR" else "TO",
        sequential=model != "BPR",
        longest=draw(st.sampled_from([2, 5, 50])),
        needs_negatives=model == "BPR",
    )
    intervals = {"rating": rules.rating, "item_number": rules.number}
    settings = {
        "model": model,
        "rm_dup_inter": rules.rm_dup_inter,
        "val_interval": {name: interval for name, interval in intervals.items() if interval} or None,
        "filter_inter_by_user_or_item": rules.filter_inter_by_user_or_item,
        "user_inter_num_interval": rules.user_inter_num_interval,
        "item_inter_num_interval": rules.item_inter_num_interval,
        "eval_args": {"split": split, "group_by": rules.group_by, "order": rules.order, "mode": "full"},
        "load_col": None,
    }
    settings |= {"MAX_ITEM_LIST_LENGTH": rules.longest} if rules.sequential else {}
    return rules, settings


def _apply_fault(
    draw: Draw, fault: str | None, style: Style, lines: list[str], columns: list[str], settings: dict[str, Any]
) -> tuple[bool, bool, bytes]:
    """Introduce an error into a file; return whether its rows still count, whether an error is right, and the bytes."""
    separator, at = style.separator, len(lines) - 1
    places = [place for place, line in enumerate(lines[1:], 1) if line]
    if fault is None:
        return True, False, style.encode(lines)
    if fault == "empty":
        return False, True, b""
    if fault == "header only":
        return False, True, style.encode(lines[:1])
    if fault == "unknown type":
        lines[0] = lines[0].replace(":float", ":int", 1)
    elif fault == "no column":
        lines[0] = lines[0].replace("timestamp:", draw(st.sampled_from(["time:", "Timestamp:", "timestamp :"])))
        return settings["model"] == "BPR" and settings["eval_args"]["order"] == "RO", True, style.encode(lines)
    elif fault == "other separator":
        settings["field_separator"] = draw(
            st.sampled_from([one for one in (*SEPARATORS, "\\s+", "||", "") if one != separator])
        )
        if settings["field_separator"] == "\t" and separator == " ":
            return False, True, style.encode(lines)
    elif fault == "undeclared encoding":
        content = style.encode(lines)
        latin = ["latin-1"] if content.isascii() else []  # it reads any bytes, as other letters
        settings["encoding"] = draw(st.sampled_from(["utf-8", "utf-16", "ascii", None, *latin]))
        return True, True, content
    elif not places:
        return False, True, style.encode(lines)
    else:
        at = draw(st.sampled_from(places))
        cells = lines[at].split(separator)
        if fault == "broken byte":
            if style.encoding in ("latin-1", "cp1252"):  # there it is a letter
                return True, False, style.encode(lines)
            content = b"\xff".join([style.encode(lines[:at]), style.encode(lines[at:])])
            return style.encoding not in ("utf-8",), True, content
        if fault == "missing cell":
            lines[at] = lines[at].rpartition(separator)[0]
        elif fault == "surplus cell":
            lines[at] += separator + draw(st.sampled_from(["", "x", "1"]))
        elif fault == "open quote":
            if len(separator) > 1:
                return True, True, style.encode(lines)
            lines[at] = '"' + lines[at].replace('"', "")
        elif fault == "text after quote":
            if len(separator) > 1:
                return True, True, style.encode(lines)
            lines[at] = '"a"b' + separator + separator.join(cells[1:])
        elif fault == "lone carriage return":
            lines[at] = lines[at] + "\rx"
        else:
            style.quotes = False
            time = columns.index("timestamp:float")
            # Pandas' Python engine reads digits of other scripts as numbers, as Python does.
            words = [word for word in NO_NUMBERS if not is_number(word)] if fault == "bad time" else MISSING
            spelled = [style.spell(word) for word in words if separator not in word and style.can_write(word)]
            if any('"' in cell for cell in cells) or len(cells) != len(columns):
                return True, True, style.encode(lines)
            cells[time] = draw(st.sampled_from(spelled))
            lines[at] = separator.join(cells)
            if settings["model"] == "BPR" and settings["eval_args"]["order"] == "RO":
                return fault == "no time", True, style.encode(lines)
    return False, True, style.encode(lines)
