"""Converters: archives of the true layout and encoding give exactly the expected lines."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from recbole_samrec.cli.data import add_arguments, detect, main
from recbole_samrec.data.catalog import PUBLISHED, Counts
from recbole_samrec.data.convert import atomic
from recbole_samrec.utils.errors import DataError
from tests.helpers.paths import ROOT


def convert(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="data")
    add_arguments(parser)
    return main(parser.parse_args([str(argument) for argument in arguments]))


def lines(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    return text.split("\n")[:-1]


def zipped(path: Path, members: dict[str, str], encoding: str = "utf-8") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text.encode(encoding))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ml_1m(here: Path) -> Path:
    members = {
        "ml-1m/README": "about",
        "ml-1m/movies.dat": (
            "1::Toy Story (1995)::Animation|Children's|Comedy\n"
            "73::Misérables, Les (1995)::Drama|Musical\n"
            "570::Slingshot, The (Kådisbellan ) (1993)::Comedy|Drama\n"
            "2019::Fantasia 2000 (1999)::Film-Noir\n"
        ),
        "ml-1m/ratings.dat": "".join(
            f"{user}::{item}::{rating}::{time}\n"
            for user, item, rating, time in [
                (1, 73, 5, 978300760), (1, 1, 3, 978302109), (1, 570, 4, 978301968),
                (2, 1, 4, 978299026), (2, 73, 4, 978299000), (2, 570, 1, 978299913),
            ]
        ),
        "ml-1m/users.dat": "1::F::1::10::48067\n2::M::56::16::98107-2117\n",
    }  # fmt: skip
    return zipped(here / "ml-1m.zip", members, "latin-1")


def ratings_csv(path: Path, text: str | None = None) -> Path:
    rows = [("007", "x", 10), ("007", "y", 30), ("007", "z", 20), ("8", "x", 5), ("8", "y", 6), ("8", "z", 7)]
    path.write_text(text or "u,i,t\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    return path


class TestMovieLens:
    def test_ml_1m_has_the_lines_recbole_publishes(self, ml_1m, here):
        assert convert("ml-1m", ml_1m, "--no-check") == 0
        folder = here / "dataset" / "ml-1m"
        assert lines(folder / "ml-1m.inter") == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "1\t73\t5\t978300760",
            "1\t1\t3\t978302109",
            "1\t570\t4\t978301968",
            "2\t1\t4\t978299026",
            "2\t73\t4\t978299000",
            "2\t570\t1\t978299913",
        ]
        assert lines(folder / "ml-1m.item") == [
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tgenre:token_seq",
            "1\tToy Story\t1995\tAnimation Children's Comedy",
            "73\tMisérables, Les\t1995\tDrama Musical",
            "570\tSlingshot, The (Kådisbellan )\t1993\tComedy Drama",
            "2019\tFantasia 2000\t1999\tFilm-Noir",
        ]
        assert lines(folder / "ml-1m.user") == [
            "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
            "1\t1\tF\t10\t48067",
            "2\t56\tM\t16\t98107-2117",
        ]

    @pytest.mark.skipif(not (ROOT / "dataset/ml-1m/ml-1m.item").exists(), reason="dataset/ml-1m is not unpacked")
    def test_the_whole_ml_1m_comes_back_byte_for_byte(self, here):
        old = ROOT / "dataset" / "ml-1m"
        films, users = ([line.split("\t") for line in lines(old / f"ml-1m.{s}")[1:]] for s in ("item", "user"))
        source = zipped(
            here / "ml-1m.zip",
            {
                "ml-1m/ratings.dat": (old / "ml-1m.inter").read_text().split("\n", 1)[1].replace("\t", "::"),
                "ml-1m/movies.dat": "".join(f"{i}::{t} ({y})::{g.replace(' ', '|')}\n" for i, t, y, g in films),
                "ml-1m/users.dat": "".join(f"{u}::{g}::{a}::{o}::{z}\n" for u, a, g, o, z in users),
            },
            "latin-1",
        )
        convert("ml-1m", source)
        for suffix in ("inter", "item", "user"):
            assert (here / f"dataset/ml-1m/ml-1m.{suffix}").read_bytes() == (old / f"ml-1m.{suffix}").read_bytes()

    def test_counts_must_be_those_known(self, ml_1m, here):
        with pytest.raises(DataError, match=r"2 users, 3 items and 6 inter.* with 6,040 users, 3,706 .*--no-check"):
            convert("ml-1m", ml_1m)
        assert not (here / "dataset" / "ml-1m").exists()

    def test_right_counts_pass(self, ml_1m, monkeypatch):
        monkeypatch.setitem(PUBLISHED, "ml-1m", Counts(2, 3, 6))
        assert convert("ml-1m", ml_1m) == 0

    def test_an_unpacked_folder_will_do(self, ml_1m, here):
        with zipfile.ZipFile(ml_1m) as archive:
            archive.extractall(here / "unpacked")
        assert convert("mine", here / "unpacked") == 0
        assert len(lines(here / "dataset/mine/mine.inter")) == 7

    def test_ml_100k(self, here):
        flags = ["0"] * 19
        flags[3] = flags[4] = "1"
        drama = ["0"] * 19
        drama[8] = "1"
        items = [
            ["10", "Richard III (1995)", "22-Jan-1996", "", "http://x", *drama],
            ["267", "unknown", "", "", "", "1", *["0"] * 18],
            ["543", "Misérables, Les (1995)", "01-Jan-1995", "", "", *drama],
            ["1412", "Land Before Time III (1995) (V)", "01-Jan-1995", "", "", *flags],
        ]
        members = {
            "ml-100k/u.data": "".join(f"{u}\t{i}\t3\t{881250949 + i}\n" for u in (1, 2) for i in (10, 543, 1412)),
            "ml-100k/u1.base": "not to be read",
            "ml-100k/u.item": "".join("|".join(row) + "\n" for row in items),
            "ml-100k/u.user": "1|24|M|technician|85711\n2|53|F|other|T8H1N\n",
        }
        convert("films", zipped(here / "ml-100k.zip", members, "latin-1"))
        folder = here / "dataset" / "films"
        assert lines(folder / "films.inter")[1] == "1\t10\t3\t881250959"
        assert lines(folder / "films.item") == [
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
            "10\tRichard III\t1995\tDrama",
            "267\tunknown\t\tunknown",
            "543\tMisérables, Les\t1995\tDrama",
            "1412\tLand Before Time III (V)\t1995\tAnimation Children's",
        ]
        assert lines(folder / "films.user")[2] == "2\t53\tF\tother\tT8H1N"

    def test_ml_20m_style_csv(self, here):
        members = {
            "ml-20m/ratings.csv": "userId,movieId,rating,timestamp\r\n"
            + "".join(f"{u},{i},3.5,{1112486027 + i}\r\n" for u in (1, 2) for i in (2, 29, 32)),
            "ml-20m/movies.csv": "movieId,title,genres\r\n"
            '2,"American President, The (1995)",Comedy|Sci-Fi\r\n'
            '29,"""Great Performances"" Cats (1998)",Musical\r\n'
            "32,No Year At All,(no genres listed)\r\n",
        }
        convert("films", zipped(here / "ml-20m.zip", members))
        folder = here / "dataset" / "films"
        assert lines(folder / "films.inter")[:2] == [atomic.INTERACTION_HEADER, "1\t2\t3.5\t1112486029"]
        assert lines(folder / "films.item")[1:] == [
            "2\tAmerican President, The\t1995\tComedy Sci-Fi",
            "29\t'Great Performances' Cats\t1998\tMusical",
            "32\tNo Year At All\t\t",
        ]

    def test_a_ragged_rating_is_refused_with_its_line(self, here):
        source = zipped(here / "bad.zip", {"ratings.dat": "1::2::3::4\n1::2::3\n"})
        with pytest.raises(DataError, match=r"bad\.zip .*nothing was written: films\.inter line 3 has 3 columns"):
            convert("films", source)
        assert not (here / "dataset" / "films").exists()

    def test_a_ragged_movie_is_refused_with_its_line(self, here):
        source = zipped(here / "bad.zip", {"ratings.dat": "1::2::3::4\n", "movies.dat": "1::A (1990)::Drama\n2::B\n"})
        with pytest.raises(DataError, match=r"movies\.dat line 2 has 2 columns, 3 were expected"):
            convert("films", source)

    def test_other_zip_archives_are_refused(self, here):
        with pytest.raises(DataError, match="no MovieLens archive"):
            convert("films", zipped(here / "other.zip", {"a.txt": "x"}))

    def test_a_damaged_member_is_told(self, ml_1m):
        data = bytearray(ml_1m.read_bytes())
        at = data.index(b"1::73::5")
        data[at : at + 8] = b"1::73::4"
        ml_1m.write_bytes(data)
        with pytest.raises(DataError, match=r"ml-1m\.zip is damaged or cut short .*CRC.*fetch it again"):
            convert("ml-1m", ml_1m)


