"""Home directory for users who have none, as in a container."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def set_variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the block, and remove it afterwards."""
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextlib.contextmanager
def use_own_home() -> Iterator[None]:
    """Provide a home directory if there is none; Ray and older releases of matplotlib require one when imported.

    No other user can write to the folder, because Python would also import packages from it.
    """
    with contextlib.ExitStack() as stack:
        try:
            Path.home()
        except RuntimeError:
            home = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="recbole-samrec-", ignore_cleanup_errors=True)
            )
            stack.enter_context(set_variable("HOME", home))
        yield
