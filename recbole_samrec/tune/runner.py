"""Carries out a search with Ray Tune, from where it was."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.experiments.ray_cluster import MEGABYTE, Resources, cluster
from recbole_samrec.experiments.worker import locked
from recbole_samrec.tune import strategies
from recbole_samrec.tune.follow import Follower
from recbole_samrec.tune.search_spec import CLOCK, PLAN, RAY, TRIALS, Search, store
from recbole_samrec.tune.shared_data import pack, read_alike
from recbole_samrec.tune.trial_log import Journal
from recbole_samrec.tune.trials import Task, carry_out
from recbole_samrec.utils.errors import CheckpointError, ConfigError
from recbole_samrec.utils.files import require_writable, write_atomically

DRAWN = "drawn.json"
MEMORY_MB = 2000.0
"""Memory that is reserved for a trial if nothing is said, or what there is divided by the trials at once."""
SNAPSHOT_SECONDS = "5"
"""How often Ray Tune writes down how far it is; each trial writes its own state after every epoch."""


class Numbering:
    """Names trials 000, 001, ..., each with its folder.

    Args:
        folder: Folder of the trials.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, trial: Any) -> str:
        """The name of a trial: the one it had before the search was stopped, or the next one."""
        for number in itertools.count():
            name = f"{number:03d}"
            claim = self._folder / name / DRAWN
            if not claim.exists():
                claim.parent.mkdir(parents=True, exist_ok=True)
                drawn = {"id": trial.trial_id, "drawn": trial.config}
                write_atomically(claim, json.dumps(drawn, default=str) + "\n")
                return name
            if json.loads(claim.read_text(encoding="utf-8"))["id"] == trial.trial_id:
                return name
        raise AssertionError


def task_of(search: Search, threads: int) -> Task:
    """What the trials of a search have in common."""
    return Task(
        settings=search.settings,
        space=search.space,
        seeds=search.seeds,
        sha256=search.sha256,
        folder=(search.out / TRIALS).resolve(),
        start=Path.cwd(),
        source=search.source,
        threads=threads,
    )


def conduct(search: Search, resources: Resources, console: Console, memory_mb: float | None = None) -> Journal:
    """Carry out a search, or go on with it.

    Args:
        search: The search; its folder says how far it is.
        resources: What each trial gets.
        console: Where progress is shown.
        memory_mb: Memory to reserve for a trial.

    Returns:
        What is known of the trials; some have not ended if the user stopped the search.

    Raises:
        UserError: No trial could read the data or be given what it needs, or another process is at this search.
    """
    journal = Journal.read(search.out / CLOCK, search.bigger, len(search.seeds) > 1)
    if len(journal.ended) >= search.trials:
        return journal
    config = configure(dict(search.settings), {})
    if check_data(config, lambda line: None).sha256 != search.sha256:
        raise ConfigError(
            f"{search.dataset} has other interactions than the search in {search.out} began with; put those in their "
            "place, or start the search anew in another --out"
        )
    data = pack(config)  # so that what every trial would stumble over is said now
    data = data if read_alike(search.space.names) else None
    require_writable(search.out, "--out")
    if not (search.out / PLAN).exists():
        store(search)
    with locked(search.out), cluster(resources, store_mb=100 + 3 * len(data or b"") / MEGABYTE) as ray:
        parallel = _parallel(ray, resources)
        with Follower(search, journal, console, parallel) as follower:
            _fit(ray, search, resources, follower, data, parallel, memory_mb)
        journal.write()
    return journal


def _parallel(ray: Any, resources: Resources) -> int:
    """How many trials go on at once, as far as cores and GPUs decide it."""
    there = ray.cluster_resources()
    most = there.get("CPU", 1) / resources.threads
    if resources.gpus:
        most = min(most, there.get("GPU", 0) / resources.gpus)
    if most < 1:
        cores = there.get("CPU", 1) >= resources.threads
        words = f"--gpus={resources.gpus:g}" if cores else f"--threads={resources.threads}"
        raise ConfigError(f"{words}: there is less than one trial is to have; lower it")
    return int(min(most, resources.parallel or most))


def _memory(ray: Any, wanted_mb: float | None, parallel: int) -> int:
    """Bytes to reserve for a trial, so that a trial fits on some computer and as many as cores allow go on at once."""
    there = [node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]]
    if wanted_mb is None:
        return int(min(MEMORY_MB * MEGABYTE, 0.9 * sum(there) / parallel))
    if wanted_mb * MEGABYTE > max(there):
        most = max(there) / MEGABYTE / 1000
        raise ConfigError(f"--memory={wanted_mb / 1000:g}: no computer has that much; the most is {most:.1f} GB")
    return int(wanted_mb * MEGABYTE)


def _fit(
    ray: Any,
    search: Search,
    resources: Resources,
    follower: Follower,
    data: bytes | None,
    parallel: int,
    memory_mb: float | None,
) -> None:
    os.environ.update({"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"})
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", SNAPSHOT_SECONDS)
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    warnings.filterwarnings("ignore", module=r"ray\.")
    from ray import tune

    from recbole_samrec.tune.ray_callback import Relay

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # the follower says in a line why a trial failed
    each = {"cpu": resources.threads, "gpu": resources.gpus, "memory": _memory(ray, memory_mb, parallel)}
    objective = tune.with_parameters(carry_out, task=task_of(search, resources.threads), data=data)
    trainable = tune.with_resources(objective, each)
    state = (search.out / RAY).resolve()
    Relay.watcher = follower
    try:
        tuner = _restored(tune, trainable, state, follower)
        if tuner is None:
            shutil.rmtree(state, ignore_errors=True)
            tuner = _tuner(tune, trainable, search, state, parallel, Relay())
        tuner.fit()
    finally:
        Relay.watcher = None


def _restored(tune: Any, trainable: Any, state: Path, follower: Follower) -> Any:
    """What Ray Tune wrote down of a search, taken up again; None if it had not begun.

    Raises:
        CheckpointError: It is lost or damaged, and trials would be drawn anew.
    """
    words = "start the search anew in another --out; trials.csv and the folders of its trials stay"
    if tune.Tuner.can_restore(str(state)):
        try:
            return tune.Tuner.restore(str(state), trainable, resume_unfinished=True)
        except Exception as error:
            raise CheckpointError(f"{state}: Ray Tune's state cannot be read ({error}); {words}") from error
    if follower.has_reports:
        raise CheckpointError(f"{state}: Ray Tune's state of this search is gone; {words}")
    return None


def _tuner(tune: Any, trainable: Any, search: Search, state: Path, parallel: int, relay: Any) -> Any:
    strategy, numbering = search.strategy, Numbering((search.out / TRIALS).resolve())
    at_once = search.trials if strategy.scheduler == "pbt" else parallel  # a population takes turns
    return tune.Tuner(
        trainable,
        param_space=strategies.param_space(strategy, search.space),
        tune_config=tune.TuneConfig(
            metric=strategies.SCORE,
            mode=search.mode,
            num_samples=1 if strategy.search == "grid" else search.trials,
            search_alg=strategies.searcher(strategy, at_once),
            scheduler=strategies.scheduler(strategy, search.space, search.epochs),
            trial_name_creator=numbering,
            trial_dirname_creator=numbering,
        ),
        run_config=tune.RunConfig(
            name=state.name,
            storage_path=str(state.parent),
            failure_config=tune.FailureConfig(max_failures=search.retries),
            # a stronger trial's checkpoint has to be there until weaker ones have read it
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None if strategy.scheduler == "pbt" else 1),
            callbacks=[relay],
            verbose=0,
        ),
    )
