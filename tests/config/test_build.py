"""Configurations are built from files and arguments, and mistakes are reported."""

import pytest

from recbole_samrec.config.build import configure, report_unread
from recbole_samrec.utils.errors import ConfigError

BASE = {"model": "SAMRec", "dataset": "tiny"}


def test_configure__takes_earlier_names_from_files_only():
    notes = []
    config = configure({**BASE, "sam_row_radius": "frequency"}, {}, notes.append)
    assert config["sam_item_rho"] == "frequency" and notes == []
    with pytest.raises(ConfigError, match=r"^unknown setting --sam_row_radius; it is now called sam_item_rho$"):
        configure(BASE, {"sam_row_radius": "frequency"}, notes.append)


def test_configure__reports_a_misspelled_setting_and_its_value():
    for given, words in (
        ({"lr": 0.1}, r"unknown setting --lr; did you mean learning_rate\?"),
        ({"sam_momentum": 1}, r"sam_momentum=1: must be a number in \[0, 1\)"),
        ({"crop_rate": 0.1}, "unknown setting --crop_rate"),
    ):
        with pytest.raises(ConfigError, match=words):
            configure(BASE, given, print)


def test_report_unread__names_slips_of_files():
    notes = []
    report_unread(["learning_rte", "my_remark", "epochs"], {"learning_rate", "epochs", "seed"}, notes.append)
    assert notes == ["unknown setting learning_rte in the files; did you mean learning_rate?"]
