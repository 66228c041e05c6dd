"""One run from Python: train and test a model, or score a finished run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.evaluator.list_metrics import LIST_METRICS
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.agreement import Agreement, compare_with_record
from recbole_samrec.quick_start.environment import device_name
from recbole_samrec.quick_start.finished_run import load_finished_run
from recbole_samrec.quick_start.planned_run import plan_run
from recbole_samrec.quick_start.processes import Processes
from recbole_samrec.quick_start.record import RESULT, RunRecord, make_label
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.errors import ConfigError


@dataclass(frozen=True, repr=False)
class RunResult:
    """A finished run.

    Args:
        record: Content of ``result.json``: settings, metrics, versions, times.
        folder: Folder of the run.
    """

    record: RunRecord
    folder: Path

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics of the best epoch: a line for ``valid`` and ``test``, a column for each metric."""
        parts = {part: self.record[part] for part in ("valid", "test") if self.record[part]}
        return pd.DataFrame.from_dict(parts, orient="index")

    def __repr__(self) -> str:
        """Return name, folder and metrics."""
        title = f"{self.record['label']} on {self.record['dataset']}, seed {self.record['seed']}, in {self.folder}"
        return f"{title}\n{self.metrics.T.round(4)}"


def run(
    model: str | None = None,
    dataset: Any = None,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    items: Any = None,
    callbacks: Iterable[Callback] = (),
    config_files: Sequence[str | Path] = (),
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    processes: Processes | None = None,
    console: Console | None = None,
    **settings: Any,
) -> RunResult:
    """Train and test a model, as the command ``run`` does.

    Args:
        model: Name of a model, or ``file.py:Name`` for your own model; None for the model of ``config_files`` or of the
            resumed run, else SAMRec.
        dataset: Name of a data set; or a pandas or polars frame, or the path of a Parquet file, with one row per event;
            None for the data set of ``config_files`` or of the resumed run, else ml-100k.
        user: Column of the frame or file with user ids; None for ``user_id``.
        item: Column with item ids; None for ``item_id``.
        time: Column with times, as numbers or dates; None for ``timestamp``.
        items: Frame or Parquet file of the items with their attributes, one row for each; None for none.
        callbacks: Callbacks of the run.
        config_files: Yaml files of settings. Later files override earlier ones, and ``settings`` override all files.
        run_dir: Folder of the run; None for a new one under ``runs/``.
        resume: Folder of a run or a checkpoint to resume from; ``auto`` for the newest run with the same settings.
        processes: Processes to train on; None for the current process.
        console: Console for progress and notes; None for standard output, ``Console(quiet=True)`` for no output.
        settings: Settings of RecBole, of the model and of this package.

    Returns:
        The record of the run and its folder.

    Raises:
        UserError: A setting, the data, the folder or the checkpoint cannot be used, or training failed.

    Example::

        import pandas as pd
        from recbole_samrec import run

        run("SAMRec", "ml-100k", sam_rho=0.1, epochs=5).metrics

        frame = pd.read_parquet("purchases.parquet")
        run("SAMRec", frame, user="customer", item="sku", time="bought", epochs=5).metrics
    """
    console = console or Console()
    named = {key: value for key, value in (("model", model), ("dataset", dataset)) if value is not None}
    note = partial(print_note, console)
    base = read_yaml_files([str(file) for file in config_files], note)
    roles = Roles(user, item, time)
    planned = plan_run(
        {**settings, **named},
        base,
        run_dir=run_dir,
        resume=resume,
        roles=roles,
        items=items,
        note=note,
    )
    return RunResult(planned.train(callbacks, processes, console), planned.folder)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Metrics of a finished run that was evaluated again.

    Args:
        title: Name of the model and the data set.
        weights: The evaluated checkpoint.
        scores: For each masking (False: as RecBole does; True: history masked), the metrics of ``valid`` and ``test``;
            None for a missing part.
        agreement: Agreement with the metrics in the run's ``result.json``; None if it has none of them.
    """

    title: str
    weights: Path
    scores: Mapping[bool, Mapping[str, Mapping[str, float] | None]]
    agreement: Agreement | None

    @property
    def as_recorded(self) -> bool | None:
        """True if the metrics equal the recorded ones, up to rounding if allowed; None without recorded metrics."""
        return None if self.agreement is None else self.agreement.is_same

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics, a column each, in lines of ``part`` (valid, test) and ``history`` (unmasked, masked)."""
        scores = {
            (part, "masked" if mask else "unmasked"): of_part[part]
            for part in ("valid", "test")
            for mask, of_part in self.scores.items()
            if of_part[part]
        }
        index = pd.MultiIndex.from_tuples(scores, names=["part", "history"])
        return pd.DataFrame(list(scores.values()), index=index)

    def __repr__(self) -> str:
        """Return name, checkpoint and metrics."""
        return f"{self.title}, {self.weights}\n{self.metrics.T.round(4)}"


def evaluate(
    run: str | Path,
    mask_history: bool = False,
    *,
    model: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Evaluation:
    """Score a finished run again, as the command ``evaluate`` does.

    Args:
        run: Folder of a run, or a checkpoint file.
        mask_history: Also rank with each user's history masked.
        model: ``file.py:Name`` of your own model; None for other models.
        console: Console for notes; None for standard output.
        settings: Settings that override those of the run.

    Returns:
        Metrics of the validation and the test set.

    Raises:
        UserError: There is no such run, it is damaged, or a setting or the data cannot be used.

    Example::

        from recbole_samrec import evaluate, run

        result = run("SAMRec", "ml-100k", epochs=5)
        evaluate(result.folder, mask_history=True).metrics
    """
    console = console or Console()
    config, weights = load_finished_run(run, model, settings, partial(print_note, console))
    if mask_history:
        _require_full_ranking(config)
    masks = (False, True) if mask_history else (bool(config["mask_history"]),)
    scores = train.evaluate_weights(config, weights, masks)
    record = weights.parent / RESULT
    agreement, stored = None, _read_record(record, partial(print_note, console))
    if stored is not None:
        if config["recbole_metrics"] and "recbole_metrics" not in stored["config"]:
            if named := [name for name in LIST_METRICS if name in map(str.lower, config["metrics"])]:
                print_note(
                    console,
                    f"{record}: it was written by an earlier version, with RecBole's values of {', '.join(named)}; "
                    "they are computed here, too; --recbole_metrics=False corrects them",
                )
        device = config["device"]
        agreement = compare_with_record(stored, scores[masks[0]], device_name(device), device.type == "cuda")
    return Evaluation(f"{make_label(config)} on {config['dataset']}", weights, scores, agreement)


def _require_full_ranking(config: Any) -> None:
    modes = config["eval_args"]["mode"]
    if set(modes.values()) != {"full"}:
        raise ConfigError(
            f"mask_history cannot be used with mode={modes['test']} in eval_args: history is masked in full rankings "
            "only; evaluate without it, or train with mode: full"
        )


def _read_record(file: Path, note: Callable[[str], None]) -> RunRecord | None:
    """Read the record of a run; None if there is none, or a damaged one."""
    try:
        return RunRecord.read(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        note(f"{file}: it is damaged ({error}), so the metrics are not compared with it")
        return None
