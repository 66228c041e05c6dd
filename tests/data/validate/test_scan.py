"""Every line is scanned as bytes, or by records if cells are quoted, and the first invalid one is reported."""

import hashlib

import pytest

from recbole_samrec.data.validate import scan
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.data.validate.scan import check_lines, find_ragged_lines, is_quoted, read_records
from recbole_samrec.utils.errors import DataError

TABS = Layout()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "toy.inter"


@pytest.mark.parametrize("size", [1, 4, 1 << 20])
def test_check_lines__hashes_all_bytes_in_any_chunks(path, monkeypatch, size):
    monkeypatch.setattr(scan, "_CHUNK", size)
    content = b"a\tb\r\n1\t2\n\n3\t4"
    path.write_bytes(content)
    digest = hashlib.sha256()
    check_lines(path, TABS, 2, digest)
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    "content, words",
    [
        (b"a\tb\n1\t2\n\n3\n", r"line 4 has 1 columns, the header has 2: correct the line \('3'\)"),
        (b"a\tb\n1,2\n", r"line 2 has 1 columns, the header has 2: ',' seems to separate them, where '\\t' is"),
        (b"a\tb\n1\t2\n\xc3\xa9\t\xff\n", r"line 3, byte 4: 0xff is not utf-8"),
        (b"a\tb\n1\t2\n3\r\t4\n", r"line 3 contains a carriage return, at which RecBole ends the line: remove it"),
        (b'a\tb\n"1"\t2\n3\n', r"line 3 has 1 columns, the header has 2"),
        (b'a\tb\n1\t"2\n3\t4"\n', r"line 2: a quotation mark \(\"\) begins a cell and closes only on line 3"),
        (b'a\tb\n1\t"2" x\n', r"line 2: a quotation mark .* does not close where the cell ends"),
    ],
)
def test_check_lines__tells_the_first_wrong_line(path, monkeypatch, size, content, words):
    monkeypatch.setattr(scan, "_CHUNK", size)
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        check_lines(path, TABS, 2)


def test_check_lines__reads_long_separators_and_other_line_ends(path):
    path.write_text("a::b\n1::2\n3\n")
    with pytest.raises(DataError, match="line 3 has 1 columns"):
        check_lines(path, Layout(separator="::"), 2)
    path.write_text("a\tb\n1\t2\n3\n", encoding="utf-16")
    with pytest.raises(DataError, match="line 3 has 1 columns"):
        check_lines(path, Layout(encoding="utf-16"), 2)


def test_read_records__numbers_records_and_skips_blank_lines(path):
    path.write_text('a\tb\n\n"1"\t2\n  \n3\té"x\n')
    assert list(read_records(path, TABS)) == [(1, ["a", "b"]), (3, ["1", "2"]), (5, ["3", 'é"x'])]


def test_read_records__names_text_of_another_encoding(path):
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match=r"toy\.inter is not utf-8 text after line 1: name its encoding"):
        list(read_records(path, TABS))


@pytest.mark.parametrize(
    "chunk, quoted", [(b'"a"\tb', True), (b'a\t"b', True), (b'a\n"b', True), (b'a"b\tc"', False), (b"'a'", False)]
)
def test_is_quoted__looks_at_the_beginning_of_cells(chunk, quoted):
    assert is_quoted(chunk, "\t") == quoted


def test_find_ragged_lines__skips_blank_ones():
    chunk = b"1\t2\n3\n\n \r\n4\t5\t6\n7\t8"
    assert list(find_ragged_lines(chunk, "\t", 2)) == [(1, 1, b"3"), (4, 3, b"4\t5\t6")]
    assert list(find_ragged_lines(b"1", "\t", 2)) == [(0, 1, b"1")]
