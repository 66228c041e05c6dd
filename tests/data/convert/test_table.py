"""Tables of any columns give exactly the expected lines."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import COLUMNS, convert, lines, ratings_csv


class TestTable:
    @pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
    def test_delimiters_are_found(self, tmp_path, delimiter):
        source = ratings_csv(tmp_path / "a.csv")
        source.write_text(source.read_text().replace(",", delimiter))
        convert("mine", source, *COLUMNS)
        assert lines(tmp_path / "dataset/mine/mine.inter")[:3] == [
            "user_id:token\titem_id:token\ttimestamp:float",
            "007\tx\t10",
            "007\ty\t30",
        ]

    @pytest.mark.parametrize("delimiter", ["::", "~", "\\t"])
    def test_a_delimiter_can_be_given(self, tmp_path, delimiter):
        source = ratings_csv(tmp_path / "a.csv")
        source.write_text(source.read_text().replace(",", delimiter.replace("\\t", "\t")))
        convert("mine", source, *COLUMNS, "--delimiter", delimiter)
        assert lines(tmp_path / "dataset/mine/mine.inter")[1] == "007\tx\t10"

    def test_dates_become_unix_seconds(self, tmp_path, capsys):
        dates = ["1970-01-02", "1970-01-01T00:00:30Z", "1970-01-01 01:00:00+01:00"]
        rows = "".join(f"{user},{n},{date},{n}.5\n" for user in "ab" for n, date in enumerate(dates))
        convert("mine", ratings_csv(tmp_path / "a.csv", "u,i,t,r\n" + rows), *COLUMNS, "--rating", "r")
        assert lines(tmp_path / "dataset/mine/mine.inter")[:4] == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "a\t0\t0.5\t86400",
            "a\t1\t1.5\t30",
            "a\t2\t2.5\t0",
        ]
        assert "t contains dates, which became Unix seconds" in capsys.readouterr().out

    def test_dates_with_fractions_become_exact_seconds(self, tmp_path):
        dates = ["2019-12-31T23:58:33.250", "2020-01-01T00:00:00.100001", "1969-12-31T23:59:59.5"]
        source = ratings_csv(tmp_path / "x.csv", "u,i,t\n" + "".join(f"a,{n},{date}\n" for n, date in enumerate(dates)))
        convert("toy", source, "--out", tmp_path / "toy", *COLUMNS)
        times = [line.split("\t")[2] for line in lines(tmp_path / "toy" / "toy.inter")[1:]]
        assert times == ["1577836713.25", "1577836800.100001", "-0.5"]

    def test_numbers_are_kept_and_told(self, tmp_path, capsys):
        convert("mine", ratings_csv(tmp_path / "a.csv"), *COLUMNS)
        assert "t contains numbers, which were kept unchanged" in capsys.readouterr().out

    def test_items_are_taken_cleaned_and_only_if_they_occur(self, tmp_path):
        items = 'id,title,tags,price\nx,"A ""q""\ttab\nend",new age|pop,1.5\nz,,,\nnever,N,pop,2\n'
        (tmp_path / "items.csv").write_text(items)
        arguments = ("--item-file", "items.csv", "--item-id", "id", "--item-separator", "|")
        kept = "title:token_seq,tags:token_seq,price:float"
        convert("mine", ratings_csv(tmp_path / "a.csv"), *COLUMNS, *arguments[:4], "--item-columns", kept)
        header = "item_id:token\ttitle:token_seq\ttags:token_seq\tprice:float"
        expected = [header, "x\tA 'q' tab end\tnew age|pop\t1.5", "z\t\t\t"]
        assert lines(tmp_path / "dataset/mine/mine.item") == expected
        arguments = (*arguments, "--item-columns", "tags:token_seq", "--force")
        convert("mine", tmp_path / "a.csv", *COLUMNS, *arguments)
        assert lines(tmp_path / "dataset/mine/mine.item")[1] == "x\tnew_age pop"

    def convert_items(self, folder, ids):
        (folder / "items.csv").write_text("id,title\n" + "".join(f"{one},T\n" for one in ids))
        arguments = ("--item-file", "items.csv", "--item-id", "id", "--item-columns", "title:token_seq", "--force")
        convert("mine", ratings_csv(folder / "a.csv"), *COLUMNS, *arguments)

    @pytest.mark.parametrize(
        ("ids", "words"),
        [
            (["x", "y"], "1 of 3 items have no row in items.csv; RecBole drops their 2 events where .item is loaded"),
            (["X", "y", "z"], "1 of 3 items have no row in items.csv (1 spelled differently: 'x' and 'X')"),
        ],
    )
    def test_items_without_a_row_are_noted(self, tmp_path, capsys, ids, words):
        self.convert_items(tmp_path, ids)
        assert words in capsys.readouterr().out

    @pytest.mark.parametrize("ids", [["x.0", "y.0", "z.0"], ["0x", "0y", "0z"], ["X", "Y", "Z"]], ids=str)
    def test_items_that_have_no_row_at_all_are_refused(self, tmp_path, ids):
        with pytest.raises(DataError, match=rf"for any of the 3 items \('x' in a.csv, '{ids[0]}' in items.csv\)"):
            self.convert_items(tmp_path, ids)
        assert not (tmp_path / "dataset/mine").exists()

    def test_blanks_around_ids_do_not_matter(self, tmp_path, capsys):
        self.convert_items(tmp_path, [" x", "y ", " z "])
        assert "no row" not in capsys.readouterr().out
        assert lines(tmp_path / "dataset/mine/mine.item")[1:] == ["x\tT", "y\tT", "z\tT"]

    def test_ids_that_other_programs_read_as_missing(self, tmp_path, capsys):
        text = "u,i,t,r\n" + "".join(
            f"{user},{item},1,NA\n" for user in ("NA", "null") for item in ("None", "nan", "x")
        )
        convert("mine", ratings_csv(tmp_path / "a.csv", text), *COLUMNS, "--rating", "r")
        out = capsys.readouterr().out
        assert "users         2" in out and "items         3" in out and "interactions  6" in out
        assert lines(tmp_path / "dataset/mine/mine.inter")[1] == "NA\tNone\t\t1"

    def test_users_with_few_events_are_written(self, tmp_path, capsys):
        convert("mine", ratings_csv(tmp_path / "a.csv", "u,i,t\na,x,1\nb,y,2\n"), *COLUMNS)
        assert "2 of 2 users have fewer than 3 events" in capsys.readouterr().out

    def test_parquet(self, tmp_path):
        times = pd.to_datetime(["1970-01-01 00:00:01", "1970-01-01 00:00:02", "1970-01-01 00:00:03"] * 2)
        frame = pd.DataFrame({"u": [1, 1, 1, 2, 2, 2], "i": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0], "t": times})
        frame.loc[6] = [3, None, times[0]]
        frame.to_parquet(tmp_path / "a.parquet")
        convert("mine", tmp_path / "a.parquet", *COLUMNS)
        assert lines(tmp_path / "dataset/mine/mine.inter")[1:4] == ["1\t1\t1", "1\t2\t2", "1\t3\t3"]

    def test_large_ids_of_parquet_are_exact_beside_gaps(self, tmp_path):
        ids = pa.array([2**60, 2**60 + 1, None, 2**60 + 1])
        pq.write_table(pa.table({"u": ids, "i": ids, "t": [1, 2, 3, 4]}), tmp_path / "a.parquet")
        convert("mine", tmp_path / "a.parquet", *COLUMNS)
        written = [line.split("\t") for line in lines(tmp_path / "dataset/mine/mine.inter")[1:]]
        assert written == [[str(one), str(one), time] for one, time in zip(ids.to_pylist(), "1234", strict=True) if one]

    def test_floats_of_parquet_that_were_rounded_are_refused(self, tmp_path):
        pd.DataFrame({"u": [1, None, 2**60], "i": list("xyz"), "t": [1, 2, 3]}).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(
            DataError, match=r"a\.parquet row 3 .*, column u: '1\.15\S+' is not an id: floats of 2\*\*53"
        ):
            convert("mine", tmp_path / "a.parquet", *COLUMNS)

    @pytest.mark.parametrize("kind", [pa.binary(), pa.binary(1), pa.dictionary(pa.int8(), pa.large_binary())], ids=str)
    def test_bytes_of_parquet_are_refused(self, tmp_path, kind):
        column = pa.array([b"a", b"b"], pa.large_binary()).dictionary_encode().cast(kind)
        pq.write_table(pa.table({"u": column, "i": ["x", "y"], "t": [1, 2]}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=r"a\.parquet, column u: it contains bytes, not text; convert it to text"):
            convert("mine", tmp_path / "a.parquet", *COLUMNS)

    def test_rows_without_ids_are_dropped_and_told(self, tmp_path, capsys):
        source = ratings_csv(tmp_path / "a.csv")
        source.write_text(source.read_text() + ",x,1\n8,,2\n")
        convert("mine", source, *COLUMNS)
        out = capsys.readouterr().out
        assert "2 rows without user or item were skipped" in out and "partial" not in out
        assert len(lines(tmp_path / "dataset/mine/mine.inter")) == 7

    def test_ids_that_become_one_are_told(self, tmp_path, capsys):
        convert("mine", ratings_csv(tmp_path / "a.csv", "u,i,t\na,x,1\na ,x,2\n a,y,3\nb,z,4\nb,,5\n"), *COLUMNS)
        out = " ".join(capsys.readouterr().out.split())
        assert "users written in several ways, such as 'a' and 'a ', each of which is one: 1" in out
        assert "items written" not in out
        assert [line.split("\t")[0] for line in lines(tmp_path / "dataset/mine/mine.inter")[1:]] == ["a", "a", "a", "b"]

    def test_a_missing_column_lists_what_there_is(self, tmp_path):
        source = ratings_csv(tmp_path / "a.csv", "userId,movieId,stamp\n1,2,3\n")
        with pytest.raises(DataError, match=r"no column 'user_id': it has userId, movieId, stamp; .* 'userId'"):
            convert("mine", source, "--user", "user_id", "--item", "movieId", "--time", "stamp")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("u,i,t\n1,2,3\n1,3,soon\n", r"a\.csv row 2 .*column t: 'soon' is not a number"),
            ("u,i,t\n1,2,3\n1,3,\n", r"row 2 .*column t: nothing is not"),
            ("u,i,t\n1,2,2020-13-01\n", r"row 1 .*'2020-13-01' is not a number or an ISO date"),
        ],
    )
    def test_times_that_cannot_be_read(self, tmp_path, text, words):
        with pytest.raises(DataError, match=words):
            convert("mine", ratings_csv(tmp_path / "a.csv", text), *COLUMNS)

    def test_columns_must_be_named(self, tmp_path):
        with pytest.raises(DataError, match=r"read as a table: name its columns with --item, --time; .*'u,i,t'"):
            convert("mine", ratings_csv(tmp_path / "a.csv"), "--user", "u")

    def test_item_columns_need_a_type(self, tmp_path):
        (tmp_path / "items.csv").write_text("id,title\n")
        arguments = (*COLUMNS, "--item-file", "items.csv", "--item-id", "id", "--item-columns")
        for wanted in ("title", "title:text"):
            with pytest.raises(DataError, match="must be column:type"):
                convert("mine", ratings_csv(tmp_path / "a.csv"), *arguments, wanted)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_a_missing_byte_order_mark(self, tmp_path, encoding):
        with pytest.raises(DataError, match=f"is not {encoding}"):
            convert("mine", ratings_csv(tmp_path / "a.csv"), *COLUMNS, "--encoding", encoding)

    def test_latin_1_needs_its_name(self, tmp_path):
        source = tmp_path / "a.csv"
        rows = "".join(f"é{u},{i},1\n" for u in "ab" for i in "xyz")
        source.write_bytes(f"u,i,t\n{rows}".encode("latin-1"))
        with pytest.raises(DataError, match=r"not utf-8 text.*--encoding"):
            convert("mine", source, *COLUMNS)
        convert("mine", source, *COLUMNS, "--encoding", "latin-1")
        assert lines(tmp_path / "dataset/mine/mine.inter")[1] == "éa\tx\t1"
