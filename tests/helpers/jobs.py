"""Jobs of comparisons on tiny data."""

from pathlib import Path

from recbole_samrec.data.files import hash_interactions
from recbole_samrec.data.find import find_dataset
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import plan_jobs

SMALL = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_batch_size": 64,
    "epochs": 3,
}


SEEING = """
import json
import os
import time
from pathlib import Path
from recbole.model.general_recommender.bpr import BPR


class Seeing(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        folder = Path(config["checkpoint_dir"])
        folder.parent.joinpath(f"{folder.name}.started").touch()
        seen = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "use_gpu": config["use_gpu"]}
        (folder / "seen.json").write_text(json.dumps(seen))
        deadline = time.monotonic() + 100
        while len(list(folder.parent.glob("*.started"))) < config["together"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert time.monotonic() < deadline, "the others did not start"
"""
"""A model that writes down which GPUs its process sees, and waits until others have begun, too."""


def make_jobs(names, seeds=(1,), out="out", fractions=(1.0,), base=SMALL, tested=True, **given):
    """Plan the jobs of entries on the data set ``tiny`` in the working folder."""
    find_dataset("tiny", Path("dataset"))
    sha256 = hash_interactions({"data_path": "dataset/tiny", "dataset": "tiny", "benchmark_filename": None})
    options = {"given": base | given, "tested": tested}
    return plan_jobs(read_entries(names), {"tiny": sha256}, seeds, fractions, Path(out), **options)


def ignore(progress):
    """Ignore the progress of a run."""


def select_figures(record):
    """Select the figures that two runs with the same settings have in common."""
    return {key: record[key] for key in ("valid", "test", "best_epoch", "epochs_run", "parameters")}


def settings_of(names, data="ml-100k", out="out", seeds=(1,), fractions=(1.0,), **given):
    """Plan jobs on a data set, and return the settings of the first job of each entry."""
    jobs = plan_jobs(read_entries(names), {data: "hash"}, seeds, fractions, Path(out), given=given)
    return {job.entry: job.settings for job in reversed(jobs)}
