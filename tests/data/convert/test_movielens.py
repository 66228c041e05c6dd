"""MovieLens' archives, in their true layout and encoding, give exactly the expected lines."""

import zipfile

import pytest

from recbole_samrec.data.catalog import PUBLISHED, Counts
from recbole_samrec.data.convert import atomic
from recbole_samrec.utils.errors import DataError
from tests.helpers.paths import ROOT
from tests.helpers.providers import convert, lines, write_ml_1m, zipped


@pytest.fixture
def ml_1m(tmp_path):
    return write_ml_1m(tmp_path)


class TestMovieLens:
    def test_ml_1m_has_the_lines_recbole_publishes(self, ml_1m, tmp_path):
        assert convert("ml-1m", ml_1m, "--no-check") == 0
        folder = tmp_path / "dataset" / "ml-1m"
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
    def test_the_whole_ml_1m_comes_back_byte_for_byte(self, tmp_path):
        old = ROOT / "dataset" / "ml-1m"
        films, users = ([line.split("\t") for line in lines(old / f"ml-1m.{s}")[1:]] for s in ("item", "user"))
        source = zipped(
            tmp_path / "ml-1m.zip",
            {
                "ml-1m/ratings.dat": (old / "ml-1m.inter").read_text().split("\n", 1)[1].replace("\t", "::"),
                "ml-1m/movies.dat": "".join(f"{i}::{t} ({y})::{g.replace(' ', '|')}\n" for i, t, y, g in films),
                "ml-1m/users.dat": "".join(f"{u}::{g}::{a}::{o}::{z}\n" for u, a, g, o, z in users),
            },
            "latin-1",
        )
        convert("ml-1m", source)
        for suffix in ("inter", "item", "user"):
            assert (tmp_path / f"dataset/ml-1m/ml-1m.{suffix}").read_bytes() == (old / f"ml-1m.{suffix}").read_bytes()

    def test_counts_must_be_those_known(self, ml_1m, tmp_path):
        with pytest.raises(DataError, match=r"2 users, 3 items and 6 inter.* 6,040 users, 3,706 .*--no-check"):
            convert("ml-1m", ml_1m)
        assert not (tmp_path / "dataset" / "ml-1m").exists()

    def test_right_counts_pass(self, ml_1m, monkeypatch):
        monkeypatch.setitem(PUBLISHED, "ml-1m", Counts(2, 3, 6))
        assert convert("ml-1m", ml_1m) == 0

    def test_an_unpacked_folder_will_do(self, ml_1m, tmp_path):
        with zipfile.ZipFile(ml_1m) as archive:
            archive.extractall(tmp_path / "unpacked")
        assert convert("mine", tmp_path / "unpacked") == 0
        assert len(lines(tmp_path / "dataset/mine/mine.inter")) == 7

    def test_ml_100k(self, tmp_path):
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
        convert("films", zipped(tmp_path / "ml-100k.zip", members, "latin-1"))
        folder = tmp_path / "dataset" / "films"
        assert lines(folder / "films.inter")[1] == "1\t10\t3\t881250959"
        assert lines(folder / "films.item") == [
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
            "10\tRichard III\t1995\tDrama",
            "267\tunknown\t\tunknown",
            "543\tMisérables, Les\t1995\tDrama",
            "1412\tLand Before Time III (V)\t1995\tAnimation Children's",
        ]
        assert lines(folder / "films.user")[2] == "2\t53\tF\tother\tT8H1N"

    def test_ml_20m_style_csv(self, tmp_path):
        members = {
            "ml-20m/ratings.csv": "userId,movieId,rating,timestamp\r\n"
            + "".join(f"{u},{i},3.5,{1112486027 + i}\r\n" for u in (1, 2) for i in (2, 29, 32)),
            "ml-20m/movies.csv": "movieId,title,genres\r\n"
            '2,"American President, The (1995)",Comedy|Sci-Fi\r\n'
            '29,"""Great Performances"" Cats (1998)",Musical\r\n'
            "32,No Year At All,(no genres listed)\r\n",
        }
        convert("films", zipped(tmp_path / "ml-20m.zip", members))
        folder = tmp_path / "dataset" / "films"
        assert lines(folder / "films.inter")[:2] == [atomic.INTERACTION_HEADER, "1\t2\t3.5\t1112486029"]
        assert lines(folder / "films.item")[1:] == [
            "2\tAmerican President, The\t1995\tComedy Sci-Fi",
            "29\t'Great Performances' Cats\t1998\tMusical",
            "32\tNo Year At All\t\t",
        ]

    def test_ml_10m(self, tmp_path):
        members = {
            "ml-10M100K/allbut.pl": "about",
            "ml-10M100K/movies.dat": "122::Boomerang (1992)::Comedy|Romance\n1041::Secrets & Lies (1996)::Drama\n",
            "ml-10M100K/ratings.dat": "".join(
                f"{user}::{item}::{rating}::{838985046 + user}\n"
                for user in (1, 139) for item, rating in ((122, 5), (1041, 3.5), (185, 4))
            ),
            "ml-10M100K/tags.dat": "15::4973::excellent!::1215184630\n",
        }  # fmt: skip
        convert("films", zipped(tmp_path / "ml-10m.zip", members))
        folder = tmp_path / "dataset" / "films"
        assert lines(folder / "films.inter")[1:3] == ["1\t122\t5\t838985047", "1\t1041\t3.5\t838985047"]
        assert lines(folder / "films.item")[1:] == [
            "122\tBoomerang\t1992\tComedy Romance", "1041\tSecrets & Lies\t1996\tDrama"
        ]  # fmt: skip
        assert not (folder / "films.user").exists()

    @pytest.mark.parametrize("name", ["ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small"])
    def test_archives_with_csv(self, tmp_path, name):
        """The later archives have the same two tables, and others that are not read."""
        others = "genome-scores.csv genome-tags.csv" if name != "ml-latest-small" else ""
        members = {
            f"{name}/{member}.csv": text
            for member, text in {
                "links": "movieId,imdbId,tmdbId\r\n1,0114709,862\r\n",
                "movies": "movieId,title,genres\r\n1,Toy Story (1995),Adventure|Children\r\n"
                '11,"Misérables, Les (1995)",(no genres listed)\r\n',
                "ratings": "userId,movieId,rating,timestamp\r\n"
                "1,1,4.0,964982703\r\n1,11,0.5,964981247\r\n1,3,4.0,964982224\r\n"
                "2,1,3.0,964982931\r\n2,3,5.0,964983815\r\n2,11,5.0,964982400\r\n",
                "tags": "userId,movieId,tag,timestamp\r\n2,60756,funny,1445714994\r\n",
            }.items()
        } | {f"{name}/{other}": "x" for other in [*others.split(), "README.txt"]}
        convert(name, zipped(tmp_path / f"{name}.zip", members), "--no-check")
        folder = tmp_path / "dataset" / name
        assert lines(folder / f"{name}.inter")[:3] == [
            atomic.INTERACTION_HEADER, "1\t1\t4.0\t964982703", "1\t11\t0.5\t964981247"
        ]  # fmt: skip
        assert lines(folder / f"{name}.item")[1:] == [
            "1\tToy Story\t1995\tAdventure Children", "11\tMisérables, Les\t1995\t"
        ]  # fmt: skip

    @pytest.mark.parametrize("header", ["userId,movieId,timestamp,rating\n", ""])
    @pytest.mark.parametrize("member", ["ratings.csv", "movies.csv"])
    def test_tables_with_other_headers_are_refused(self, tmp_path, member, header):
        members = {"ratings.csv": "userId,movieId,rating,timestamp\n1,2,3,4\n", "movies.csv": "movieId,title,genres\n"}
        source = zipped(tmp_path / "bad.zip", members | {member: header + "1,2,3,4\n"})
        first = header.strip() or "1,2,3,4"
        with pytest.raises(
            DataError, match=rf"bad\.zip: the first line of {member} is '{first}', not '\w+,.*: correct"
        ):
            convert("films", source)
        assert not (tmp_path / "dataset" / "films").exists()

    def test_two_sets_in_a_folder_are_refused(self, tmp_path):
        for name in ("ml-20m", "ml-25m"):
            (tmp_path / "both" / name).mkdir(parents=True)
            (tmp_path / "both" / name / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
        with pytest.raises(DataError, match=r"both has 2 files ratings\.csv, such as \S+ and \S+: give a folder or an"):
            convert("films", tmp_path / "both")

    def test_a_ragged_rating_is_refused_with_its_line(self, tmp_path):
        source = zipped(tmp_path / "bad.zip", {"ratings.dat": "1::2::3::4\n1::2::3\n"})
        with pytest.raises(DataError, match=r"bad\.zip .*nothing was written: films\.inter line 3 has 3 columns"):
            convert("films", source)
        assert not (tmp_path / "dataset" / "films").exists()

    def test_a_ragged_movie_is_refused_with_its_line(self, tmp_path):
        source = zipped(
            tmp_path / "bad.zip", {"ratings.dat": "1::2::3::4\n", "movies.dat": "1::A (1990)::Drama\n2::B\n"}
        )
        with pytest.raises(DataError, match=r"movies\.dat line 2 has 2 columns, expected 3"):
            convert("films", source)

    def test_other_zip_archives_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="is not an archive of a known layout"):
            convert("films", zipped(tmp_path / "other.zip", {"a.txt": "x"}))

    def test_a_damaged_member_is_told(self, ml_1m):
        data = bytearray(ml_1m.read_bytes())
        at = data.index(b"1::73::5")
        data[at : at + 8] = b"1::73::4"
        ml_1m.write_bytes(data)
        with pytest.raises(DataError, match=r"ml-1m\.zip is damaged or incomplete .*CRC.*download it again"):
            convert("ml-1m", ml_1m)
