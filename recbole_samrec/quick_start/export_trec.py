"""The test rankings of a finished run as TREC files, for evaluators such as ranx and trec_eval."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from recbole_samrec.evaluator.trec import find_best, format_qrels, format_run, name_queries, separate_scores
from recbole_samrec.quick_start.build_trainer import build_trainer
from recbole_samrec.quick_start.context import RunContext, prepare_run
from recbole_samrec.quick_start.environment import versions
from recbole_samrec.quick_start.export_folder import require_folder, stage_files
from recbole_samrec.quick_start.finished_run import load_finished_run
from recbole_samrec.quick_start.record import extract_settings, make_label, rename_metrics
from recbole_samrec.trainer.callbacks import Callback, RankedBatch
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.errors import ConfigError, DataError

FILES = ("test.run", "test.qrels", "export.json")
"""Files of an export; the last one is written last."""


@dataclass(frozen=True)
class TrecExport:
    """TREC files of a run.

    Args:
        folder: Their folder.
        queries: Number of queries.
        k: Largest number of items of a query.
        metrics: Our metrics of the same rankings.
    """

    folder: Path
    queries: int
    k: int
    metrics: dict[str, float]

    def __repr__(self) -> str:
        """Return the numbers of users and events, and the folder."""
        return f"rankings of up to {self.k} items for {self.queries:,} queries in {self.folder}"


def export_trec(
    run: str | Path,
    out: str | Path,
    *,
    k: int | None = None,
    mask_history: bool | None = None,
    overwrite: bool = False,
    model: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> TrecExport:
    """Export the test rankings of a finished run, as the command ``export --format=trec`` does.

    Args:
        run: Folder of a run, or a checkpoint file.
        out: Output folder, which is created if it does not exist.
        k: Number of items of each ranking; None for the largest of the run's ``topk``.
        mask_history: Whether to mask the items of the user's history; None to follow the run's settings.
        overwrite: Replace an earlier export in that folder.
        model: ``file.py:Name`` of your own model; None for other models.
        console: Console for notes; None for standard output.
        settings: Settings that override those of the run.

    Returns:
        Numbers of the export, and our metrics of the same rankings.

    Raises:
        UserError: The run or the folder cannot be used, or the test set is not ranked in full.

    Example::

        from recbole_samrec import export_trec, run

        result = run("SAMRec", "ml-100k", epochs=5)
        export_trec(result.folder, "trec", k=20).metrics
    """
    folder = Path(out)
    require_folder(folder, FILES, overwrite)
    config, weights = load_finished_run(run, model, settings, partial(print_note, console or Console()))
    if mask_history is not None:
        config["mask_history"] = mask_history
    if (mode := config["eval_args"]["mode"]["test"]) != "full":
        raise ConfigError(f"export: the run ranks sampled items ({mode}), and TREC files have rankings of all items")
    config["known_data"] = str(weights.parent)
    context = prepare_run(config, log=False)
    n_items = context.dataset.item_num - 1
    k = max(config["topk"]) if k is None else k
    if not 1 <= k <= n_items:
        raise ConfigError(f"--k={k}: give a number from 1 to {n_items}, the number of items")
    rankings = _Rankings(bool(config["mask_history"]), k, max(config["topk"]))
    metrics = _rank(context, weights, rankings)
    with stage_files(folder, FILES) as stage:
        _write(rankings, context, metrics, stage)
    return TrecExport(folder, len(rankings.users), k, metrics)


class _Rankings(Callback):
    """Collects the best items of each test sample.

    Args:
        masked: Whether the user's history is masked.
        k: Number of items.
        listed: Length of the lists that the metrics look at.
    """

    def __init__(self, masked: bool, k: int, listed: int) -> None:
        self.masked, self.k, self._listed = masked, k, listed
        self.users: list[int] = []
        self.best: list[tuple[np.ndarray, np.ndarray]] = []
        self.targets: list[tuple[np.ndarray, np.ndarray]] = []

    def on_test_batch_end(self, trainer: Any, batch: RankedBatch) -> None:
        """Store the best items of a batch, and its targets."""
        scores = batch.masked_scores if self.masked else batch.scores
        items, values = find_best(scores, self.k, self._listed)
        self.best.append((items.cpu().numpy(), separate_scores(values.float().cpu().numpy())))
        self.targets.append((len(self.users) + batch.rows.cpu().numpy(), batch.items.cpu().numpy()))
        self.users += batch.users.tolist()


def _rank(context: RunContext, weights: Path, rankings: _Rankings) -> dict[str, float]:
    """Score the test set with the weights of a checkpoint; return the metrics."""
    if not context.test_data:
        raise DataError("export: the split of the run leaves no test set")
    trainer = build_trainer(context)
    if not isinstance(trainer, SAMTrainer):
        raise ConfigError(f"export: {context.config['model']} scores feature vectors and ranks no items")
    trainer.saved_model_file = str(weights)
    trainer.callbacks.add(rankings)
    return rename_metrics(trainer.test(context.test_data)) or {}


def _write(rankings: _Rankings, context: RunContext, metrics: dict[str, float], folder: Path) -> None:
    config, dataset = context.config, context.dataset
    users, items = (dataset.field2id_token[field] for field in (dataset.uid_field, dataset.iid_field))
    queries, tag = name_queries(np.array(rankings.users), users), make_label(config).replace(" ", "-")
    best, scores = (np.concatenate(column) for column in zip(*rankings.best, strict=True))
    samples, targets = (np.concatenate(column) for column in zip(*rankings.targets, strict=True))
    _write_lines(folder / FILES[0], format_run(queries, best, scores, items, tag))
    _write_lines(folder / FILES[1], format_qrels(queries, samples, targets, items))
    about = {
        "model": config["model"],
        "dataset": config["dataset"],
        "queries": len(queries),
        "k": rankings.k,
        "history_masked": rankings.masked,
        "metrics": metrics,
        "versions": versions(),
        "settings": extract_settings(config),
    }
    (folder / FILES[2]).write_text(json.dumps(about, indent=2, default=str) + "\n", encoding="utf-8")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