class TestAmazon:
    reviews = tuple(
        {"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": 1369699200 + n, "reviewText": "a\tb\nc"}
        for n, (user, item) in enumerate((user, item) for user in ("A1", "A2") for item in ("B1", "B2", "B3"))
    )

    def source(self, folder: Path) -> Path:
        path = folder / "reviews_Beauty_5.json.gz"
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(review) + "\n" for review in self.reviews)
        return path

    def test_reviews_of_2014_with_python_literal_meta(self, here):
        meta = here / "meta_Beauty.json.gz"
        entries = [
            {"asin": "B1", "brand": "L'Oréal Paris", "categories": [["All", "Hair Care", "Gel"], ["All", "Gel"]]},
            {"asin": "B9", "brand": "never reviewed", "categories": [["Beauty", "x"]]},
            {"asin": "B2", "categories": [["Beauty", "Make\tup"]]},
        ]
        with gzip.open(meta, "wt", encoding="utf-8") as file:
            file.writelines(repr(entry) + "\n" for entry in entries)
        convert("Amazon_Beauty", self.source(here), "--meta", meta, "--no-check")
        folder = here / "dataset" / "Amazon_Beauty"
        assert lines(folder / "Amazon_Beauty.inter")[:3] == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "A1\tB1\t5.0\t1369699200",
            "A1\tB2\t5.0\t1369699201",
        ]
        assert lines(folder / "Amazon_Beauty.item") == [
            "item_id:token\tclass:token_seq",
            "B1\tHair_Care Gel L'Oréal_Paris",
            "B2\tMake_up",
            "B3\t",
        ]

    def test_json_meta_of_2018(self, here, capsys):
        meta = here / "meta.json"
        meta.write_text(json.dumps({"asin": "B1", "brand": "Dove", "category": ["Beauty", "Skin Care"]}) + "\n")
        convert("Amazon_Luxury", self.source(here), "--meta", meta)
        assert lines(here / "dataset/Amazon_Luxury/Amazon_Luxury.item")[1] == "B1\tSkin_Care Dove"
        assert "2 of 3 items have neither brand nor category" in capsys.readouterr().out

    def test_known_counts(self, here):
        with pytest.raises(DataError, match="22,363 users, 12,101 items and 198,502 interactions"):
            convert("Amazon_Beauty", self.source(here))

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('{"reviewerID": "A", "overall": 5}', r"line 2 has no 'asin'"),
            ('{"reviewerID": ', r"line 2 is no JSON object"),
            ("[1, 2]", r"line 2 is no JSON object"),
        ],
    )
    def test_bad_lines_have_their_number(self, here, line, words):
        path = here / "reviews.json"
        path.write_text(json.dumps(self.reviews[0]) + "\n" + line + "\n")
        with pytest.raises(DataError, match=words):
            convert("Amazon_X", path)

    def test_a_cut_gzip_file(self, here):
        path = self.source(here)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataError, match="damaged or cut short"):
            convert("Amazon_X", path)


