"""Headers of atomic files are read, and errors in them are reported."""

import codecs

import pytest

from recbole_samrec.data.validate.layout import (
    Column,
    Layout,
    guess_separator,
    make_encoding_error,
    read_header,
    require_column,
)
from recbole_samrec.utils.errors import DataError


@pytest.fixture
def header(tmp_path):
    """Read the header of a file with this content."""

    def read(content, **layout):
        (tmp_path / "toy.inter").write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_header(tmp_path / "toy.inter", Layout(**layout))

    return read


def test_layout__takes_settings_that_are_set():
    fields = {"USER_ID_FIELD": "who", "TIME_FIELD": None, "load_col": {"inter": ["who"]}, "benchmark_filename": ["a"]}
    expected = Layout(user="who", load={"inter": ["who"]}, benchmark=("a",))
    assert Layout.from_settings(fields) == expected
    assert Layout.from_settings({}) == Layout() and Layout().time == "timestamp"


def test_layout__knows_which_columns_are_loaded():
    layout = Layout(load={"inter": "*", "item": ["item_id"], "kg": None}, unload={"inter": ["rating"]})
    assert layout.is_loaded("inter", "anything") and not layout.is_loaded("inter", "rating")
    assert layout.is_loaded("item", "item_id") and not layout.is_loaded("item", "class")
    assert not layout.is_loaded("user", "user_id") and not layout.is_loaded("kg", "head_id")
    assert [layout.is_any_loaded(suffix) for suffix in ("inter", "item", "user", "kg")] == [True, True, False, False]
    assert Layout().is_loaded("user", "age") and Layout().is_any_loaded("user")


@pytest.mark.parametrize("encoding, ascii", [("utf-8", True), ("utf-8-sig", True), ("cp1252", True), ("utf-16", False)])
def test_layout__knows_encodings_with_ascii_line_ends(encoding, ascii):
    assert Layout(encoding=encoding).has_ascii_line_ends == ascii


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
def test_read_header__splits_names_and_types(header, encoding):
    found = header("user_id:token\té:float_seq\r\n1\t2\r\n".encode(encoding), encoding=encoding)
    assert found == [Column("user_id", "token", "user_id:token"), Column("é", "float_seq", "é:float_seq")]


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "line 1 is empty: the first line names the columns, such as user_id:token"),
        (codecs.BOM_UTF8 + b"a:token\n", "line 1 begins with a UTF-8 byte order mark: save the file as UTF-8 without"),
        (b"a:token\t\xe9:token\n", "line 1, byte 9: 0xe9 is not utf-8: save the file as utf-8, or name its encoding"),
        ("a:token,b:token\n", "line 1: ',' seems to separate the columns, where '\\t' is expected: replace it"),
        ("a:token\t\n", "line 1, column 2 has no name: name it, or remove the surplus separator"),
        ('"a:token"\n', "line 1, column 1: RecBole does not read names in quotation marks: remove the marks"),
        ("rating\n", "line 1, column 1: 'rating' has no type: the first line names every column with its type, such "
                     "as rating:float"),
        (":token\n", "line 1, column 1: ':token' has no type"),
        ("a:int\n", "line 1, column a: type 'int' is unknown: use token, token_seq, float, float_seq"),
    ],
)  # fmt: skip
def test_read_header__tells_what_is_wrong(header, content, words):
    with pytest.raises(DataError) as caught:
        header(content)
    assert f"toy.inter {words}" in str(caught.value)


def test_make_encoding_error__counts_bytes_from_1(tmp_path):
    with pytest.raises(UnicodeDecodeError) as caught:
        b"ab\xff".decode("ascii")
    assert str(make_encoding_error(tmp_path, 7, caught.value)).startswith(f"{tmp_path} line 7, byte 3: 0xff is not asc")


@pytest.mark.parametrize("line, found", [("a\tb", None), ("a::b", "::"), ("a,b;c", ","), ("a b", " "), ("ab", None)])
def test_guess_separator__finds_the_first_usual_one(line, found):
    assert guess_separator(line, Layout()) == found


def test_require_column__proposes_the_name_that_is_like_it(tmp_path):
    columns = [Column("userid", "token", ""), Column("when", "token", "")]
    require_column(tmp_path, columns, "userid", "token")
    with pytest.raises(DataError, match=r"no column 'user_id': it has userid, when, perhaps 'userid' is meant; rename"):
        require_column(tmp_path, columns, "user_id", "token")
    with pytest.raises(DataError, match=r"line 1, column when: type is token, must be float: write when:float$"):
        require_column(tmp_path, columns, "when", "float")
