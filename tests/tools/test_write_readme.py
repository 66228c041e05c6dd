"""The pages show the figures of today, and a marker that cannot be filled is an error."""

from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tools import write_readme
from tools.figures import FIGURES
from tools.write_readme import MARKER, PAGES, MarkerError, fill

PAGE = Path("page.md")
KNOWN = {"count": lambda: "61", "table": lambda: "| a |\n| --- |\n", "nothing": lambda: ""}


def test_files__are_up_to_date(capsys):
    assert write_readme.main(["--check"]) == 0, capsys.readouterr()


def test_figures__are_all_used():
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert {marker["name"] for marker in MARKER.finditer(text)} == set(FIGURES)


def test_fill__replaces_in_a_line_and_on_lines():
    text = "It has <!-- figure: count -->5<!-- end --> x.\n\n<!-- figure: table -->\n<!-- end -->\n"
    filled = (
        "It has <!-- figure: count -->61<!-- end --> x.\n\n<!-- figure: table -->\n\n| a |\n| --- |\n\n<!-- end -->\n"
    )
    assert fill(PAGE, text, KNOWN) == fill(PAGE, filled, KNOWN) == filled


def test_fill__keeps_a_block_without_content():
    text = "<!-- figure: nothing -->\n\n<!-- end -->\n"
    assert fill(PAGE, text, KNOWN) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a\n\nb <!-- figure: cuont -->5<!-- end -->",
            r"page\.md:3: there is no figure 'cuont'; known: count,",
        ),
        ("b <!-- figure: count -->5", r"page\.md: 1 markers begin, 0 end"),
        ("b <!-- figure: count -->5 <!-- figure: count -->5<!-- end -->", r"2 markers begin, 1 end"),
        ("b <!-- figure: -->5<!-- end -->", r"1 markers begin, 1 end, and 0 match"),
        ("a\n<!-- figure: count -->5<!-- end --> b", r"page\.md:2: a marker begins a line"),
        ("- <!-- figure: count -->5<!-- end --> b", r"page\.md:1: a marker begins a line"),
    ],
)
def test_fill__refuses_markers_that_cannot_be_filled(text, message):
    with pytest.raises(MarkerError, match=message):
        fill(PAGE, text, KNOWN)


def test_main__names_and_writes_stale_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(write_readme, "ROOT", tmp_path)
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("RecBole has <!-- figure: patches -->5<!-- end --> defects.\n")
    assert write_readme.main(["--check"]) == 1
    assert "README.md is not up to date" in capsys.readouterr().out
    assert write_readme.main([]) == 0 == write_readme.main(["--check"])
    assert (tmp_path / "docs" / "images" / "speed-dark.svg").is_file()
    (tmp_path / "README.md").write_text("RecBole has <!-- figure: dents -->5<!-- end --> defects.\n")
    assert write_readme.main([]) == 1
    assert "README.md:1: there is no figure 'dents'" in capsys.readouterr().err
