"""Yoochoose's published clicks give exactly the expected lines."""

import gzip

import pytest

from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import convert, lines, zipped

CLICKS = (
    "1,2014-04-07T10:51:09.277Z,214536502,0\n"
    "1,2014-04-07T10:54:09.868Z,214536500,0\n"
    "1,2014-04-07T10:57:00.306Z,214577561,S\n"
    "9,2014-04-01T13:56:37.614Z,214662742,0\n"
    "9,2014-04-01T13:57:19.373Z,214825110,12\n"
    "9,2014-04-01T13:58:37.446Z,214757390,0\n"
)


def test_convert_yoochoose__has_sessions_as_users(tmp_path, capsys):
    plain = tmp_path / "yoochoose-clicks.dat"
    plain.write_text(CLICKS)
    packed = tmp_path / "clicks.dat.gz"
    packed.write_bytes(gzip.compress(CLICKS.encode()))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / plain.name).write_text(CLICKS)
    (folder / "yoochoose-buys.dat").write_text("420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n")
    archive = zipped(tmp_path / "data.zip", {"data/yoochoose-clicks.dat": CLICKS, "data/dataset-README.txt": "about"})
    for number, source in enumerate((plain, packed, folder, archive)):
        assert convert(f"yoochoose{number}", source) == 0
        assert lines(tmp_path / f"dataset/yoochoose{number}/yoochoose{number}.inter") == [
            "user_id:token\titem_id:token\ttimestamp:float\tevent_time:float",
            "9\t214662742\t1396360597.614\t1396360597.614",
            "9\t214825110\t1396360597.614\t1396360639.373",
            "9\t214757390\t1396360597.614\t1396360717.446",
            "1\t214536502\t1396867869.277\t1396867869.277",
            "1\t214536500\t1396867869.277\t1396868049.868",
            "1\t214577561\t1396867869.277\t1396868220.306",
        ]
    assert "timestamp is the time at which the session began" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("9,yesterday,214825110,0\n", "line 7: 'yesterday' is no time of a click"),
        ("9,2014-04-01T13:57:19.373Z\n", "line 7: item is missing"),
        ("9,2014-04-01T13:57:19.373Z,1,2,3\n", "is not yoochoose-clicks.dat"),
    ],
)
def test_convert_yoochoose__names_wrong_lines(tmp_path, line, words):
    source = tmp_path / "yoochoose-clicks.dat"
    source.write_text(CLICKS + line)
    with pytest.raises(DataError, match=words):
        convert("yoochoose", source)
    assert not (tmp_path / "dataset").exists() or not list((tmp_path / "dataset").iterdir())
