"""The README on a registry's page of the package: every link leads outside of the repository."""

import re

import pytest

from tests.helpers.paths import ROOT
from tools.long_description import make_long_description

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "https://example.org/name/repository"
TARGET = re.compile(r"\]\(([^()\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"")


def list_targets(text):
    return [link or picture for link, picture in TARGET.findall(text)]


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_make_long_description__has_no_relative_links(address):
    assert all(re.match("https?:|#", target) for target in list_targets(make_long_description(README, address)))


def test_make_long_description__names_files_that_exist():
    found = list_targets(make_long_description(README, ADDRESS))
    inside = [target.removeprefix(ADDRESS) for target in found if target.startswith(ADDRESS)]
    files = [re.fullmatch(r"/(blob|raw)/main/([^#]+)(#.*)?", target) for target in inside]
    assert len(files) > 10 and all((ROOT / file[2]).exists() for file in files)
    assert {file[1] for file in files if file[2].endswith(".svg")} == {"raw"}


def test_make_long_description__keeps_text_and_other_links():
    text = "See [the `list`](docs/a.md#b), [all](#all) and [x](https://a.org).\n\n"
    shown = "See the `list`, [all](#all) and [x](https://a.org).\n\n"
    picture = '<picture>\n<img src="a">\n</picture>\n\n'
    assert make_long_description(f"{text}{picture}End", "") == f"{shown}End"


def test_make_long_description__drops_comments():
    text = "<!-- figure: a -->\n\n| a |\n\n<!-- end -->\n\nIt is <!-- figure: b -->5<!-- end -->.\n"
    assert make_long_description(text, "") == "| a |\n\nIt is 5.\n"
    assert "<!--" not in make_long_description(README, ADDRESS)
