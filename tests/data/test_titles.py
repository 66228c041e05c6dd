"""Titles are read as written, with any separator and any quoting of cells."""

import pytest

from recbole_samrec.data.titles import read_titles
from recbole_samrec.data.validate.layout import Layout

HEAD = ["item_id:token", "genre:token", "title:token_seq", "price:float"]
TITLES = {"i0": "Film 0, Part 2", "i1": 'Film 1, the "Best"', "NA": "", "i 3": "Éa"}


def quote(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoted", [(0, 1, 2, 3), (1, 2), (0, 2)])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_read_titles__quoted_cells(tmp_path, separator, quoted, end):
    rows = [[item, f"Drama{separator} War" if 1 in quoted else "War", title, "0.5"] for item, title in TITLES.items()]
    lines = [[quote(cell) if n in quoted else cell for n, cell in enumerate(row)] for row in rows]
    text = end.join(separator.join(cells) for cells in [HEAD, *lines]) + end
    (tmp_path / "toy.item").write_bytes(text.encode("latin-1"))
    layout = Layout(separator=separator, encoding="latin-1")
    assert read_titles(tmp_path / "toy.item", layout) == TITLES


@pytest.mark.parametrize("separator", ["\t", "::"])
@pytest.mark.parametrize("title", ['"Great Performances" Cats', '"Unclosed', 'Some "words"', "It's"])
def test_read_titles__marks_that_are_text(tmp_path, separator, title):
    lines = [HEAD, ["i0", "War", title, "1"], ["i1", "War", '"Another', ""], ["", "", "", ""]]
    (tmp_path / "toy.item").write_text("\n".join(separator.join(cells) for cells in lines))
    found = read_titles(tmp_path / "toy.item", Layout(separator=separator))
    assert (found["i0"], found["i1"]) == (title, '"Another')


def test_read_titles__a_title_with_a_line_end(tmp_path):
    (tmp_path / "toy.item").write_text(",".join(HEAD) + '\ni0,War,"One\nTwo",1\n')
    assert read_titles(tmp_path / "toy.item", Layout(separator=",")) == {"i0": "One\nTwo"}


def test_read_titles__the_first_of_an_items_rows(tmp_path):
    (tmp_path / "toy.item").write_text(",".join(HEAD) + "\ni0,War,One,1\ni0,War,Two,1\n")
    assert read_titles(tmp_path / "toy.item", Layout(separator=",")) == {"i0": "One"}
