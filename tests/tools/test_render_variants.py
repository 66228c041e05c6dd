"""The page of variants shows every variant, with the cost that the code has and the evidence that there is."""

import re

import pytest

from recbole_samrec.optim.schedule import VARIANTS
from tools import render_variants as rendered
from tools.evidence import AVERAGE, Difference


def rows():
    return {cells[0].strip("`"): cells[1:] for cells in map(split, rendered.render_variants().splitlines()[2:])}


def split(line):
    return line.strip("| ").split(" | ")


def test_render_variants__has_every_variant_and_averages():
    assert list(rows()) == [*VARIANTS, "weight_average"]
    assert set(rendered.TEXTS) == set(VARIANTS)


@pytest.mark.parametrize(("variant", "passes"), (dict.fromkeys(VARIANTS, 2) | {"msam": 1, "looksam": 1.2}).items())
def test_count_passes__counts_gradients(variant, passes):
    assert rendered.count_passes(variant) == passes


def test_render_variants__shows_the_range_of_differences(monkeypatch):
    found = [Difference("p", "A", "B", (3, 3), value, 0, 0, 0, 1) for value in (0.01, -0.002, 0.003)]
    monkeypatch.setattr(rendered, "find_trials", lambda: {"gsam": found, AVERAGE: found[:1]})
    cells = {name: row[-1] for name, row in rows().items()}
    assert re.match(r"−0\.0020 to \+0\.0100 in \[3 comparisons\]", cells.pop("gsam"))  # noqa: RUF001
    assert cells.pop("weight_average").startswith("+0.0100 in [1 comparison]")
    assert set(cells.values()) == {"none yet"}
