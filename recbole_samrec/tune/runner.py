"""Runs the trials of a search that have not ended."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.experiments.ray_cluster import MEGABYTE, Capacity, Resources, connect_ray, measure_capacity
from recbole_samrec.tune import strategies
from recbole_samrec.tune.gpu_share import measure_gpu_share
from recbole_samrec.tune.ray_state import repair_state
from recbole_samrec.tune.search_spec import LOG, RAY, SEARCH, TRIALS, SearchSpec, write_search
from recbole_samrec.tune.search_watcher import SearchWatcher
from recbole_samrec.tune.shared_data import pack, share_data_set
from recbole_samrec.tune.trial_log import TrialLog
from recbole_samrec.tune.trials import TrialTask, run_trial
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import CheckpointError, ConfigError
from recbole_samrec.utils.files import read_mapping, require_writable, write_atomically
from recbole_samrec.utils.locks import lock_folder

DRAWN = "drawn.json"
SNAPSHOT_SECONDS = "5"
"""Time between two snapshots of Ray Tune's state; each trial writes its own state after every epoch."""


class TrialNames:
    """Names trials 000, 001, ..., each with its folder.

    Args:
        folder: Folder of the trials.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, trial: Any) -> str:
        """Name a trial: with the name it had before the search was stopped, or the next one."""
        for number in itertools.count():
            name = f"{number:03d}"
            claim = self._folder / name / DRAWN
            if not claim.exists():
                claim.parent.mkdir(parents=True, exist_ok=True)
                drawn = {"id": trial.trial_id, "drawn": trial.config}
                write_atomically(claim, json.dumps(drawn, default=str) + "\n")
                return name
            if read_mapping(claim).get("id") == trial.trial_id:
                return name
        raise AssertionError


def make_task(search: SearchSpec, threads: int, on_gpu: bool = True) -> TrialTask:
    """Collect the settings and data that all trials of a search share.

    Args:
        search: The search.
        threads: Threads of each trial.
        on_gpu: False for trials that use no GPU, even if their processes see one.
    """
    return TrialTask(
        entry=search.entry,
        settings=search.settings if on_gpu else {**search.settings, "use_gpu": False},
        space=search.space,
        seeds=search.seeds,
        sha256=search.sha256,
        folder=(search.out / TRIALS).resolve(),
        start=Path.cwd(),
        source=search.source,
        threads=threads,
    )


def run_search(search: SearchSpec, resources: Resources, console: Console, memory_mb: float | None = None) -> TrialLog:
    """Run the trials of a search, or resume them.

    Args:
        search: The search; its folder has the state of one that is resumed.
        resources: Resources of each trial.
        console: Where progress is shown.
        memory_mb: Memory to reserve for a trial; None for the default.

    Returns:
        The log of the trials; some have not ended if the user stopped the search.

    Raises:
        UserError: No trial could read the data or get its resources, or another process runs this search.
    """
    log = TrialLog.read(search.out / LOG, search.bigger, len(search.seeds) > 1)
    if (search.out / RAY).exists() and (failed := log.reopen_failed()):
        print_line(console, f"retrying failed trials: {failed}")
    if log.is_complete(search.trials, search.strategy.passes):
        return log
    config = configure(dict(search.settings), {}, plans=True)
    if check_data(config, lambda line: None).sha256 != search.sha256:
        raise ConfigError(
            f"{search.dataset} has changed since the search in {search.out} started; restore the data or use a new "
            "--out"
        )
    packed = pack(config)  # before any trial starts, since all would raise the same error
    data = packed if share_data_set(search.space.names) else None
    require_writable(search.out, "--out")
    if not (search.out / SEARCH).exists():
        write_search(search)
    with lock_folder(search.out), connect_ray(resources, store_mb=100 + 3 * len(data or b"") / MEGABYTE) as ray:
        capacity = measure_capacity(ray, resources)
        gpus = _reserve_gpus(ray, search, resources, capacity, console)
        if gpus:
            capacity = replace(capacity, parallel=max(1, min(capacity.parallel, int(capacity.gpus / gpus))))
        with SearchWatcher(search, log, console, capacity.parallel) as watcher:
            _fit_trials(search, resources, gpus, watcher, data, capacity, memory_mb)
        log.write()
    return log


def _reserve_gpus(ray: Any, search: SearchSpec, resources: Resources, capacity: Capacity, console: Console) -> float:
    """Choose the GPUs of each trial: the requested ones, or the share of one that the largest trial needs."""
    gpus = capacity.reserved_gpus(resources, search.settings, None)
    if not gpus or resources.gpus is not None:
        return gpus
    print_line(console, "estimating the GPU memory of the largest trials from some training steps")
    share = measure_gpu_share(ray, make_task(search, resources.threads), resources.threads)
    return capacity.reserved_gpus(resources, search.settings, share)


def _fit_trials(
    search: SearchSpec,
    resources: Resources,
    gpus: float,
    watcher: SearchWatcher,
    data: bytes | None,
    capacity: Capacity,
    memory_mb: float | None,
) -> None:
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", SNAPSHOT_SECONDS)
    from recbole_samrec.experiments.ray_tuner import allot, fit

    memory = capacity.reserved_mb(memory_mb)
    if memory > capacity.largest_mb:
        most = f"{capacity.largest_mb / 1000:.1f} GB"
        raise ConfigError(f"--memory={memory / 1000:g}: no machine has that much memory; the most is {most}")
    each = {"CPU": resources.threads, "GPU": gpus, "memory": memory}
    task = make_task(search, resources.threads, on_gpu=gpus > 0)
    trainable = allot(run_trial, lambda drawn: each, task=task, data=data)
    state = (search.out / RAY).resolve()
    tuner = _restore_tuner(trainable, state, watcher)
    if tuner is None:
        shutil.rmtree(state, ignore_errors=True)
        tuner = _make_tuner(trainable, search, state, capacity.parallel)
    fit(tuner, watcher)


def _restore_tuner(trainable: Any, state: Path, watcher: SearchWatcher) -> Any:
    """Restore Ray Tune's state of a search; None if the search had not begun.

    Raises:
        CheckpointError: It is lost or damaged, and trials would be drawn again.
    """
    from ray import tune

    words = "start a new search in another --out; trials.csv and the folders of its trials stay"
    if repair_state(state):
        try:
            return tune.Tuner.restore(str(state), trainable, resume_unfinished=True, resume_errored=True)
        except Exception as error:
            raise CheckpointError(f"{state}: Ray Tune's state cannot be read ({error}); {words}") from error
    if watcher.has_reports:
        raise CheckpointError(f"{state}: Ray Tune's state of this search is missing or damaged; {words}")
    return None


def _make_tuner(trainable: Any, search: SearchSpec, state: Path, parallel: int) -> Any:
    from recbole_samrec.experiments.ray_tuner import make_tuner

    strategy = search.strategy
    at_once = search.trials if strategy.scheduler == "pbt" else parallel  # a population takes turns
    return make_tuner(
        trainable,
        strategies.param_space(strategy, search.space),
        state,
        TrialNames((search.out / TRIALS).resolve()),
        retries=search.retries,
        # a stronger trial's checkpoint has to be there until weaker ones have read it
        kept_checkpoints=None if strategy.scheduler == "pbt" else 1,
        metric=strategies.SCORE,
        mode=search.mode,
        num_samples=1 if strategy.search == "grid" else search.trials,
        search_alg=strategies.searcher(strategy, at_once, search.space, search.trials),
        scheduler=strategies.scheduler(strategy, search.space, search.epochs),
    )