class TestS3Rec:
    def test_positions_and_attributes(self, here, capsys):
        source, attributes = here / "Beauty.txt", here / "Beauty_item2attributes.json"
        source.write_text("1 5 3 10\n2 3 5 3\n")
        attributes.write_text(json.dumps({"10": [4, 2], "3": [7], "99": [1]}))
        convert("Amazon_Beauty", source, "--attributes", attributes, "--no-check")
        folder = here / "dataset" / "Amazon_Beauty"
        assert lines(folder / "Amazon_Beauty.inter") == [
            "user_id:token\titem_id:token\ttimestamp:float",
            "1\t5\t1", "1\t3\t2", "1\t10\t3", "2\t3\t1", "2\t5\t2", "2\t3\t3",
        ]  # fmt: skip
        assert lines(folder / "Amazon_Beauty.item") == ["item_id:token\tclass:token_seq", "3\t7", "5\t", "10\t4 2"]
        assert "timestamp is the position" in capsys.readouterr().out

    @pytest.mark.skipif(
        not (ROOT / "dataset/Amazon_Beauty/Amazon_Beauty.item").exists(), reason="dataset/Amazon_Beauty is not unpacked"
    )
    def test_the_whole_beauty_set_comes_back_byte_for_byte(self, here):
        old = ROOT / "dataset" / "Amazon_Beauty"
        orders: dict[str, list[str]] = {}
        for line in lines(old / "Amazon_Beauty.inter")[1:]:
            user, item, _ = line.split("\t")
            orders.setdefault(user, []).append(item)
        classes = dict(line.split("\t") for line in lines(old / "Amazon_Beauty.item")[1:])
        (here / "Beauty.txt").write_text("".join(f"{user} {' '.join(items)}\n" for user, items in orders.items()))
        (here / "a.json").write_text(json.dumps({item: list(map(int, cell.split())) for item, cell in classes.items()}))
        convert("Amazon_Beauty", "Beauty.txt", "--attributes", "a.json")
        for suffix in ("inter", "item"):
            new = here / f"dataset/Amazon_Beauty/Amazon_Beauty.{suffix}"
            assert new.read_bytes() == (old / f"Amazon_Beauty.{suffix}").read_bytes()

    @pytest.mark.parametrize(
        ("text", "words"),
        [("1 2 3 4\n2\n", "line 2 has a user and no item"), ("1 2\n1 3\n", "line 2: user 1 has a line")],
    )
    def test_bad_lines(self, here, text, words):
        (here / "x.txt").write_text(text)
        with pytest.raises(DataError, match=words):
            convert("mine", here / "x.txt")

    def test_bad_attributes(self, here):
        (here / "x.txt").write_text("1 2 3 4\n2 2 3 4\n")
        (here / "a.json").write_text("[1]")
        with pytest.raises(DataError, match="must map each item to a list"):
            convert("mine", here / "x.txt", "--attributes", here / "a.json")


