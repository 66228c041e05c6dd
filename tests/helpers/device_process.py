"""A process with a device, real or simulated, in which the checks of ``device_checks.py`` run.

The tests' own process computes on the CPU: many tests compare bits, which a GPU rounds in another order.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
REAL, SIMULATED = "cuda", "simulated"
_device: Any = None


class DeviceProcess:
    """A process with a device, which is started at the first call.

    Args:
        kind: ``cuda`` or ``simulated``, or ``cpu`` to try a check out.
        visible: ``CUDA_VISIBLE_DEVICES`` of the process; ``all`` for all devices.
    """

    def __init__(self, kind, visible="all"):
        self.kind, self.visible = kind, visible
        self._pool = self._start()

    def _start(self):
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, _begin, (self.kind, self.visible))

    def call(self, function, *arguments):
        """Call a function with the device and the arguments, and return its result or raise its error."""
        return self.call_within(None, function, *arguments)

    def call_within(self, seconds, function, *arguments):
        """Call a function as :meth:`call` does; raise ``TimeoutError`` if it takes longer."""
        return self._pool.submit(_call, function, *arguments).result(seconds)

    def restart(self):
        """End the process, whatever its state, and start another one."""
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self.close()
        self._pool = self._start()

    def close(self):
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


def _begin(kind, visible):
    """Prepare the process."""
    global _device
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for products that repeat
    os.environ.pop(VISIBLE, None)
    if kind != REAL or visible != "all":
        os.environ[VISIBLE] = visible if kind == REAL else ""
    torch.set_num_threads(1)
    import recbole_samrec  # noqa: F401  has RecBole patched when it is imported
    import recbole  # noqa: F401  isort: skip
    from tests.helpers.device_checks import Device

    if kind == SIMULATED:
        from tests.helpers import simulated_device

        device = simulated_device.register()
        device.__enter__()  # for as long as the process lives
        _device = Device(simulated_device.NAME, device)
    else:
        _device = Device(kind)


def _call(function, *arguments):
    import sys

    sys.argv = ["test"]
    return function(_device, *arguments)


def count_devices(device):
    """Return the number of devices that torch can use in a :class:`DeviceProcess`."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
