"""The process with a device, pretended or real, in which the checks of this folder run."""

import os

import pytest
import torch

from tests.helpers import pretended_device
from tests.helpers.device_process import PRETENDED, REAL, DeviceProcess, count_devices


@pytest.fixture(scope="session")
def pretended():
    """A process with a pretended device."""
    if not pretended_device.is_possible():
        pytest.skip(pretended_device.MISSING)
    process = DeviceProcess(PRETENDED)
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


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def device(request):
    """Each kind of device in turn."""
    return request.getfixturevalue(request.param)