class TestTable:
    columns = ("--user", "u", "--item", "i", "--time", "t")

    @pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
    def test_delimiters_are_found(self, here, delimiter):
        source = ratings_csv(here / "a.csv")
        source.write_text(source.read_text().replace(",", delimiter))
        convert("mine", source, *self.columns)
        assert lines(here / "dataset/mine/mine.inter")[:3] == [
            "user_id:token\titem_id:token\ttimestamp:float",
            "007\tx\t10",
            "007\ty\t30",
        ]

    @pytest.mark.parametrize("delimiter", ["::", "~", "\\t"])
    def test_a_delimiter_can_be_given(self, here, delimiter):
        source = ratings_csv(here / "a.csv")
        source.write_text(source.read_text().replace(",", delimiter.replace("\\t", "\t")))
        convert("mine", source, *self.columns, "--delimiter", delimiter)
        assert lines(here / "dataset/mine/mine.inter")[1] == "007\tx\t10"

    def test_dates_become_unix_seconds(self, here, capsys):
        dates = ["1970-01-02", "1970-01-01T00:00:30Z", "1970-01-01 01:00:00+01:00"]
        rows = "".join(f"{user},{n},{date},{n}.5\n" for user in "ab" for n, date in enumerate(dates))
        convert("mine", ratings_csv(here / "a.csv", "u,i,t,r\n" + rows), *self.columns, "--rating", "r")
        assert lines(here / "dataset/mine/mine.inter")[:4] == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "a\t0\t0.5\t86400",
            "a\t1\t1.5\t30",
            "a\t2\t2.5\t0",
        ]
        assert "t holds dates, which became Unix seconds" in capsys.readouterr().out

    def test_numbers_are_kept_and_told(self, here, capsys):
        convert("mine", ratings_csv(here / "a.csv"), *self.columns)
        assert "t holds numbers, which were kept as they are" in capsys.readouterr().out

    def test_items_are_taken_cleaned_and_only_if_they_occur(self, here):
        items = 'id,title,tags,price\nx,"A ""q""\ttab\nend",new age|pop,1.5\nz,,,\nnever,N,pop,2\n'
        (here / "items.csv").write_text(items)
        arguments = ("--item-file", "items.csv", "--item-id", "id", "--item-separator", "|")
        kept = "title:token_seq,tags:token_seq,price:float"
        convert("mine", ratings_csv(here / "a.csv"), *self.columns, *arguments[:4], "--item-columns", kept)
        header = "item_id:token\ttitle:token_seq\ttags:token_seq\tprice:float"
        expected = [header, "x\tA 'q' tab end\tnew age|pop\t1.5", "z\t\t\t"]
        assert lines(here / "dataset/mine/mine.item") == expected
        arguments = (*arguments, "--item-columns", "tags:token_seq", "--force")
        convert("mine", here / "a.csv", *self.columns, *arguments)
        assert lines(here / "dataset/mine/mine.item")[1] == "x\tnew_age pop"

    def test_parquet(self, here):
        pytest.importorskip("pyarrow")
        times = pd.to_datetime(["1970-01-01 00:00:01", "1970-01-01 00:00:02", "1970-01-01 00:00:03"] * 2)
        frame = pd.DataFrame({"u": [1, 1, 1, 2, 2, 2], "i": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0], "t": times})
        frame.loc[6] = [3, None, times[0]]
        frame.to_parquet(here / "a.parquet")
        convert("mine", here / "a.parquet", *self.columns)
        assert lines(here / "dataset/mine/mine.inter")[1:4] == ["1\t1\t1", "1\t2\t2", "1\t3\t3"]

    def test_rows_without_ids_are_dropped_and_told(self, here, capsys):
        source = ratings_csv(here / "a.csv")
        source.write_text(source.read_text() + ",x,1\n8,,2\n")
        convert("mine", source, *self.columns)
        out = capsys.readouterr().out
        assert "2 rows without user or item were left out" in out and "partial" not in out
        assert len(lines(here / "dataset/mine/mine.inter")) == 7

    def test_a_missing_column_lists_what_there_is(self, here):
        source = ratings_csv(here / "a.csv", "userId,movieId,stamp\n1,2,3\n")
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
    def test_times_that_cannot_be_read(self, here, text, words):
        with pytest.raises(DataError, match=words):
            convert("mine", ratings_csv(here / "a.csv", text), *self.columns)

    def test_columns_must_be_named(self, here):
        with pytest.raises(DataError, match=r"read as a table: name its columns with --item, --time; .*'u,i,t'"):
            convert("mine", ratings_csv(here / "a.csv"), "--user", "u")

    def test_item_columns_need_a_type(self, here):
        (here / "items.csv").write_text("id,title\n")
        arguments = (*self.columns, "--item-file", "items.csv", "--item-id", "id", "--item-columns")
        for wanted in ("title", "title:text"):
            with pytest.raises(DataError, match="must be column:type"):
                convert("mine", ratings_csv(here / "a.csv"), *arguments, wanted)

    def test_latin_1_needs_its_name(self, here):
        source = here / "a.csv"
        rows = "".join(f"é{u},{i},1\n" for u in "ab" for i in "xyz")
        source.write_bytes(f"u,i,t\n{rows}".encode("latin-1"))
        with pytest.raises(DataError, match=r"not utf-8 text.*--encoding"):
            convert("mine", source, *self.columns)
        convert("mine", source, *self.columns, "--encoding", "latin-1")
        assert lines(here / "dataset/mine/mine.inter")[1] == "éa\tx\t1"


