"""The process with a device, simulated or real, in which the checks of this folder run."""

import os

import pytest
import torch

from tests.helpers import simulated_device
from tests.helpers.device_process import REAL, SIMULATED, DeviceProcess, count_devices


@pytest.fixture(scope="session")
def simulated():
    """A process with a simulated device."""
    if not simulated_device.is_possible():
        pytest.skip(simulated_device.MISSING)
    process = DeviceProcess(SIMULATED)
    yield process
    process.close()


@pytest.fixture(scope="session")
def real():
    """A process that sees the GPUs of this machine."""
    if torch.version.cuda is None and torch.version.hip is None:
        pytest.skip(f"torch {torch.__version__} is built for the CPU only")
    process = DeviceProcess(REAL, os.environ["RECBOLE_SAMREC_TEST_GPUS"])
    try:
        if not process.call(count_devices):
            pytest.skip("no GPU is visible")
        yield process
    finally:
        process.close()


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.gpu)])
def device(request):
    """Each kind of device in turn."""
    return request.getfixturevalue(request.param)
