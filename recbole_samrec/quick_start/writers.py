"""Callbacks that write the files of a run: ``ranks.npz`` and its successors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_samrec.evaluator.test_ranks import RANKS, Events, RankRecorder
from recbole_samrec.trainer.callbacks import Callback, RankedBatch


class RankWriter(Callback):
    """Writes the place of each test item in its full ranking.

    Args:
        dataset: RecBole's data set.
        events: All events of the data set.
        held_out: RecBole's data sets of validation and test.
        folder: Folder of the run.
    """

    def __init__(self, dataset: Any, events: Events, held_out: list[Any], folder: Path) -> None:
        self._dataset, self._events, self._held_out, self._folder = dataset, events, held_out, folder
        self._recorder: RankRecorder | None = None

    def on_test_start(self, trainer: Any) -> None:
        """Start with no ranks."""
        self._recorder = RankRecorder(max(trainer.config["topk"]))

    def on_test_batch_end(self, trainer: Any, batch: RankedBatch) -> None:
        """Store the ranks of a batch."""
        self._recorder.record(batch.users, batch.scores, batch.masked_scores, batch.rows, batch.items)

    def on_test_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Write the ranks of all batches, and of all processes."""
        config, recorder = trainer.config, self._recorder
        self._recorder = None
        if not config["single_spec"]:
            recorder.gather()
        if config["single_spec"] or config["local_rank"] == 0:
            recorder.ranks(self._dataset, self._events, self._held_out).save(self._folder / RANKS)
