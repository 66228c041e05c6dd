"""The page of models contains the table of supported features."""

import re

from recbole_samrec.cli.model_table import FEATURES, YES, read_models
from tools.render_models import render_models


def test_render_models__has_every_cell():
    rows = [re.sub(r"\\", "", row).split(" | ") for row in re.findall(r"^\| (.*) \|$", render_models(), re.M)[2:]]
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", re.sub(r"\\", "", render_models()), re.M))
    shown = [[cells[0], *(YES if cell == YES else reasons[cell] for cell in cells[2:])] for cells in rows]
    assert shown == [[line["model"], *(line[feature] for feature in FEATURES)] for line in read_models()]
