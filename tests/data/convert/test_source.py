"""Providers' files are opened compressed or not, and errors contain the path."""

import gzip
import shutil
import zipfile
from pathlib import Path

import pytest

from recbole_samrec.data.convert.source import Archive, codec, first_line, open_bytes, open_text
from recbole_samrec.utils.errors import DataError


def test_open_bytes__unpacks_gzip_whatever_the_name(tmp_path):
    for name, content in (("a.csv", gzip.compress(b"text\n")), ("b.gz", b"text\n"), ("c", b"\x1f")):
        (tmp_path / name).write_bytes(content)
    contents = []
    for name in ("a.csv", "b.gz", "c"):
        with open_bytes(tmp_path / name) as file:
            contents.append(file.read())
    assert contents == [b"text\n", b"text\n", b"\x1f"]


def test_open_bytes__names_a_missing_file_and_a_folder(tmp_path):
    for path, words in ((tmp_path / "a", "is missing"), (tmp_path, "is a folder, not a file")):
        with pytest.raises(DataError, match=f"^{path} {words}: give the path of a file$"), open_bytes(path):
            pass


def test_open_bytes__names_damaged_gzip(tmp_path):
    whole = gzip.compress(b"text" * 99)
    for content in (whole[:-9], whole[:20] + b"\0\0\0" + whole[23:], whole[:-8] + b"\0" * 8):
        (tmp_path / "a.gz").write_bytes(content)
        words = r"a\.gz is damaged or incomplete \(.*\): download it again$"
        with pytest.raises(DataError, match=words), open_bytes(tmp_path / "a.gz") as file:
            file.read()


def test_open_text__skips_a_byte_order_mark_and_keeps_line_ends(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffé\r\nb\n".encode())
    with open_text(tmp_path / "a") as text:
        assert text.read() == "é\r\nb\n"


def test_open_text__names_the_encoding_that_is_wrong(tmp_path):
    (tmp_path / "a").write_bytes("é".encode("latin-1"))
    words = r"a is not utf-8 text \(.*\): give its --encoding$"
    with pytest.raises(DataError, match=words), open_text(tmp_path / "a") as text:
        text.read()


def test_first_line__has_no_line_end_and_replaces_bytes(tmp_path):
    for content, line in ((b"a,b\r\nc", "a,b"), (b"a\xff\n", "a\ufffd"), (b"", ""), (b"\xef\xbb\xbfa", "a")):
        (tmp_path / "a").write_bytes(content)
        assert first_line(tmp_path / "a") == line


def test_codec__knows_encodings_of_text_alone():
    assert [codec(name) for name in ("utf-8", "UTF8", "latin-1")] == ["utf-8-sig", "utf-8-sig", "iso8859-1"]
    for name in ("utf-9", "rot13", "zip"):
        with pytest.raises(DataError, match=f"^--encoding '{name}' is unknown: use a name such as utf-8 or latin-1$"):
            codec(name)


@pytest.mark.parametrize("packed", [True, False])
def test_archive__reads_members_by_name_alone(tmp_path, packed):
    members = {"a.txt": b"one", "in/b.txt": "\ufeffzwei".encode(), "in/c.txt": "é".encode("latin-1")}
    path = tmp_path / "archive"
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        (path / "in").mkdir(parents=True)
        for name, content in members.items():
            (path / name).write_bytes(content)
    with Archive(path) as archive:
        assert [archive.read_text(name) for name in ("a.txt", "b.txt", "c.txt")] == ["one", "zwei", "é"]
        assert "b.txt" in archive and "in/b.txt" not in archive and "in" not in archive


@pytest.mark.parametrize("packed", [True, False])
def test_archive__refuses_a_name_in_two_folders(tmp_path, packed):
    for place in ("one", "two"):
        (tmp_path / "sets" / place).mkdir(parents=True)
        for name in ("a.txt", f"{place}.txt"):
            (tmp_path / "sets" / place / name).write_text(place)
    path = Path(shutil.make_archive(str(tmp_path / "sets"), "zip", tmp_path / "sets")) if packed else tmp_path / "sets"
    with Archive(path) as archive:
        assert archive.read_text("one.txt") == "one"
        with pytest.raises(DataError, match=r"has 2 files a\.txt, such as \S*one/a\.txt and \S*two/a\.txt: give a"):
            archive.open("a.txt")


def test_archive__names_a_damaged_file(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(DataError, match=r"a\.zip is damaged or incomplete \(.*\): download it again"):
        Archive(tmp_path / "a.zip")


@pytest.mark.parametrize("place, value", [(8, 9), (6, 1)], ids=["method", "encrypted"])
def test_archive__asks_to_unpack_what_python_cannot(tmp_path, place, value):
    """For example archives in a compression method of Windows, or with a password."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b.txt", "text")
    content = bytearray(path.read_bytes())
    content[place] = content[content.index(b"PK\1\2") + place + 2] = value
    path.write_bytes(content)
    with Archive(path) as archive, pytest.raises(DataError, match=r"a\.zip: b\.txt cannot be unpacked here \(.*folder"):
        archive.open("b.txt")
