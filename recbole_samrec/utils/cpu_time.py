"""CPU time of a process."""

from __future__ import annotations

import os
import time


def read_cpu_seconds() -> float:
    """Return the user and system CPU time of this process, and of its children that have ended, in seconds."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
