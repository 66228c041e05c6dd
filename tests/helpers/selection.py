"""Made-up runs of a selection, whose scores and passes are functions of their settings."""

import json
from pathlib import Path

from recbole_samrec.compare.prepare import prepare_comparison
from recbole_samrec.compare.selection import Selector
from recbole_samrec.evaluator.test_ranks import RANKS
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.job_folders import JOB
from recbole_samrec.quick_start.record import RESULT
from tests.helpers.jobs import SMALL
from tests.helpers.records import write_record

SEEDS = (7, 8, 9)


def write_run(job, score, passes):
    """Write the record of a run with a validation score."""
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / JOB).write_text(json.dumps({"entry": job.entry, **job.made_for}, default=str))
    of = {"model": job.settings["model"], "seed": job.seed, "config": dict(job.settings)}
    data = {"users": 9, "items": 25, "interactions": 99, "sha256": job.sha256}
    test = {"ndcg@10": 0.5} if job.tested else None
    valid = {"ndcg@10": score}
    write_record(
        job.folder / RESULT, **of, data=data, valid=valid, test=test, gradient_passes=passes, peak_memory_mb=3.0
    )
    if job.tested:
        (job.folder / RANKS).touch()


def make_selector(score, passes=lambda job: 1.0, seeds=SEEDS, out="out", log=None):
    """A selector whose runs have scores and passes that are functions of the job; no score means failure."""

    def train(jobs, folder):
        for job in jobs:
            if not job.finished:
                if log is not None:
                    log.append(job)
                if (found := score(job)) is None:
                    job.folder.mkdir(parents=True, exist_ok=True)
                    (job.folder / "failure.txt").write_text("the loss is nan\n")
                else:
                    write_run(job, found, passes(job))
        return CostBook(jobs, Path(folder))

    return Selector(tuple(seeds), Path(out), train)


def prepare(entries, file=None, **options):
    """Prepare a comparison on the data set ``tiny`` in the working folder."""
    given = {"seeds": [1, 2], "fractions": [1.0], "out": Path("out"), "settings": SMALL, **options}
    return prepare_comparison(entries, ["tiny"], entry_files=[file] if file else [], **given)
