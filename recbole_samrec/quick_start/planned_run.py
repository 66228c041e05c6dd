"""A run before it starts: checked settings, available data, and a new folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.own_data import adopt_data, is_table
from recbole_samrec.data.convert.frame import USUAL, Roles
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import run_folder, train
from recbole_samrec.quick_start.finished_run import load_settings
from recbole_samrec.quick_start.processes import Processes, train_in_processes
from recbole_samrec.quick_start.record import RunRecord, extract_settings, make_label
from recbole_samrec.quick_start.training_progress import make_progress
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.errors import ConfigError, UserError
from recbole_samrec.utils.locks import lock_folder
from recbole_samrec.utils.naming import make_unique_name
from recbole_samrec.utils.settings import OF_ONE_RUN, serialize_config

MAY_CHANGE = OF_ONE_RUN | frozenset(
    "epochs stopping_step quiet_terminal nproc max_bad_steps eval_memory track_sharpness".split()
)
"""Settings that may change when a run is resumed."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that can start.

    Args:
        config: RecBole's configuration, with everything of this run.
        folder: Folder of the run.
        resume: Checkpoint to resume from; None for a new run.
        sha256: Hash of the interactions.
        source: ``file.py:Name`` of your own model; None for other models.
    """

    config: Any
    folder: Path
    resume: Path | None
    sha256: str
    source: str | None = None

    @property
    def has_checkpoint(self) -> bool:
        """True if the run can be resumed."""
        return run_folder.has_checkpoint(self.folder)

    def train(
        self,
        callbacks: Iterable[Callback] = (),
        processes: Processes | None = None,
        console: Console | None = None,
    ) -> RunRecord:
        """Train and test the model, and write the run's folder.

        Args:
            callbacks: Callbacks of the run; of several processes, only the first one calls them.
            processes: Processes to train on; None for this one.
            console: Where progress is shown; None for nowhere.

        Returns:
            The record of the run, as in ``result.json``.

        Raises:
            UserError: The data or the settings cannot be used, or training failed.
        """
        console = console or Console(quiet=True)
        with ExitStack() as stack:
            stack.enter_context(lock_folder(self.folder))  # if it fails, the folder belongs to another process
            try:
                return self._train(tuple(callbacks), processes, console)
            except UserError:
                stack.close()
                run_folder.remove_unstarted(self.folder)
                raise

    def _train(self, callbacks: tuple[Callback, ...], processes: Processes | None, console: Console) -> RunRecord:
        if processes is not None and processes.several:
            settings = serialize_config(self.config)
            if "gpu_id" not in self.config.external_config_dict:
                del settings["gpu_id"]
            work = (settings, self.resume, self.sha256, callbacks, processes, self.source)
            return train_in_processes(*work, quiet=console.quiet)
        progress = make_progress(console, f"{make_label(self.config)} on {self.config['dataset']}")
        note = partial(print_note, console)
        return train.train(self.config, self.resume, [progress, *callbacks], self.sha256, note=note)


def plan_run(
    given: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    roles: Roles = USUAL,
    items: Any = None,
    note: Callable[[str], None] = lambda line: None,
) -> PlannedRun:
    """Check the settings and the data of a run, and make its folder.

    Args:
        given: Settings, ``model`` and ``dataset`` among them; a model may be your own, as ``file.py:Name``, and a data
            set your own frame or Parquet file.
        base: Settings of files, which ``given`` override; they may also name a Parquet file as data set.
        run_dir: Folder of the run; None for a new one under ``runs/``.
        resume: Folder of a run or a checkpoint to resume from; ``auto`` for the newest run with the same settings.
        roles: Columns of such a table with the user, the item and the time.
        items: Table of the items with their attributes; None for none.
        note: Called with each remark on settings and data.

    Raises:
        UserError: A setting, the data, the folder or the checkpoint cannot be used.
    """
    given, base, source = dict(given), dict(base or {}), None
    data = (base | given).get("dataset")
    if is_table(data) or any(roles) or items is not None:
        given["dataset"] = adopt_data(data, roles, base | given, note, items)
    if ":" in str(given.get("model")):
        source = given["model"]
        given["model"] = registry.model_from(source)
    if base.get("run_dir") and not run_dir:
        run_dir = base["run_dir"]
    if base.get("checkpoint_dir") or given.get("checkpoint_dir"):
        note("checkpoint_dir has no effect: checkpoints are in the folder of the run; choose it by --run_dir")
    folder, checkpoint = Path(run_dir) if run_dir else None, None
    if resume and str(resume) != "auto":
        checkpoint = run_folder.newest_checkpoint(Path(resume), note)
        base, folder = _stored_settings(checkpoint, base | given), folder or run_folder.find_run_folder(checkpoint)
    config = configure(base, given, note)
    if str(resume) == "auto":
        if like := run_folder.newest_run_like(Path("runs"), extract_settings(config)):
            folder, checkpoint = like, run_folder.newest_checkpoint(like, note)
        else:
            note("no earlier run with these settings; starting a new one")
    sha256 = check_data(config, note).sha256
    folder = folder or Path("runs", make_unique_name(config["model"], config["dataset"]))
    if checkpoint is None:
        run_folder.make_folder(folder)
    for file in folder.glob(".*.tmp"):  # left by a process that was killed while writing
        file.unlink(missing_ok=True)
    of_this_run = {"run_dir": str(folder), "checkpoint_dir": str(folder)}
    config.final_config_dict.update(of_this_run, quiet_terminal=True, show_progress=False)
    return PlannedRun(config, folder, checkpoint, sha256, source)


def _stored_settings(checkpoint: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings of the run that is resumed.

    Raises:
        ConfigError: A given setting that decides the result differs from the run's.
    """
    stored = load_settings(checkpoint, trust=bool(given.get("trust_checkpoint")))
    for key, value in given.items():
        if key not in MAY_CHANGE and key in stored and stored[key] != value:
            raise ConfigError(
                f"--{key}={value}: the run to be resumed has {key}={stored[key]}; remove it, or start a new run"
            )
    return stored
