"""A run that was stopped and resumed ends in the same bits as one that never stopped."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from tiny import make_config, random_events, write_events

from recbole_samrec import checkpoint, run
from recbole_samrec.errors import CheckpointError
from recbole_samrec.trainer import Listener

SAMREC = {"model": "SAMRec", "sam_rho": 0.05, "epochs": 4, "train_batch_size": 32}
GENERAL = {"epochs": 4, "train_batch_size": 64}

RUNS = {
    "SAMRec": SAMREC,
    "ASAM, bf16": {**SAMREC, "sam_variant": "asam", "enable_amp": True, "amp_dtype": "bfloat16"},
    "fp16 and scaler": {**SAMREC, "enable_amp": True, "amp_dtype": "float16", "enable_scaler": True},
    "scored every second epoch": {**SAMREC, "eval_step": 2, "epochs": 5},
    "never scored": {**SAMREC, "eval_step": 0},
    "popular negatives": {**GENERAL, "model": "BPR", "train_neg_sample_args": {"distribution": "popularity"}},
    "sampled evaluation": {**GENERAL, "model": "BPR", "eval_args": {"mode": "uni5"}},
    "GRU4Rec with SAM": {"model": "GRU4Rec", "sam_rho": 0.05, "epochs": 4, "train_batch_size": 32},
    "MultiVAE": {**GENERAL, "model": "MultiVAE"},
    "RecVAE": {**GENERAL, "model": "RecVAE", "sam_rho": 0.05},
    "LINE": {**GENERAL, "model": "LINE"},
    "LightGCN": {**GENERAL, "model": "LightGCN", "sam_rho": 0.05},
    "SGL": {**GENERAL, "model": "SGL"},
    "CKE": {**GENERAL, "model": "CKE"},
    "KGAT": {**GENERAL, "model": "KGAT"},
}


class Stopped(Exception):
    """A run was stopped from outside."""


class StopAt(Listener):
    """Stops a run in the middle of an epoch."""

    def __init__(self, epoch: int | None) -> None:
        self.epoch, self.now = epoch, -1

    def epoch_started(self, epoch: int, steps: int) -> None:
        self.now = epoch

    def stepped(self) -> None:
        if self.now == self.epoch:
            raise Stopped


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Events of 30 users with 20 items, and a graph that says which of 4 kinds each item is of."""
    folder = tmp_path_factory.mktemp("data")
    path = write_events(folder, "tiny", random_events())
    links = ["item_id:token\tentity_id:token", *(f"i{i}\te{i}" for i in range(20))]
    facts = ["head_id:token\trelation_id:token\ttail_id:token", *(f"e{i}\tis_a\tk{i % 4}" for i in range(20))]
    (path / "tiny.link").write_text("\n".join(links) + "\n")
    (path / "tiny.kg").write_text("\n".join(facts) + "\n")
    return folder


def configuration(data: Path, folder: Path, settings: dict):
    settings = dict(settings)
    if settings["model"] in ("CKE", "KGAT"):
        settings["load_col"] = {
            "inter": ["user_id", "item_id", "timestamp"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        }
    folder.mkdir(exist_ok=True)
    return make_config(settings.pop("model"), data, run_dir=str(folder), checkpoint_dir=str(folder), **settings)


def train(data: Path, folder: Path, settings: dict, resume: Path | None = None, stop_at: int | None = None):
    """One run up to its end, or until it is stopped in the middle of an epoch (then None)."""
    config = configuration(data, folder, settings)
    try:
        return run.train(config, resume, lambda: contextlib.nullcontext(StopAt(stop_at)))
    except Stopped:
        return None


def same(one, other) -> bool:
    """Whether two values are equal to the last bit, in all that they hold."""
    if isinstance(one, torch.Tensor):
        if one.is_sparse:
            one, other = one.coalesce(), other.coalesce()
            return same(one.indices(), other.indices()) and same(one.values(), other.values())
        return one.dtype == other.dtype and torch.equal(one, other)
    if scipy.sparse.issparse(one):
        return (one != other).nnz == 0
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def state_in(file: Path) -> dict:
    """What a checkpoint holds, without clocks and folders."""
    state = checkpoint.load(file)
    return {key: value for key, value in state.items() if key not in ("config", "elapsed", "seconds")}


def assert_same_end(one: Path, other: Path, result: dict, other_result: dict) -> None:
    for name in ("last.pth", "best.pth"):
        mine, theirs = state_in(one / name), state_in(other / name)
        assert mine.keys() == theirs.keys()
        assert [key for key in mine if not same(mine[key], theirs[key])] == []
    for key in ("valid", "test", "best_epoch", "epochs_run", "skipped_steps"):
        assert result[key] == other_result[key]


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_ends_in_the_same_bits(data, tmp_path, name):
    settings = RUNS[name]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, settings)
    assert train(data, parts, settings, stop_at=1) is None
    assert train(data, parts, settings, run.newest_checkpoint(parts), stop_at=3) is None
    assert state_in(parts / "last.pth")["epoch"] == 2
    resumed = train(data, parts, settings, run.newest_checkpoint(parts))
    assert_same_end(whole, parts, result, resumed)
