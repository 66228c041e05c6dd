"""Runs that differ only in their test targets: one is trained, and its weights are tested on all targets.

The validation of a global temporal split does not depend on the targets, so their trainings would be equal.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from recbole_samrec.config.build import configure
from recbole_samrec.data.temporal_held import find_counts
from recbole_samrec.data.temporal_options import complete_split, read_options
from recbole_samrec.experiments.job_folders import JOB, WEIGHTS, find_same_training
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.worker import FAILURE, process_settings, record_failure
from recbole_samrec.quick_start.build_trainer import build_trainer
from recbole_samrec.quick_start.context import prepare_run
from recbole_samrec.quick_start.record import RESULT, RunRecord, rename_metrics
from recbole_samrec.quick_start.retrain import OF_VALIDATION
from recbole_samrec.quick_start.writers import RankWriter
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import UserError, explain_failure
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.locks import lock_folder


def train_each_once(jobs: Sequence[Job], train: Callable[[Sequence[Job]], None], console: Console) -> None:
    """Train jobs, equal trainings only once, and test the others with the same weights in this process.

    Args:
        jobs: All jobs; finished ones are only passed on.
        train: Function that trains those of some jobs that are not finished.
        console: Where the end of each test is shown.
    """
    sharing = select_sharing(jobs)
    train([job for job in jobs if job not in sharing])
    for job in sharing:
        _test_shared(job, console)
    if alone := [job for job in sharing if not find_same_training(job) and find_same_training(job, with_weights=False)]:
        train(alone)  # the other runs left their weights on another computer


def select_sharing(jobs: Sequence[Job]) -> list[Job]:
    """Select the unfinished jobs that can be tested with the weights of another one, or of an earlier run."""
    first: dict[str, Job] = {}
    sharing = []
    for job in jobs:
        if read_options(job.settings.get("eval_args")) is None or job.finished:
            continue
        settings = complete_split(job.settings, with_target=False)
        made_for = [job.entry, job.dataset, {**job.made_for, "settings": settings}]
        key = json.dumps(made_for, sort_keys=True, default=str)
        if find_same_training(job) or first.setdefault(key, job) is not job:
            sharing.append(job)
    return sharing


def _test_shared(job: Job, console: Console) -> None:
    """Test a job with the weights of another run, if there are any; a failure is recorded and shown."""
    source = find_same_training(job)
    if source is None:
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with record_failure(job.folder), lock_folder(job.folder):
            if not job.finished:
                test_again(job, source)
    except UserError as error:
        print_line(console, f"{job.title}: {explain_failure(error)}")
    else:
        print_line(console, f"{job.title}: tested with the weights of {source.name}")


def test_again(job: Job, source: Path) -> RunRecord:
    """Test the weights of a finished run on the targets of a job, and write the record of the job.

    Args:
        job: The job; its folder exists.
        source: Folder of the finished run.

    Returns:
        The record of the run with the settings, numbers and test metrics of the job.
    """
    config = configure(process_settings(job, job.folder), {})
    config["known_data"] = str(source)
    context = prepare_run(config, sha256=job.sha256, log=False)
    trainer = build_trainer(context)
    trainer.saved_model_file = str(source / WEIGHTS)
    trainer.callbacks.add(RankWriter(context))
    metrics = trainer.test(context.test_data)
    record = RunRecord.read(source / RESULT)
    data, counts = copy.copy(record.data), find_counts(context.dataset)
    if counts is not None:
        data["split"] = asdict(counts) | {name: data.get("split", {})[name] for name in OF_VALIDATION}
    tested = replace(record, config=dict(job.settings), data=data, test=rename_metrics(metrics))
    made_for = {"entry": job.entry, **job.made_for, "weights": source.name}
    write_atomically(job.folder / JOB, json.dumps(made_for, indent=2, default=str) + "\n")
    tested.write(job.folder / RESULT)
    (job.folder / FAILURE).unlink(missing_ok=True)
    return tested
