"""The script on the page migrate.md runs before and after its five lines, and they do what the page says."""

import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events

PAGE = ROOT / "docs" / "how_to" / "migrate.md"
SMALL = {"hidden_size": 8, "inner_size": 8, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}


def read_diff():
    (diff,) = re.findall(r"```diff\n(.*?)```", PAGE.read_text(), re.S)
    return [(line[0], line[1:]) for line in diff.splitlines()]


def run_script(side):
    """Run the lines that both sides have and those of one, with small settings; return the result and the settings."""
    code = "\n".join(line for sign, line in read_diff() if sign in (" ", side))
    code = code.replace('"ml-100k"', '"circle"').replace('"epochs": 30', f'"epochs": 2, **{SMALL!r}')
    exec(code, names := {})
    return names["result"], names["settings"]


def test_diff__has_five_lines():
    assert [sign for sign, _ in read_diff() if sign != " "] == ["+", "-", "+", "+", "+"]


@pytest.mark.parametrize("side", ["-", "+"])
def test_script__trains_before_and_after(side, own_folder):
    write_events("dataset", "circle", cyclic(users=40, items=30))
    result, settings = run_script(side)
    assert set(result["test_result"]) >= {"ndcg@10", "hit@10"}
    assert ("run_dir" in settings) == Path("runs", "sasrec", "best.pth").is_file() == (side == "+")
