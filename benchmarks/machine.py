"""Description of the machine."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from recbole_samrec.quick_start.environment import cpu_name

_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(threads: int) -> str:
    """Describe CPU, cores, threads, memory and system in one line."""
    try:
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB of memory"
    except (ValueError, AttributeError):
        memory = "memory unknown"
    return f"{cpu_name()}, {os.cpu_count()} cores, {threads} threads used, {memory}, {platform.system()}"


def explain_no_bf16() -> str | None:
    """Explain why bf16 is not measured on this CPU; None if the CPU has bf16 matrix products."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return None if {"avx512_bf16", "amx_bf16"} & set(flags) else "the CPU has neither avx512_bf16 nor amx_bf16"


def explain_no_compiler() -> str | None:
    """Explain why torch.compile is not measured here; None if there is a C++ compiler."""
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    return None if found else "there is no C++ compiler"
