"""How large tensors get their memory from the system, which can cost more than the arithmetic of large batches."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Environment variable that torch reads once, before its first tensor."""
KERNELS = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""Says which programs get large pages: all, those that ask, or none."""

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Names of settings in glibc's ``malloc.h``."""
LARGEST = 2**31 - 1
MUCH_FREED = 2**30
"""Bytes of freed memory that a process may keep; little that is given back and taken again costs more than it helps."""


class _Heap(ctypes.Structure):
    """glibc's ``struct mallinfo2``; ``fordblks`` are the bytes that were freed and not given back."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def _find_c_function(name: str) -> Any:
    """A function of the C library, or None if there is none of this name; on Windows the library cannot be asked."""
    return None if sys.platform == "win32" else getattr(ctypes.CDLL(None), name, None)


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones.

    By default glibc maps each large tensor anew and the system clears its pages at every use: half of the time of a
    step on RecBole's rows at 2048 a batch. Kept memory makes the process up to a sixth larger.

    Returns:
        Whether the C library knows such a setting; others are left as they are.
    """
    mallopt = _find_c_function("mallopt")
    return bool(mallopt and mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, LARGEST))


def release_freed_memory(much: int = MUCH_FREED) -> bool:
    """Give the system back what was freed between tensors that are in use, if that is much.

    The C library gives back only what lies at the end of its memory. Where the shapes of batches differ, pieces are
    left in between, more of them with every epoch: S3Rec's pre-training on Amazon_Beauty holds 0.7 GB and took 3.7.

    Args:
        much: Bytes of freed memory up to which it is kept.

    Returns:
        Whether memory was given back. A C library other than glibc 2.33 or later is left alone.
    """
    heap, trim = _find_c_function("mallinfo2"), _find_c_function("malloc_trim")
    if heap is None or trim is None:
        return False
    heap.restype = _Heap
    return heap().fordblks > much and bool(trim(0))


def request_large_pages() -> None:
    """Let torch ask Linux for pages of 2 MB, in place of 4 kB, for the memory of large tensors.

    A large tensor gets fresh memory each time, whose pages the system clears one by one at their first use. Where
    negatives fill 134 MB that was two fifths of gSASRec's step, and is an eighth with large pages. The user's own value
    of the variable stays. It must be set before torch's first tensor, and a system without such pages is left alone.
    """
    if KERNELS.exists():
        os.environ.setdefault(LARGE_PAGES, "1")
