"""Callbacks that write the files of a run: settings, tokens and order of the data, ranks of test items, and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.data.event_loader import EventLoader
from recbole_samrec.data.row_order import ROWS
from recbole_samrec.data.temporal_held import CANDIDATES, find_held, save_served
from recbole_samrec.data.vocabulary import TOKENS, Vocabulary
from recbole_samrec.evaluator.test_ranks import RANKS, RankRecorder
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from recbole_samrec.quick_start.context import RunContext
from recbole_samrec.quick_start.record import RESULT, RunRecord, extract_settings
from recbole_samrec.quick_start.run_folder import CONFIG
from recbole_samrec.trainer.callbacks import Callback, RankedBatch
from recbole_samrec.utils.files import write_atomically


class RecordWriter(Callback):
    """Writes the settings of a run before its first epoch, and its record at its end.

    Args:
        context: What the run is made of.
        resumed: True for a resumed run, whose settings are on the disk already.
    """

    def __init__(self, context: RunContext, resumed: bool) -> None:
        self._context, self._resumed = context, resumed

    def on_train_start(self, trainer: Any) -> None:
        """Write ``config.yaml``."""
        if self._context.is_first_process and not self._resumed:
            settings = extract_settings(self._context.config)
            write_atomically(self._context.folder / CONFIG, yaml.safe_dump(settings, sort_keys=True))

    def on_run_end(self, trainer: Any, record: RunRecord) -> None:
        """Write ``result.json``."""
        if self._context.is_first_process:
            record.write(self._context.folder / RESULT)


class DataWriter(Callback):
    """Writes the tokens of a run's internal ids, and the order of its rows, before its first epoch.

    Args:
        context: What the run is made of.
        resumed: True for a resumed run; one that was made before tokens were stored has none to copy.
    """

    def __init__(self, context: RunContext, resumed: bool) -> None:
        self._context, self._resumed = context, resumed

    def on_train_start(self, trainer: Any) -> None:
        """Write ``tokens.parquet``, ``rows.npz`` and, of a global temporal split, ``candidates.npz``."""
        context, known = self._context, self._context.config["known_data"]
        if context.rows is None or (context.folder / TOKENS).exists():
            return
        if self._resumed and not (known and (Path(known) / TOKENS).exists()):
            return
        read = getattr(trainer, "read_fields", context.dataset.field2id_token)  # boosted trees read every field
        context.rows.save(context.folder / ROWS)
        if (held := find_held(context.test_data._dataset)) is not None:
            save_served(context.folder / CANDIDATES, held.served)
        Vocabulary.collect(context.dataset, read).save(context.folder / TOKENS)


class RankWriter(Callback):
    """Writes the rank of each test item, if the test set is ranked in full.

    Args:
        context: What the run is made of.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._recorder: RankRecorder | None = None

    def on_test_start(self, trainer: Any) -> None:
        """Start with no ranks."""
        if self._context.config["eval_args"]["mode"]["test"] == "full":
            self._recorder = RankRecorder(max(self._context.config["topk"]))

    def on_test_batch_end(self, trainer: Any, batch: RankedBatch) -> None:
        """Store the ranks of a batch."""
        if self._recorder is not None:
            self._recorder.record(batch.users, batch.scores, batch.masked_scores, batch.rows, batch.items)

    def on_test_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Write the ranks of all batches, and of all processes."""
        context = self._context
        if self._recorder is None:
            return
        if not context.config["single_spec"]:
            self._recorder.gather()
        if context.is_first_process:
            held_out = [context.valid_data._dataset, context.test_data._dataset]
            one_by_one = context.test_data.is_sequential or isinstance(context.test_data, EventLoader)
            prediction = ONE_BY_ONE if one_by_one else AT_ONCE
            ranks = self._recorder.ranks(context.dataset, context.events, held_out, prediction)
            ranks.save(context.folder / RANKS)
