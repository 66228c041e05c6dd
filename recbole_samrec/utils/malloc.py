"""Memory allocation of large tensors, which can take more time than the arithmetic of large batches."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Environment variable that torch reads once, before its first tensor."""
KERNELS = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""File that states which programs get large pages: all, those that request them, or none."""

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Names of settings in glibc's ``malloc.h``."""
LARGEST = 2**31 - 1
MUCH_FREED = 2**30
"""Bytes of freed memory that a process may keep; releasing and reallocating less costs more than it saves."""


class _Heap(ctypes.Structure):
    """glibc's ``struct mallinfo2``; ``fordblks`` are the bytes that were freed and not released to the system."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def _find_c_function(name: str) -> Any:
    """Find a function of the C library; None if it does not exist, or on Windows."""
    return None if sys.platform == "win32" else getattr(ctypes.CDLL(None), name, None)


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones.

    By default glibc maps new memory for each large tensor, and the system clears its pages: half of the time of a step
    on batches of 2048 of RecBole's samples. Kept memory makes the process up to a sixth larger.

    Returns:
        True if the C library has such a setting; otherwise nothing changes.
    """
    mallopt = _find_c_function("mallopt")
    return bool(mallopt and mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, LARGEST))


def release_freed_memory(much: int = MUCH_FREED) -> bool:
    """Release freed memory between tensors in use to the system, if it is large.

    The C library releases only memory at the end of its heap. If the shapes of batches differ, unused pieces remain in
    between, more of them with every epoch: S3Rec's pre-training on Amazon_Beauty needs 0.7 GB and grew to 3.7 GB.

    Args:
        much: Bytes of freed memory up to which it is kept.

    Returns:
        True if memory was released; always False with a C library other than glibc 2.33 or later.
    """
    heap, trim = _find_c_function("mallinfo2"), _find_c_function("malloc_trim")
    if heap is None or trim is None:
        return False
    heap.restype = _Heap
    return heap().fordblks > much and bool(trim(0))


def request_large_pages() -> None:
    """Let torch request pages of 2 MB instead of 4 kB from Linux for the memory of large tensors.

    A large tensor gets new memory each time, whose pages the system clears one by one on first use. With 134 MB of
    negatives, clearing took two fifths of gSASRec's step; with large pages it takes an eighth. A value set by the user
    is kept. The variable must be set before torch's first tensor; it has no effect on a system without such pages.
    """
    if KERNELS.exists():
        os.environ.setdefault(LARGE_PAGES, "1")
