"""Lines with missing or surplus cells are reported; an empty surplus cell at the end of a line is allowed."""

import gzip

import pytest

from recbole_samrec.data.convert import cells
from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import COLUMNS, convert, lines, ratings_csv

ROWS = [["u", "i", "t", "q"], *([f"{user}", f"x{item}", f"{item}", "1"] for user in "ab" for item in range(3))]
EXPECTED = [f"{user}\tx{item}\t{item}" for user in "ab" for item in range(3)]


def join(rows, delimiter, quoted=False):
    mark = '"' if quoted else ""
    return "".join(delimiter.join(f"{mark}{cell}{mark}" for cell in row) + "\n" for row in rows)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "::"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("which", [slice(1, None), slice(1, 2), slice(3, 4), slice(0, None), slice(0, 1)], ids=str)
def test_check_cells__empty_surplus_cells(tmp_path, delimiter, quoted, which):
    if quoted and delimiter == "::":
        pytest.skip("pandas does not read quoted cells with a long delimiter")
    rows = [[*row, ""] if row in ROWS[which] else row for row in ROWS]
    source = ratings_csv(tmp_path / "a.csv", join(rows, delimiter, quoted))
    convert("mine", source, *COLUMNS, "--delimiter", delimiter)
    assert lines(tmp_path / "dataset/mine/mine.inter")[1:] == EXPECTED


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("row", [1, 4, 6])
@pytest.mark.parametrize(
    "change", [lambda row: row[:-1], lambda row: [row[0], "", *row[1:]]], ids=["missing", "surplus"]
)
def test_check_cells__names_the_line(tmp_path, monkeypatch, quoted, row, change):
    monkeypatch.setattr(cells, "_CHUNK", 9)
    rows = [change(cells) if n == row else cells for n, cells in enumerate(ROWS)]
    source = tmp_path / "a.csv.gz"
    source.write_bytes(gzip.compress(join(rows, ",", quoted).encode()))
    with pytest.raises(DataError, match=rf"a\.csv\.gz line {row + 1} has [35] cells, the header has 4"):
        convert("mine", source, *COLUMNS)


def test_check_cells__cells_with_line_ends(tmp_path):
    text = 'u,i,t,q\na,x,1,"two\nlines, one cell"\na,y,2,\n\na,z,3,"1"\nb,x\n'
    with pytest.raises(DataError, match=r"line 7 has 2 cells"):
        convert("mine", ratings_csv(tmp_path / "a.csv", text), *COLUMNS)
    convert("mine", ratings_csv(tmp_path / "a.csv", text.removesuffix("b,x\n")), *COLUMNS)
    assert lines(tmp_path / "dataset/mine/mine.inter")[1:] == ["a\tx\t1", "a\ty\t2", "a\tz\t3"]


def test_check_cells__of_the_table_of_items(tmp_path):
    source = ratings_csv(tmp_path / "a.csv")
    options = ("--item-file", tmp_path / "b.csv", "--item-id", "id", "--item-columns", "title:token_seq", "--force")
    (tmp_path / "b.csv").write_text("id,title,price\nx,One,1,\ny,Two,2\nz,Three,3\n")
    convert("mine", source, *COLUMNS, *options)
    assert lines(tmp_path / "dataset/mine/mine.item")[1:] == ["x\tOne", "y\tTwo", "z\tThree"]
    (tmp_path / "b.csv").write_text("id,title,price\nx,One,1\ny,Two, and more,2\nz,Three,3\n")
    with pytest.raises(
        DataError, match=r"b\.csv line 3 has 4 cells, the header has 3: .* quote cells that contain ','"
    ):
        convert("mine", source, *COLUMNS, *options)
