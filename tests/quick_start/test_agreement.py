"""Metrics are compared with a record: to the last bit, or up to rounding on another device."""

from types import SimpleNamespace

import pytest

from recbole_samrec.quick_start.agreement import Agreement, compare_with_record


class Record(SimpleNamespace):
    """A record with these metrics, of a run with 100 users on a GPU."""

    device, data = "NVIDIA A100", {"users": 100}

    def __getitem__(self, name):
        return getattr(self, name)


def compare(valid, again, device="NVIDIA A100", test=None):
    return compare_with_record(Record(valid=valid, test=test), {"valid": again, "test": None}, device)


def test_agreement__is_exact_on_the_same_cpu():
    assert compare({"hr@5": 0.25, "mrr": 0.1}, {"hr@5": 0.25}) == Agreement(0.0, True, False, "NVIDIA A100")
    assert compare({"hr@5": 0.25}, {"hr@5": 0.25 + 2**-40}) == Agreement(2**-40, False, False, "NVIDIA A100")


def test_agreement__allows_rounding_on_the_same_gpu():
    found = compare_with_record(Record(valid={"mrr": 0.5}, test=None), {"valid": {"mrr": 0.51}}, "NVIDIA A100", True)
    assert found.is_same and found.is_rounded


@pytest.mark.parametrize(("difference", "same"), [(1e-9, True), (0.0199, True), (0.0202, False)])
def test_agreement__allows_two_users_on_another_device(difference, same):
    found = compare({"hr@5": 0.25, "mrr": 0.5}, {"hr@5": 0.25 + difference, "mrr": 0.5}, "a CPU (2 threads)")
    assert found.is_same is same and found.is_rounded and found.device == "NVIDIA A100"
    assert found.largest_difference == pytest.approx(difference)


def test_agreement__is_relative_for_large_metrics():
    assert compare({"averagepopularity@5": 900.0}, {"averagepopularity@5": 910.0}, "cpu").is_same
    assert not compare({"averagepopularity@5": 900.0}, {"averagepopularity@5": 930.0}, "cpu").is_same


def test_agreement__is_none_without_common_metrics():
    assert compare({"hr@5": 0.25}, {"mrr": 0.1}) is None
    assert compare(None, {"mrr": 0.1}) is None
