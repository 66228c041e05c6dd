"""Software and hardware of a run: versions, revision of the code, device and memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from recbole_samrec.utils.paths import CHECKOUT
from recbole_samrec.version import __version__


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that a result depends on, without suffixes of builds."""
    names = ("recbole-samrec", "recbole", "torch", "numpy", "pandas", "scipy", "ray")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(package: str) -> str | None:
    if package == "recbole-samrec":
        return __version__
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


CODE = ("recbole_samrec", "properties", "benchmarks")
"""Folders of a checkout whose files decide a result."""
DIRTY = "-dirty"
"""Suffix of a revision whose code was changed."""


def revision() -> str | None:
    """Return the git revision of the checkout, with ``-dirty`` if code was changed; None outside a checkout."""
    here = CHECKOUT
    if not (here / ".git").exists():
        return None
    try:
        name = _git(here, "rev-parse", "--short=12", "HEAD")
        return f"{name}{DIRTY}" if _git(here, "status", "--porcelain", "--", *CODE) else name
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()} ({threads} {'threads' if threads > 1 else 'thread'})"


def cpu_name() -> str:
    """Return the name of the CPU, or its architecture where it has no name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "cpu"


class DeviceMemory(NamedTuple):
    """Memory of a GPU in megabytes.

    Args:
        peak_mb: The most that PyTorch has reserved in this process; the CUDA context is not included.
        total_mb: Memory of the GPU.
    """

    peak_mb: float
    total_mb: float


def device_memory(device: torch.device) -> DeviceMemory | None:
    """Return the peak and the total memory of a GPU; None of a CPU."""
    if device.type != "cuda":
        return None
    total = torch.cuda.get_device_properties(device).total_memory
    return DeviceMemory(torch.cuda.max_memory_reserved(device) / 2**20, total / 2**20)


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in megabytes: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        import psutil  # training does not need it elsewhere

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
