"""The check before RecBole reads: every error is reported with file, line and remedy, and valid files pass."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from recbole_samrec.data.validate import scan
from recbole_samrec.data.validate.check import AtomicSummary, check_atomic_files
from recbole_samrec.utils.errors import DataError
from tests.helpers.paths import ROOT

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
GOOD = HEADER + "".join(f"{user}\t{item}\t5\t{item + 0.5}\n" for user in (1, 2) for item in (1, 2, 3))


def check(
    folder: Path, inter: str | bytes = GOOD, *, fields=None, needs_time=True, sequential=True, **features: str
) -> AtomicSummary:
    for suffix, content in {"inter": inter, **features}.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"toy.{suffix}").write_bytes(data)
    return check_atomic_files(folder, "toy", needs_time=needs_time, fields=fields, sequential=sequential)


def test_check_atomic_files__orders_nanoseconds_exactly(tmp_path):
    """The rating decides, since float64 cannot distinguish the two times of a pair."""
    times = ("1700000000000000120", "1700000000000000046")
    rows = [f"u{user}\ti1\t{rating}\t{time}\n" for user in range(3) for rating, time in zip((9, 1), times, strict=True)]
    fields = {"rm_dup_inter": "first", "val_interval": {"rating": "[0,5]"}}
    for suffix in ("", ".0"):
        text = HEADER + "".join(row.replace("\n", f"{suffix}\n") for row in rows)
        assert check(tmp_path, text, fields=fields).findings.steps[-1].events == 3
        with pytest.raises(DataError, match="no events are left after the filter val_interval"):
            check(tmp_path, text, fields=fields | {"exact_time_order": False})


class TestGoodFiles:
    def test_the_summary(self, tmp_path):
        digest = hashlib.sha256(GOOD.encode()).hexdigest()
        found = check(tmp_path)
        assert found == AtomicSummary(2, 3, 6, digest, (1.5, 3.5), (), found.findings)

    def test_ids_are_text(self, tmp_path):
        assert check(tmp_path, GOOD.replace("\n2\t", "\n01\t").replace("\t3\t", "\t2.0\t")).users == 2
        assert check(tmp_path).items == 3

    def test_what_recbole_accepts_passes(self, tmp_path):
        item = (
            "item_id:token\ttitle:token_seq\tprice:float\tvector:float_seq\n"
            '1\tA film, or two; "quoted" | é\t\t0.5 -1e3\n2\t\t3\t\n3\t\t\t1\n'
        )
        user = 'user_id:token\tname:token\n1\t"quoted"\n2\t\n'
        assert check(tmp_path, item=item, user=user).warnings == ()

    @pytest.mark.parametrize(
        "text",
        [
            GOOD.replace("\n", "\r\n"),
            GOOD.rstrip("\n"),
            GOOD + "\n\n",
            GOOD.replace("\n2\t", "\n\n  \n2\t", 1),
            GOOD.replace("rating:float", "rating:token"),
            GOOD.replace("rating:float", "text:token").replace("\t5\t", "\té a'b\"c\t"),
            GOOD.replace("\t5\t", '\t"5"\t'),
            GOOD.replace("\t5\t", "\t\t"),
        ],
        ids=["crlf", "no last line end", "blank end", "blank lines", "token", "text", "quoted", "no ratings"],
    )
    def test_forms_that_do_no_harm(self, tmp_path, text):
        summary = check(tmp_path, text)
        assert (summary.users, summary.items, summary.interactions, summary.warnings) == (2, 3, 6, ())

    @pytest.mark.parametrize("separator", [",", "::", "|"])
    def test_the_separator_of_the_settings(self, tmp_path, separator):
        text = GOOD.replace("\t", separator)
        fields = {"field_separator": separator if separator != "|" else "|"}
        assert check(tmp_path, text, fields=fields).interactions == 6

    def test_large_integers_and_a_long_separator(self, tmp_path):
        text = GOOD.replace("2\t5\t2.5", "2\t9223372036854775808\t2.5", 1).replace("3\t5\t", "3\t\t", 1)
        assert check(tmp_path, text.replace("\t", "::"), fields={"field_separator": "::"}).interactions == 6

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "gb18030"])
    def test_the_encoding_of_the_settings(self, tmp_path, encoding):
        text = GOOD.replace("\n1\t", "\né\t")
        assert check(tmp_path, text.encode(encoding), fields={"encoding": encoding}).users == 2

    def test_fields_of_other_names(self, tmp_path):
        text = GOOD.replace("user_id", "session").replace("timestamp", "when")
        assert check(tmp_path, text, fields={"USER_ID_FIELD": "session", "TIME_FIELD": "when"}).users == 2

    def test_no_time_is_needed_where_none_is_asked_for(self, tmp_path):
        text = "user_id:token\titem_id:token\n1\t1\n1\t2\n1\t3\n2\t1\n"
        assert check(tmp_path, text, needs_time=False).span is None

    def test_columns_that_are_not_loaded_may_hold_anything(self, tmp_path):
        fields = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
        bad = GOOD.replace("\t5\t", "\tfive\t")
        assert check(tmp_path, bad, item="nonsense", fields=fields).interactions == 6
        with pytest.raises(DataError, match="five"):
            check(tmp_path, bad)

    def test_benchmark_files(self, tmp_path):
        for part in ("train", "test"):
            (tmp_path / f"toy.{part}.inter").write_text(GOOD if part == "train" else HEADER + "3\t9\t1\t1\n")
        summary = check_atomic_files(tmp_path, "toy", fields={"benchmark_filename": ["train", "test"]})
        assert (summary.users, summary.items, summary.interactions) == (3, 4, 7)

    def test_lines_are_counted_over_chunks(self, tmp_path, monkeypatch):
        monkeypatch.setattr(scan, "_CHUNK", 7)
        assert check(tmp_path).interactions == 6
        with pytest.raises(DataError, match="line 7 has 3 columns"):
            check(tmp_path, GOOD[: GOOD.rindex("\t")] + "\n")


class TestFaults:
    def fails(self, folder: Path, text: str | bytes, *words: str, **options) -> None:
        with pytest.raises(DataError) as caught:
            check(folder, text, **options)
        message = str(caught.value)
        assert "\n" not in message
        for word in (str(folder), *words):
            assert word in message, message

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DataError, match=r"toy\.inter is missing: .*python -m recbole_samrec data toy "):
            check_atomic_files(tmp_path, "toy")

    @pytest.mark.parametrize(("text", "word"), [("", "is empty"), ("\n\n", "line 1 is empty"), (HEADER, "has no rows")])
    def test_nothing_in_it(self, tmp_path, text, word):
        self.fails(tmp_path, text, "toy.inter", word)

    def test_no_header(self, tmp_path):
        self.fails(tmp_path, "1\t1193\t5\t978300760\n", "line 1, column 1", "'1' has no type", "user_id:token")

    def test_no_type(self, tmp_path):
        text = GOOD.replace("timestamp:float", "timestamp")
        self.fails(tmp_path, text, "line 1, column 4: 'timestamp' has no type", "timestamp:float")

    def test_an_unknown_type(self, tmp_path):
        text = GOOD.replace("rating:float", "rating:int")
        self.fails(tmp_path, text, "column rating: type 'int' is unknown", "token, token_seq, float, float_seq")

    @pytest.mark.parametrize("separator", [",", "::", ";", "|", " "])
    def test_another_separator(self, tmp_path, separator):
        self.fails(tmp_path, GOOD.replace("\t", separator), f"line 1: '{separator}' seems to separate", "'\\t'")

    def test_another_separator_below_the_header(self, tmp_path):
        text = HEADER + GOOD[len(HEADER) :].replace("\t", "::")
        self.fails(tmp_path, text, "line 2 has 1 columns, the header has 4", "'::' seems to separate")

    def test_a_byte_order_mark(self, tmp_path):
        self.fails(tmp_path, b"\xef\xbb\xbf" + GOOD.encode(), "line 1 begins with a UTF-8 byte order mark")
        self.fails(tmp_path, GOOD.encode("utf-16"), "UTF-16 byte order mark")

    def test_a_broken_byte(self, tmp_path):
        text = GOOD.encode().replace(b"\n2\t2\t", b"\n2\t\xe92\t")
        self.fails(tmp_path, text, "line 6, byte 3: 0xe9 is not utf-8")
        self.fails(tmp_path, GOOD.encode().replace(b"item_id", b"it\xe9m"), "line 1, byte 17: 0xe9")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_no_byte_order_mark_where_the_encoding_has_one(self, tmp_path, encoding):
        self.fails(tmp_path, GOOD, f"is not {encoding}", fields={"encoding": encoding})

    @pytest.mark.parametrize(("line", "found"), [("2\t2\t5", 3), ("2\t2\t5\t2\t9", 5), ("2\t2\t5\t2\t", 5), ("2", 1)])
    def test_ragged_lines(self, tmp_path, line, found):
        text = GOOD.replace("2\t2\t5\t2.5", line)
        self.fails(tmp_path, text, f"line 6 has {found} columns, the header has 4")

    def test_ragged_lines_among_quoted_cells(self, tmp_path):
        text = GOOD.replace("\t5\t", '\t"5"\t').replace('2\t2\t"5"\t2.5', "2\t2")
        self.fails(tmp_path, text, "line 6 has 2 columns, the header has 4")

    def test_ragged_lines_with_a_long_separator(self, tmp_path):
        text = GOOD.replace("2\t2\t5\t2.5", "2\t2").replace("\t", "::")
        self.fails(tmp_path, text, "line 6 has 2 columns", fields={"field_separator": "::"})

    @pytest.mark.parametrize("mark", ['"5', '"5" b'])
    def test_a_quotation_mark_that_joins_cells(self, tmp_path, mark):
        self.fails(tmp_path, GOOD.replace("2\t2\t5", f"2\t2\t{mark}"), "line 6: a quotation mark")

    def test_a_quotation_mark_that_swallows_lines(self, tmp_path):
        text = GOOD.replace("1\t2\t5", '1\t2\t"5').replace("2\t2\t5", '2\t2\t5"')
        self.fails(tmp_path, text, "line 3: a quotation mark", "closes only on line 6")

    def test_a_carriage_return_inside_a_line(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("2\t2\t5", "2\t2\r\t5"), "line 6 contains a carriage return")

    @pytest.mark.parametrize("value", ["soon", "1,5", "2020-01-01"])
    def test_a_time_that_is_no_number(self, tmp_path, value):
        text = GOOD.replace("2\t2\t5\t2.5", f"2\t2\t5\t{value}").replace("\n2\t1", "\n\n2\t1")
        self.fails(tmp_path, text, f"line 7, column timestamp: {value!r} is not a number")

    @pytest.mark.parametrize(("value", "word"), [("", "is missing"), ("nan", "is missing"), ("inf", "is inf")])
    def test_a_time_that_is_none(self, tmp_path, value, word):
        text = GOOD.replace("2\t2\t5\t2.5", f"2\t2\t5\t{value}")
        self.fails(tmp_path, text, "line 6, column timestamp: the time", word, "1 such row")

    def test_a_rating_that_is_no_number(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("1\t3\t5", "1\t3\tx"), "line 4, column rating: 'x' is not a number")

    def test_an_absent_column(self, tmp_path):
        text = GOOD.replace("user_id", "userid")
        self.fails(
            tmp_path, text, "no column 'user_id': it has userid, item_id, rating, timestamp (did you mean 'userid'?)"
        )

    def test_a_column_of_the_wrong_type(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("user_id:token", "user_id:float"), "type is float, must be token")
        self.fails(tmp_path, GOOD.replace("timestamp:float", "timestamp:token"), "write timestamp:float")

    def test_a_needed_column_that_is_not_loaded(self, tmp_path):
        fields = {"load_col": {"inter": ["user_id", "item_id"]}}
        self.fails(tmp_path, GOOD, "'timestamp' is not loaded: add it to load_col", fields=fields)

    def test_a_loaded_column_named_twice(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("rating:float", "item_id:token"), "names column 'item_id' 2 times")

    def test_a_split_without_training_samples(self, tmp_path):
        text = HEADER + "1\t1\t1\t1\n2\t1\t1\t1\n3\t1\t1\t1\n"
        fields = {"eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user"}}
        self.fails(tmp_path, text, "leaves no training samples of 3 events of 3 users; the first event", fields=fields)
        assert check(tmp_path, text, fields=fields, sequential=False).findings.parts == (3, 0, 0)

    def test_a_quoted_header(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("user_id:token", '"user_id:token"'), "line 1, column 1", "remove the marks")

    def test_a_surplus_separator_on_every_line(self, tmp_path):
        self.fails(tmp_path, GOOD.replace("\n", "\t\n"), "line 1, column 5 has no name", "remove the surplus")

    @pytest.mark.parametrize("line", [2, 3])
    def test_a_surplus_cell_in_an_additional_file(self, tmp_path, line):
        rows = ["iid:token\tvector:float_seq", "1\t0.5 1", "2\t1 1"]
        rows[line - 1] += "\t"
        fields = {"additional_feat_suffix": ["itememb"]}
        text = "\n".join(rows) + "\n"
        self.fails(tmp_path, GOOD, f"toy.itememb line {line} has 3 columns", fields=fields, itememb=text)

    def test_a_missing_additional_file(self, tmp_path):
        self.fails(tmp_path, GOOD, "toy.emb is missing", fields={"additional_feat_suffix": ["emb"]})

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (
                {"user": "user_id:token\tx:token\n1\ta\n", "item": "item_id:token\tx:float\n1\t2\n"},
                ".user and toy.item",
            ),
            ({"item": "item_id:token\trating:float\n1\t2\n"}, "column rating is in both toy.inter and toy.item"),
            ({"item": "item_id:token\tuser_id:token\n1\t2\n"}, "column user_id is in both toy.inter and toy.item"),
            ({"emb": "item_id:token\tv:float_seq\n1\t2\n"}, "column item_id is in both toy.inter and toy.emb"),
        ],
    )
    def test_a_column_name_in_two_files(self, tmp_path, files, words):
        fields = {"additional_feat_suffix": ["emb"]} if "emb" in files else {}
        self.fails(tmp_path, GOOD, words, "rename one, or remove one from load_col", fields=fields, **files)

    def test_a_column_name_in_a_file_that_is_not_loaded(self, tmp_path):
        fields = {"load_col": {"inter": "*", "item": ["item_id"]}}
        files = {"user": "user_id:token\trating:float\n1\t2\n", "item": "item_id:token\trating:float\n1\t2\n"}
        assert check(tmp_path, fields=fields, **files).interactions == 6

    def test_items_without_any_row(self, tmp_path):
        item = "item_id:token\tx:token\n01\ta\n02\ta\n03\ta\n"
        self.fails(tmp_path, GOOD, "no item of", "such as '1' there, '01' here", "use the same ids", item=item)
        fields = {"filter_inter_by_user_or_item": False}
        (warning,) = check(tmp_path, item=item, fields=fields).warnings
        assert "no item of" in warning and "'01' here" in warning

    def test_a_file_of_items_without_rows(self, tmp_path):
        self.fails(tmp_path, GOOD, "toy.item has no rows", item="item_id:token\tx:token\n")

    def test_a_filter_that_leaves_nothing(self, tmp_path):
        fields = {"user_inter_num_interval": "[9,inf)"}
        self.fails(tmp_path, GOOD, "no events are left after the filter user_inter_num_interval=[9,inf)", fields=fields)

    @pytest.mark.parametrize(
        ("item", "words"),
        [
            ("item_id:token\tprice:float\n1\t2\n2\tdear\n", "toy.item line 3, column price: 'dear'"),
            ("item_id:token\tv:float_seq\n1\t2 3\n2\n", "toy.item line 3 has 1 columns"),
            ("item_id:token\tv:float_seq\n1\t2 3\n2\t1 x 2\n", "toy.item line 3, column v: 'x' is not a number"),
            ("movie:token\n1\n", "toy.item line 1 has no column 'item_id'"),
            ("", "toy.item is empty"),
        ],
    )
    def test_feature_files(self, tmp_path, item, words):
        self.fails(tmp_path, GOOD, words, item=item)


class TestWarnings:
    def only(self, folder: Path, text: str, **options) -> str:
        (warning,) = check(folder, text, **options).warnings
        return warning

    def test_rows_without_user_or_item(self, tmp_path):
        text = GOOD + "\t1\t5\t1\n2\t\t5\t1\n"
        assert "2 rows without user or item will be dropped (first: line 8)" in self.only(tmp_path, text)
        assert check(tmp_path, text).interactions == 6

    def test_ids_that_other_programs_read_as_missing(self, tmp_path):
        text = GOOD.replace("\n1\t", "\nNA\t").replace("\t3\t", "\tnull\t")
        summary = check(tmp_path, text)
        assert (summary.users, summary.items, summary.interactions, summary.warnings) == (2, 3, 6, ())
        summary = check(tmp_path, text, fields={"keep_na_tokens": False})
        assert (summary.users, summary.items, summary.interactions) == (1, 2, 2)

    def test_a_single_user(self, tmp_path):
        text = HEADER + "1\t1\t1\t1\n1\t2\t1\t2\n1\t3\t1\t3\n"
        assert "a single user in column user_id" in self.only(tmp_path, text)

    @pytest.mark.parametrize(("ratios", "word"), [([8, 0, 2], "no validation samples"), ([8, 2, 0], "no test samples")])
    def test_a_split_without_a_part(self, tmp_path, ratios, word):
        fields = {"eval_args": {"split": {"RS": ratios}, "group_by": "none"}}
        assert f"the split leaves {word}" in self.only(tmp_path, GOOD, fields=fields)

    def test_repeated_rows(self, tmp_path):
        text = GOOD + GOOD[len(HEADER) :].splitlines(True)[0].replace("\t5\t", "\t4\t")
        assert "1 of 7 rows repeat a row (same user, item, time); rm_dup_inter=first" in self.only(tmp_path, text)
        assert "1 of 7 events" in self.only(tmp_path, text, fields={"rm_dup_inter": "first"})

    def test_repeated_rows_without_times(self, tmp_path):
        text = (GOOD + GOOD[len(HEADER) :].splitlines(True)[0]).replace("timestamp:", "when:")
        unread = {"needs_time": False, "sequential": False}
        assert "(same user and item; times are not loaded)" in self.only(tmp_path, text, **unread)
        said = self.only(tmp_path, text, fields={"rm_dup_inter": "last"}, **unread)
        assert said.endswith("1 of 7 events, by the order of the lines, since timestamp is not loaded")

    @pytest.mark.parametrize(
        ("item", "words"),
        [
            ("1\ta\n2\ta\n", "1 of 3 items have no row in"),
            ("1\ta\n2\ta\n3.0\ta\n", "(1 spelled differently: '3' in .inter, '3.0' in .item), so 2 of 6 events"),
        ],
    )
    def test_a_file_of_items_that_covers_part(self, tmp_path, item, words):
        fields = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none"}}
        item = "item_id:token\tx:token\n" + item
        said = self.only(tmp_path, GOOD, item=item, fields=fields, sequential=False)
        assert words in said and said.endswith("filter_inter_by_user_or_item=False keeps them")

    def test_some_users_with_few_events(self, tmp_path):
        assert "1 of 3 users have fewer than 3 events" in self.only(tmp_path, GOOD + "3\t1\t5\t1\n")

    def test_a_column_named_twice_that_is_not_loaded(self, tmp_path):
        text = GOOD.replace("rating:float", "x:token\tx:token").replace("\t5\t", "\t5\t5\t")
        fields = {"unload_col": {"inter": ["x"]}}
        assert "names column 'x' 2 times; it is not loaded" in self.only(tmp_path, text, fields=fields)

    def test_times_that_are_all_equal(self, tmp_path):
        text = HEADER + "".join(f"{user}\t{item}\t1\t7\n" for user in "ab" for item in "xyz")
        assert "every timestamp is 7" in self.only(tmp_path, text)

    def test_repeated_items_in_a_feature_file(self, tmp_path):
        item = "item_id:token\tx:token\n1\ta\n1\tb\n2\ta\n3\ta\n"
        assert "1 row with an earlier item_id will be dropped" in self.only(tmp_path, GOOD, item=item)


@pytest.mark.skipif(not (ROOT / "dataset/ml-1m/ml-1m.inter").exists(), reason="dataset/ml-1m is not unpacked")
def test_a_million_rows():
    summary = check_atomic_files(ROOT / "dataset" / "ml-1m", "ml-1m")
    assert (summary.users, summary.items, summary.interactions) == (6_040, 3_706, 1_000_209)
    assert [warning for warning in summary.warnings if "have equal timestamps" not in warning] == []


def test_check_atomic_files__finds_positions_behind_filters(tmp_path):
    lines = (f"{user}\t{(user + n * n) % 11}\t5\t{n}\n" for user in range(20) for n in range(6))
    fields = {"eval_args": {"split": {"GTS": {}}}, "item_inter_num_interval": "[11,inf)"}
    with pytest.raises(DataError, match="positions in each user's order"):
        check(tmp_path, HEADER + "".join(lines), fields=fields)
