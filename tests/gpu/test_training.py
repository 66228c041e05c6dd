"""A training step of every model on a device: no mixed devices, repeated draws, and costs as recorded."""

import pytest

from tests.helpers import device_checks as checks
from tests.helpers.device_table import PAGE, compare_counts, fill_page, read_counts

RESUMED = {"SAMRec packed", "SAMRec fp16", "CL4SRec packed", "LightGCN"}
"""Cases of which the quick tests also check that a resumed run equals an uninterrupted one."""
SLOW = set(checks.PREFIX) - {"SAMRec prefix", "GRU4Rec prefix"} | {"S3Rec finetune packed", "SASRec packed"}
QUICK = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in checks.CASES]


@pytest.mark.parametrize("name", QUICK)
def test_training__costs_a_device_what_is_recorded(device, tmp_path, name):
    found = device.call(checks.check_training, str(tmp_path), checks.CASES[name], name in RESUMED)
    problem = compare_counts(name, found, launches=device.kind == "simulated")
    assert problem is None, problem


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in checks.MODELS if name not in RESUMED])
def test_training__resumes_exactly(device, tmp_path, name):
    device.call(checks.check_training, str(tmp_path), checks.CASES[name], True)


def test_counts__are_recorded_for_all_cases_and_no_others():
    assert list(read_counts().index) == list(checks.CASES)


def test_counts__are_those_of_the_documentation():
    page = PAGE.read_text(encoding="utf-8")
    assert fill_page(page, read_counts()) == page
    assert fill_page(page, read_counts().assign(waits=99)) != page


def test_compare_counts__says_what_to_do():
    recorded = dict(read_counts().loc["SAMRec packed"], places=["2.00 wait at here"])
    assert compare_counts("SAMRec packed", recorded) is None
    more, fewer = {**recorded, "waits": recorded["waits"] + 1}, {**recorded, "waits": recorded["waits"] - 1}
    assert "more than recorded; it waits and copies at:\n2.00 wait at here" in compare_counts("SAMRec packed", more)
    assert "fewer than recorded: run python -m tests.helpers.device_table" in compare_counts("SAMRec packed", fewer)
    assert compare_counts("SAMRec packed", {**recorded, "launches": 10**6}, launches=False) is None


def test_training__on_the_cpu_leaves_the_device_alone(device, tmp_path):
    device.call(checks.check_cpu_beside_device, str(tmp_path), checks.MODELS["SAMRec packed"])
