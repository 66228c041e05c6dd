"""Events of jobs and trials in the process that started them, and the rule for lost processes."""

from __future__ import annotations

from typing import Any

RETRIES = 1
"""Number of further attempts, each from the last checkpoint, at a trial whose process died."""
LOST = "worker process died (probably out of memory)"


class TrialWatcher:
    """Receives the events of trials, each with the trial's name; the base class ignores them."""

    def on_start(self, name: str, drawn: dict[str, Any]) -> None:
        """Receive the start of a trial, or of a retry, with the settings that were drawn."""

    def on_report(self, name: str, result: dict[str, Any]) -> None:
        """Receive a report of a trial."""

    def on_retry(self, name: str, reason: str) -> None:
        """Receive the end of an attempt that is followed by another one."""

    def on_complete(self, name: str) -> None:
        """Receive the end of a trial, by itself or by the scheduler."""

    def on_fail(self, name: str, reason: str) -> None:
        """Receive the end of the last attempt at a trial."""
