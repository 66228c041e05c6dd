"""One run on several processes, on one machine or several."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.compat.devices import withdraw_choice
from recbole_samrec.config.build import configure
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.record import RESULT, RunRecord, make_label
from recbole_samrec.quick_start.training_progress import make_progress
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.errors import ConfigError, UserError, explain_system_error, flatten_message


@dataclass(frozen=True)
class Processes:
    """The processes that share a run.

    Args:
        nproc: Number of processes on this machine.
        world_size: Number of processes on all machines; None for those of this machine.
        ip: Address of the first machine.
        port: Its port; None for a free one.
        group_offset: Number of the first process on this machine.
        debug: Print the traceback of an unexpected error.

    Raises:
        ConfigError: There is not even one process.
    """

    nproc: int = 1
    world_size: int | None = None
    ip: str = "localhost"
    port: str | int | None = None
    group_offset: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        """Check the number of processes."""
        if self.nproc < 1:
            raise ConfigError(f"--nproc={self.nproc}: give a number of at least 1")

    @property
    def several(self) -> bool:
        """True if the run has more than one process in total."""
        return self.nproc > 1 or (self.world_size or 0) > 1

    @property
    def settings(self) -> dict[str, Any]:
        """RecBole's settings for these processes."""
        return {
            "nproc": self.nproc,
            "world_size": self.world_size or self.nproc,
            "ip": self.ip,
            "port": str(self.port or _find_free_port()),
            "offset": self.group_offset,
        }


def train_in_processes(
    settings: dict[str, Any],
    resume: Path | None,
    sha256: str,
    callbacks: tuple[Callback, ...],
    processes: Processes,
    source: str | None,
    quiet: bool,
) -> RunRecord:
    """Train a run on several processes.

    Args:
        settings: All settings of the run; without ``gpu_id`` the processes take the first GPUs.
        resume: Checkpoint to resume from.
        sha256: Hash of the interactions.
        callbacks: Callbacks of the run, which are pickled; only the first process calls them.
        processes: The processes.
        source: ``file.py:Name`` of your own model.
        quiet: Show no progress.

    Raises:
        UserError: A process ended with an error.
    """
    import torch.multiprocessing

    last_words = torch.multiprocessing.get_context("spawn").SimpleQueue()
    work = (settings | processes.settings, resume, sha256, callbacks, source, quiet, processes.debug, last_words)
    try:
        with withdraw_choice():
            torch.multiprocessing.spawn(_train_as_one, work, nprocs=processes.nproc, join=True)
    except torch.multiprocessing.ProcessExitedException as error:
        if not last_words.empty():
            raise UserError(last_words.get()) from error
        reason = error.signal_name or f"status {error.exit_code}"
        raise UserError(
            f"process {error.error_index} ended early ({reason}); resume the run with --resume={settings['run_dir']}"
        ) from error
    return RunRecord.read(Path(settings["run_dir"], RESULT))


def _train_as_one(
    rank: int,
    settings: dict[str, Any],
    resume: Path | None,
    sha256: str,
    callbacks: tuple[Callback, ...],
    source: str | None,
    quiet: bool,
    debug: bool,
    last_words: Any,
) -> None:
    """Train a run as one of several processes; if one process fails, the parent ends the others, which wait for it."""
    try:
        if source:
            registry.model_from(source)
        config = configure({**settings, "local_rank": rank}, {})
        progress = make_progress(Console(quiet=quiet or rank != 0), f"{make_label(config)} on {config['dataset']}")
        train.train(config, resume, [progress, *callbacks] if rank == 0 else [progress], sha256)
    except UserError as error:
        last_words.put(flatten_message(error))
        os._exit(2)
    except KeyboardInterrupt:
        os._exit(130)  # the parent was interrupted too, and reports it
    except Exception as error:
        last_words.put(
            explain_system_error(error)
            or f"process {rank}: unexpected {type(error).__name__}: {flatten_message(error)}; --debug shows where"
        )
        if debug:
            traceback.print_exc()
        os._exit(1)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
