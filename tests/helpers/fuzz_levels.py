"""Levels of fuzzing: the number of examples of a test, and the outcomes that it accepts."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from recbole_samrec.utils.errors import UserError
from tests.helpers.paths import ROOT

LONGEST = 20
"""Seconds of computing after which an example counts as hanging."""
_SHARED: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
_REPEATED = _SHARED | {"derandomize": True, "database": None}

settings.register_profile("quick", **_REPEATED)
settings.register_profile("thorough", **_REPEATED)
settings.register_profile("fuzz", **_SHARED, database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples"))


class Hangs(BaseException):
    """An example takes too long; derived from BaseException, so that nothing treats it as an error of RecBole."""


class Refused(NamedTuple):
    """The outcome of input that cannot be used: a message, as with exit status 2."""

    message: str


def levels(quick: int, thorough: int, share: float = 1.0) -> pytest.MarkDecorator:
    """Parametrize a test by ``level``: the profile and the number of its examples.

    Args:
        quick: Number of examples of ``make test``; with 0 the test is slow altogether.
        thorough: Number of examples of ``make test-all``.
        share: Share of the examples of ``make fuzz``, less than 1 for slow ones.
    """
    if asked := os.environ.get("FUZZ_EXAMPLES"):
        tried = [("fuzz", max(1, int(int(asked) * share)))]
        return pytest.mark.parametrize("level", tried, ids=["fuzz"])
    slow = pytest.param(("thorough", thorough), marks=pytest.mark.slow, id="thorough")
    fast = [pytest.param(("quick", quick), id="quick")] if quick else []
    return pytest.mark.parametrize("level", [*fast, slow])


def try_examples(level: tuple[str, int], strategy: st.SearchStrategy, check: Callable[[Any], None]) -> None:
    """Call a check with generated examples, each in an empty working folder and for a limited time."""
    profile, number = level

    @settings(settings.get_profile(profile), max_examples=number)
    @given(strategy)
    def try_one(example: Any) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), limit_time(LONGEST):
            check(example)

    try_one.hypothesis.inner_test._hypothesis_internal_add_digest = (
        check.__qualname__.encode()
    )  # its place in the database
    try_one()


def outcome(function: Callable[[], Any]) -> Any:
    """Return the result of a function, or its refusal; any other error is a defect."""
    try:
        return function()
    except UserError as error:
        assert str(error).strip(), "an error without a message"
        return Refused(str(error))


@contextlib.contextmanager
def limit_time(seconds: int) -> Iterator[None]:
    """Raise :class:`Hangs` in this thread after some seconds of computation."""

    def stop(number: int, frame: Any) -> None:
        raise Hangs(f"still busy after {seconds} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def write_bytes(files: dict[str, bytes], folder: Path) -> None:
    """Write files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
