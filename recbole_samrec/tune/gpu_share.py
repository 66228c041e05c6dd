"""The share of a GPU that the trials of a search need, from probes of the largest trials of its space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_samrec.experiments.estimate import compute_gpu_share
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.tune.trials import TrialTask

MOST_PROBED = 4
"""Largest number of trials that are probed; a space with more combinations of words is not measured."""


def measure_gpu_share(ray: Any, task: TrialTask, threads: int) -> float | None:
    """Measure a share of a GPU in which every trial of a search fits.

    The trials with the largest numbers are probed, with each combination of other values, one GPU each.

    Args:
        ray: The module ``ray``, connected to a cluster that has a GPU.
        task: What all trials share.
        threads: Threads of each trial.

    Returns:
        The share; None if it is not known, because there are too many kinds of trials or one could not be probed.
    """
    from ray.exceptions import RayError

    assert task.space is not None, "a search has a space"
    if len(largest := task.space.largest()) > MOST_PROBED:
        return None
    probe = ray.remote(num_cpus=threads, num_gpus=1, max_calls=1)(_probe)
    jobs = [task.make_job(drawn, task.seeds[0], Path()) for drawn in largest]
    try:
        costs = ray.get([probe.remote(job, str(task.start), threads) for job in jobs])
    except RayError:  # a process died, possibly out of memory
        return None
    shares = [compute_gpu_share(cost.get("gpu_mb", 0.0), cost.get("gpu_total_mb", 0.0)) for cost in costs]
    return None if None in shares else max(share for share in shares if share is not None)


def _probe(job: Job, folder: str, threads: int) -> Mapping[str, Any]:
    """Probe a trial in a process of Ray."""
    from recbole_samrec.experiments.probe import probe_cost
    from recbole_samrec.experiments.worker import prepare_process

    prepare_process(folder, threads)
    return probe_cost(job)
