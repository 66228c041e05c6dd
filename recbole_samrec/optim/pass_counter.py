"""Counts gradient passes, the unit in which trainings with and without SAM are compared."""

from __future__ import annotations


class PassCounter:
    """Counts the backward passes over training sets: an epoch without SAM is 1, an epoch with SAM is 2.

    A batch counts by its share of the samples of its epoch, so that a smaller last batch counts less, and once for each
    gradient that is computed of it: steps of which SAM takes no second gradient, and steps that are skipped, count as
    what they are.

    Attributes:
        total: Passes over the epochs that have ended; None if those of an earlier part of the training are unknown.
    """

    def __init__(self) -> None:
        self.total: float | None = 0.0
        self._size = self._samples = self._computed = 0

    def begin_epoch(self) -> None:
        """Start with no batch, and discard the passes of an epoch that did not end."""
        self._samples = self._computed = 0

    def begin_batch(self, size: int) -> None:
        """Count the first gradient of a batch of some samples."""
        self._size = size
        self._samples += size
        self._computed += size

    def repeat_batch(self) -> None:
        """Count another gradient of the same batch."""
        self._computed += self._size

    def end_epoch(self) -> None:
        """Add the passes of an epoch that has ended; a model whose epoch has several parts ends each of them."""
        if self.total is not None and self._samples:
            self.total += self._computed / self._samples
        self.begin_epoch()
