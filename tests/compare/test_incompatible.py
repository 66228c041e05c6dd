"""Reasons why entries do not fit a data set are kept, and read again without the data."""

import pytest

from recbole_samrec.compare.incompatible import FILE, recall_incompatible, remember_incompatible


def test_remember_incompatible__keeps_other_entries(tmp_path):
    remember_incompatible(tmp_path, "loo", ["A", "B"], {"A": "no times"})
    remember_incompatible(tmp_path, "gts-last", ["A", "B"], {"B": "no “attributes”"})
    remember_incompatible(tmp_path, "loo", ["C"], {"C": "no features"})
    assert recall_incompatible(tmp_path, "loo") == {"A": "no times", "C": "no features"}
    assert recall_incompatible(tmp_path, "gts-last") == {"B": "no “attributes”"}
    remember_incompatible(tmp_path, "loo", ["A", "C"], {"C": "other"})
    assert recall_incompatible(tmp_path, "loo") == {"C": "other"}


def test_remember_incompatible__writes_no_empty_file(tmp_path):
    remember_incompatible(tmp_path / "tiny", "", ["A"], {})
    assert not (tmp_path / "tiny").exists() and recall_incompatible(tmp_path / "tiny", "") == {}


@pytest.mark.parametrize("content", ["", "[]", '{"loo": 1}', "{"])
def test_recall_incompatible__of_a_damaged_file(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert recall_incompatible(tmp_path, "loo") == {}
