"""Runs from a device are evaluated, measured and resumed there and elsewhere."""

import pytest

from tests.helpers import device_checks as checks

SAMREC, GRU = checks.MODELS["SAMRec packed"], checks.MODELS["GRU4Rec packed"]


@pytest.mark.parametrize("model", ["SAMRec packed", "BPR"])
def test_runs__move_between_device_and_cpu(device, tmp_path, model):
    device.call(checks.check_moves, str(tmp_path), checks.MODELS[model])


def test_runs__move_from_two_devices_to_one(simulated, tmp_path):
    simulated.call(checks.check_fewer_devices, str(tmp_path), SAMREC)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SAMREC, GRU], ids=["SAMRec", "GRU4Rec"])
def test_sharpness__is_tracked_on_a_device(device, tmp_path, settings):
    device.call(checks.check_tracked_sharpness, str(tmp_path), settings)


@pytest.mark.slow
def test_sharpness__is_measured_on_a_device(device, tmp_path):
    device.call(checks.check_sharpness_report, str(tmp_path), SAMREC)