class TestCommand:
    def test_the_report_tells_all_and_the_next_command(self, ml_1m, capsys):
        convert("films", ml_1m)
        out = capsys.readouterr().out
        for words in ("users         2", "items         3", "interactions  6", "2000-12-31 to 2000-12-31", "sha256"):
            assert words in out
        assert out.rstrip().endswith("python run_recbole.py --model=SAMRec --dataset=films")

    def test_another_folder_is_named_in_the_next_command(self, ml_1m, here, capsys):
        convert("films", ml_1m, "--out", here / "elsewhere" / "films")
        assert f"--dataset=films --data_path={here / 'elsewhere'}" in capsys.readouterr().out

    def test_existing_files_stay_unless_forced(self, ml_1m, here):
        convert("films", ml_1m)
        folder = here / "dataset" / "films"
        (folder / "films.inter").write_text("mine")
        (folder / "notes.txt").write_text("keep")
        with pytest.raises(DataError, match=r"films\.inter exists already: add --force"):
            convert("films", ml_1m)
        assert (folder / "films.inter").read_text() == "mine"
        convert("films", ratings_csv(here / "a.csv"), *TestTable.columns, "--force")
        assert sorted(path.name for path in folder.iterdir()) == ["films.inter", "notes.txt"]
        assert len(lines(folder / "films.inter")) == 7

    def test_a_failure_while_moving_leaves_the_old_set(self, ml_1m, here, monkeypatch):
        convert("films", ml_1m)
        folder = here / "dataset" / "films"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        real, calls = os.replace, []

        def failing(old, new):
            calls.append(new)
            if len(calls) == 5:
                raise OSError(28, "No space left on device")
            real(old, new)

        monkeypatch.setattr(os, "replace", failing)
        with pytest.raises(DataError, match="No space left"):
            convert("films", ml_1m, "--force")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in (here / "dataset").iterdir()] == ["films"]

    @pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\tb"])
    def test_names_that_are_no_folder(self, ml_1m, name):
        with pytest.raises(DataError, match="NAME"):
            convert(name, ml_1m)

    def test_out_must_bear_the_name(self, ml_1m, here):
        with pytest.raises(DataError, match=r"--out .* must end in films"):
            convert("films", ml_1m, "--out", here / "other")

    def test_options_of_another_format_are_refused(self, ml_1m):
        with pytest.raises(DataError, match=r"--meta is for format amazon, but .* is movielens"):
            convert("films", ml_1m, "--meta", "m.json")

    def test_a_missing_source(self, here):
        with pytest.raises(DataError, match=r"nowhere\.csv is not there"):
            convert("mine", here / "nowhere.csv")

    def test_format_overrides_what_is_detected(self, here):
        (here / "x.txt").write_text("1 2 3\n")
        assert detect(here / "x.txt") == "s3rec"
        with pytest.raises(DataError, match="no column"):
            convert("mine", here / "x.txt", "--format", "table", *TestTable.columns)
