"""A run that was stopped and resumed ends in the same bits as an uninterrupted one."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_samrec.cli.main import main
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import run_folder
from recbole_samrec.quick_start import train as run
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError
from tests.helpers.checkpoints import assert_same_end, same, state_in
from tests.helpers.every_model import settings_of, skip_without_package
from tests.helpers.tiny import build, make_config, random_events, write_events, write_kinds

SAMREC = {"model": "SAMRec", "sam_rho": 0.05, "epochs": 4, "n_layers": 1, "train_batch_size": 64}
GENERAL = {"epochs": 4, "train_batch_size": 64}

RUNS = {
    "SAMRec": SAMREC,
    "ASAM, bf16": {**SAMREC, "sam_variant": "asam", "enable_amp": True, "amp_dtype": "bfloat16"},
    "fp16 and scaler": {**SAMREC, "enable_amp": True, "amp_dtype": "float16", "enable_scaler": True},
    "GSAM on embeddings": {**SAMREC, "sam_variant": "gsam", "sam_params": "embedding", "sam_item_rho": "frequency"},
    "Friendly SAM": {**SAMREC, "sam_variant": "fsam"},
    "Momentum SAM": {**SAMREC, "sam_variant": "msam", "sam_rho": 0.5},
    "LookSAM": {**SAMREC, "sam_variant": "looksam", "looksam_k": 3},
    "random direction": {**SAMREC, "sam_variant": "random", "sam_rho": 0.5},
    "moving average": {**SAMREC, "weight_average": "ema 0.9"},
    "mean of epochs": {**SAMREC, "weight_average": "last 2", "epochs": 5},
    "moving average, fp16": {**SAMREC, "weight_average": "ema 0.9", "enable_amp": True, "amp_dtype": "float16"},
    "GRU4Rec, moving average": {**GENERAL, "model": "GRU4Rec", "weight_average": "ema 0.9"},
    "CKE, mean of epochs": {**GENERAL, "model": "CKE", "weight_average": "last 2"},
    "RecVAE, mean of epochs": {**GENERAL, "model": "RecVAE", "weight_average": "last 2"},
    "LightGCN, moving average": {**GENERAL, "model": "LightGCN", "weight_average": "ema 0.9"},
    "late, with a schedule": {**SAMREC, "sam_start": 1, "sam_rho_schedule": "cosine", "sam_rho_epochs": 2.5},
    "scored every second epoch": {**SAMREC, "eval_step": 2, "epochs": 5},
    "never scored": {**SAMREC, "eval_step": 0},
    "popular negatives": {**GENERAL, "model": "BPR", "train_neg_sample_args": {"distribution": "popularity"}},
    "sampled evaluation": {**GENERAL, "model": "BPR", "eval_args": {"mode": "uni5"}},
    "GRU4Rec with SAM": {**GENERAL, "model": "GRU4Rec", "sam_rho": 0.05},
    "CL4SRec with SAM": {**SAMREC, "model": "CL4SRec"},
    "DuoRec": {**GENERAL, "model": "DuoRec", "cl_batch": 32},
    "MultiVAE": {**GENERAL, "model": "MultiVAE"},
    "RecVAE": {**GENERAL, "model": "RecVAE", "sam_rho": 0.05},
    "RecVAE with LookSAM": {**GENERAL, "model": "RecVAE", "sam_rho": 0.05, "sam_variant": "looksam"},
    "LINE": {**GENERAL, "model": "LINE"},
    "LightGCN": {**GENERAL, "model": "LightGCN", "sam_rho": 0.05},
    "SGL": {**GENERAL, "model": "SGL"},
    "CKE": {**GENERAL, "model": "CKE"},
    "MKR": {**GENERAL, "model": "MKR"},
    "NCL": {**GENERAL, "model": "NCL", "num_clusters": 3, "m_step": 1, "warm_up_step": 1},
    "Pop": {**GENERAL, "model": "Pop", "epochs": 1},
    "SASRecOriginal with SAM": {**GENERAL, "model": "SASRecOriginal", "sam_rho": 0.05},
    "eSASRec": {**GENERAL, "model": "eSASRec", "n_negatives": 4},
    "HistoryEASE": {**GENERAL, "model": "HistoryEASE", "epochs": 1},
}


class Stopped(Exception):
    """A run was stopped from outside."""


class StopAt(Callback):
    """Stops a run in the middle of an epoch."""

    def __init__(self, epoch: int | None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, epoch: int, step: int) -> None:
        if epoch == self.epoch:
            raise Stopped


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Events of 30 users with 20 items, and a graph that assigns each item one of 4 kinds."""
    folder = tmp_path_factory.mktemp("data")
    path = write_events(folder, "tiny", random_events())
    links = ["item_id:token\tentity_id:token", *(f"i{i}\te{i}" for i in range(20))]
    facts = ["head_id:token\trelation_id:token\ttail_id:token", *(f"e{i}\tis_a\tk{i % 4}" for i in range(20))]
    (path / "tiny.link").write_text("\n".join(links) + "\n")
    (path / "tiny.kg").write_text("\n".join(facts) + "\n")
    return folder


def configuration(data: Path, folder: Path, settings: dict):
    settings = dict(settings)
    if settings["model"] in ("CKE", "MKR") and "load_col" not in settings:
        settings["load_col"] = {
            "inter": ["user_id", "item_id", "timestamp"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        }
    folder.mkdir(exist_ok=True)
    model, name = settings.pop("model"), settings.pop("dataset", "tiny")
    return make_config(model, data, name, run_dir=str(folder), checkpoint_dir=str(folder), **settings)


def train(data: Path, folder: Path, settings: dict, resume: Path | None = None, stop_at: int | None = None):
    """One run until its end, or until it is stopped in the middle of an epoch (then None)."""
    config = configuration(data, folder, settings)
    try:
        return run.train(config, resume, [StopAt(stop_at)])
    except Stopped:
        return None


@pytest.fixture
def clusters(monkeypatch):
    """NCL's clusters without faiss: the nearest of some random rows."""

    def nearest_rows(self, rows):
        rows = torch.as_tensor(rows)
        centres = rows[np.random.choice(len(rows), 3, replace=False)]
        return centres, torch.cdist(rows, centres).argmin(1)

    monkeypatch.setattr("recbole.model.general_recommender.ncl.NCL.run_kmeans", nearest_rows)


@pytest.mark.parametrize("name", [name for name in RUNS if name not in ("Pop", "HistoryEASE")])
def test_resume__ends_in_the_same_bits(data, tmp_path, clusters, name):
    settings = RUNS[name]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, settings)
    assert train(data, parts, settings, stop_at=1) is None
    assert train(data, parts, settings, run_folder.newest_checkpoint(parts), stop_at=3) is None
    assert state_in(parts / "last.pth")["epoch"] == 2
    resumed = train(data, parts, settings, run_folder.newest_checkpoint(parts))
    assert_same_end(whole, parts, result, resumed)


def train_by_hand(data: Path, epochs: int, resume: Path | None = None):
    """The loop of RecBole's own users: a configuration, ``resume_checkpoint``, ``fit``, ``evaluate``."""
    loaders, _, trainer = build(make_config("BPR", data, epochs=epochs, checkpoint_dir="saved"))
    if resume is not None:
        trainer.resume_checkpoint(resume)
    trainer.fit(*loaders[:2], show_progress=False)
    return trainer, trainer.evaluate(loaders[2])


def test_resume_checkpoint__continues_in_the_same_bits(data):
    whole, result = train_by_hand(data, 5)
    part, _ = train_by_hand(data, 2)
    best = state_in(part.saved_model_file)
    resumed, resumed_result = train_by_hand(data, 5, part.saved_model_file)
    assert resumed.start_epoch == best["epoch"] + 1
    assert resumed.saved_model_file == part.saved_model_file
    assert resumed_result == result
    assert resumed.train_loss_dict == whole.train_loss_dict
    assert resumed.best_valid_result == whole.best_valid_result
    assert same(state_in(resumed.saved_model_file), state_in(whole.saved_model_file))
    assert same(resumed.model.state_dict(), whole.model.state_dict())


def test_resume_checkpoint__knows_no_costs_of_recbole(data):
    """RecBole stores neither passes nor CPU time, so that those of the whole training are unknown."""
    part, _ = train_by_hand(data, 2)
    assert part.gradient_passes == 2 and part.sum_cpu_seconds(part._cpu_started) > 0
    of_recbole = "config epoch cur_step best_valid_score state_dict other_parameter optimizer".split()
    state = torch.load(part.saved_model_file, weights_only=False)
    torch.save({key: state[key] for key in of_recbole}, "recbole.pth")
    resumed, _ = train_by_hand(data, 5, Path("recbole.pth"))
    assert resumed.start_epoch == state["epoch"] + 1 and len(resumed.train_loss_dict) == 5 - resumed.start_epoch
    assert resumed.gradient_passes is None and resumed.sum_cpu_seconds(resumed._cpu_started) is None


def test_resume__overwrites_no_finished_checkpoint(data):
    part, result = train_by_hand(data, 2)
    before = Path(part.saved_model_file).read_bytes()
    epochs = state_in(part.saved_model_file)["epoch"] + 1
    _, resumed_result = train_by_hand(data, epochs, part.saved_model_file)
    assert Path(part.saved_model_file).read_bytes() == before
    assert resumed_result == result


@pytest.mark.parametrize("exact", [True, False])
def test_resume__continues_to_count_for_early_stopping(data, tmp_path, exact):
    settings = {**GENERAL, "model": "BPR", "epochs": 30, "stopping_step": 2, "exact_early_stopping": exact}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, settings)
    epochs = result["epochs_run"]
    assert 2 < epochs < 30
    assert train(data, parts, settings, stop_at=epochs - 1) is None  # one score without a gain is counted
    assert state_in(parts / "last.pth")["cur_step"] == (1 if exact else 2)
    resumed = train(data, parts, settings, parts / "last.pth")
    assert_same_end(whole, parts, result, resumed)
    again = train(data, parts, settings, parts / "last.pth", stop_at=epochs)
    assert_same_end(whole, parts, result, again)
    patient = train(data, parts, {**settings, "stopping_step": 4}, parts / "last.pth")
    assert patient["epochs_run"] > epochs


@pytest.mark.parametrize("name", ["SAMRec", "sampled evaluation", "scored every second epoch", "Pop", "HistoryEASE"])
def test_resume__changes_no_finished_run(data, tmp_path, name):
    result = train(data, tmp_path / "run", RUNS[name])
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.pth")}
    resumed = train(data, tmp_path / "run", RUNS[name], run_folder.newest_checkpoint(tmp_path / "run"))
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.pth")} == before
    changing = ("seconds_total", "peak_memory_mb", "cpu_seconds")
    assert {k: v for k, v in resumed.items() if k not in changing} == {
        k: v for k, v in result.items() if k not in changing
    }


def test_resume__requires_the_average_that_the_run_had(data, tmp_path):
    train(data, tmp_path / "run", SAMREC)
    with pytest.raises(CheckpointError, match=r"no moving average .* weight_average=ema 0\.9 is set; start a new run"):
        train(data, tmp_path / "run", {**SAMREC, "epochs": 5, "weight_average": "ema 0.9"}, tmp_path / "run/last.pth")


def test_resume__extends_a_finished_run_by_more_epochs(data, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, {**SAMREC, "epochs": 4})
    train(data, parts, {**SAMREC, "epochs": 2})
    resumed = train(data, parts, {**SAMREC, "epochs": 4}, run_folder.newest_checkpoint(parts))
    assert_same_end(whole, parts, result, resumed)


@pytest.mark.parametrize("gpu_elsewhere", [True, False])
def test_resume__moves_from_a_gpu_to_the_cpu(data, tmp_path, monkeypatch, gpu_elsewhere):
    """The states of the GPUs' generators are ignored, also where there is a GPU that the run does not use."""
    if gpu_elsewhere and torch.version.cuda and not torch.cuda.is_available():
        pytest.skip("torch built for CUDA asks the driver, and there is none")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, SAMREC)
    assert train(data, parts, SAMREC, stop_at=2) is None
    file = run_folder.newest_checkpoint(parts)
    state = checkpoint_io.load(file)
    assert state["device"] == "cpu"
    state["device"] = "NVIDIA A100"
    state["random"][0]["cuda"] = [torch.zeros(16, dtype=torch.uint8)] * 2
    checkpoint_io.save(file, state)
    for setter in ("set_rng_state_all", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, setter, lambda *given: pytest.fail("a run on the CPU touched a GPU"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_elsewhere)
    resumed = train(data, parts, {**SAMREC, "use_gpu": False, "state": "warning"}, file)
    words = "resumed on cpu, trained on NVIDIA A100 before: it continues up to rounding, not to the last bit"
    assert words in (parts / "run.log").read_text()
    assert_same_end(whole, parts, result, resumed)


def test_resume__continues_pretraining(data, tmp_path):
    settings = {
        "model": "S3Rec",
        "train_stage": "pretrain",
        "pretrain_epochs": 4,
        "save_step": 3,
        "epochs": 1,
        "n_layers": 1,
        "item_attribute": "kind",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind"]},
    }
    write_kinds(data / "tiny", items=20)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, settings)
    assert train(data, parts, settings, stop_at=2) is None
    resumed = train(data, parts, settings, run_folder.newest_checkpoint(parts))
    assert_same_end(whole, parts, result, resumed)
    assert same(state_in(whole / "S3Rec-tiny-3.pth"), state_in(parts / "S3Rec-tiny-3.pth"))


# Damage -------------------------------------------------------------------------------------------------------------


EARLY_BEST = {**SAMREC, "epochs": 5, "learning_rate": 1e-7}
"""Learns so slowly that no ranking changes: the first epoch stays the best."""


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> tuple[Path, dict]:
    """A run of 5 epochs, the first of which is the best."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    result = train(data, folder, EARLY_BEST)
    assert result["best_epoch"] == 0
    return folder, result


@pytest.fixture
def stopped(data, tmp_path) -> Path:
    """The same run, stopped in its last epoch."""
    train(data, tmp_path / "stopped", EARLY_BEST, stop_at=4)
    return tmp_path / "stopped"


def truncate(file: Path, share: float = 0.5) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_resume__loses_one_epoch_for_a_damaged_checkpoint(data, stopped, finished, share):
    truncate(stopped / "last.pth", share)
    notes = []
    resume = run_folder.newest_checkpoint(stopped, notes.append)
    assert resume == stopped / "previous.pth"
    assert len(notes) == 1 and "last.pth" in notes[0]
    result = train(data, stopped, EARLY_BEST, resume)
    assert_same_end(finished[0], stopped, finished[1], result)


def test_resume__replaces_no_good_checkpoint_by_a_damaged_one(data, stopped, monkeypatch):
    truncate(stopped / "last.pth")
    good, replace = (stopped / "previous.pth").read_bytes(), checkpoint_io.os.replace

    def killed(source, target):
        if Path(target).name == "last.pth":
            raise Stopped
        replace(source, target)

    monkeypatch.setattr(checkpoint_io.os, "replace", killed)
    assert train(data, stopped, EARLY_BEST, stopped / "previous.pth") is None
    assert (stopped / "previous.pth").read_bytes() == good


def test_resume__rejects_damaged_best_weights_at_once(data, stopped):
    truncate(stopped / "best.pth")
    with pytest.raises(CheckpointError, match=r"best\.pth.*best weights so far, those of epoch"):
        train(data, stopped, EARLY_BEST, stopped / "last.pth", stop_at=4)


def test_resume__restores_best_weights_from_the_same_epoch(data, tmp_path):
    settings = RUNS["never scored"]  # every epoch counts as the best
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(data, whole, settings)
    train(data, parts, settings, stop_at=2)
    truncate(parts / "best.pth")
    resumed = train(data, parts, settings, run_folder.newest_checkpoint(parts), stop_at=2)
    assert resumed is None and same(state_in(parts / "best.pth"), state_in(parts / "last.pth"))
    assert_same_end(whole, parts, result, train(data, parts, settings, parts / "last.pth"))


def test_save_checkpoint__keeps_the_last_one_on_a_full_disk(data, tmp_path, finished, monkeypatch):
    folder, settings = tmp_path / "run", EARLY_BEST
    with monkeypatch.context() as patch:
        synced, sync = [], checkpoint_io.os.fsync

        def full_disk(handle):
            synced.append(handle)
            if len(synced) > 12:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(handle)

        patch.setattr(checkpoint_io.os, "fsync", full_disk)
        with pytest.raises(CheckpointError, match=r"No space left on device.*the last good checkpoint is kept"):
            train(data, folder, settings)
    assert list(folder.glob(".*")) == []
    resumed = train(data, folder, settings, run_folder.newest_checkpoint(folder))
    assert_same_end(finished[0], folder, finished[1], resumed)


def test_resume__works_in_another_folder(data, tmp_path, stopped, finished):
    other = tmp_path / "other"
    result = train(data, other, EARLY_BEST, stopped / "last.pth")
    assert_same_end(finished[0], other, finished[1], result)


def test_resume__rejects_folders_without_a_run(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such run"):
        run_folder.newest_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no checkpoint found"):
        run_folder.newest_checkpoint(tmp_path)
    (tmp_path / "last.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of its checkpoints can be read"):
        run_folder.newest_checkpoint(tmp_path)


# The command line ---------------------------------------------------------------------------------------------------

TINY = ["--model=BPR", "--dataset=tiny", "--embedding_size=8", "--epochs=2", "--train_batch_size=64"]


def command(data: Path, *arguments: str) -> int:
    return main(["run", f"--data_path={data}", *arguments])


def test_resume__names_both_values_of_a_conflicting_setting(data, tmp_path, capsys):
    assert command(data, *TINY, "--run_dir=one", "--learning_rate=0.01") == 0
    assert command(data, "--resume=one", "--learning_rate=0.5") == 2
    message = capsys.readouterr().err
    assert "learning_rate=0.5" in message and "learning_rate=0.01" in message
    assert command(data, "--resume=one", "--epochs=3", "--learning_rate=0.01") == 0
    assert state_in(Path("one/last.pth"))["epoch"] == 2


def test_resume_auto__takes_the_newest_run_of_equal_settings(data, tmp_path, capsys):
    assert command(data, *TINY, "--resume=auto") == 0
    assert "starting a new one" in capsys.readouterr().out
    (first,) = Path("runs").iterdir()
    assert command(data, *TINY, "--learning_rate=0.5", "--resume=auto") == 0
    assert "starting a new one" in capsys.readouterr().out
    other = next(folder for folder in Path("runs").iterdir() if folder != first)
    before = (other / "last.pth").read_bytes()
    shutil.copytree(first, "runs/newest")
    os.utime("runs/newest/config.yaml")
    (first / "result.json").unlink()
    Path("runs/newest/result.json").unlink()
    assert command(data, *TINY, "--resume=auto") == 0
    assert "a new one begins" not in capsys.readouterr().out
    assert Path("runs/newest/result.json").exists() and not (first / "result.json").exists()
    assert (other / "last.pth").read_bytes() == before
    assert len(list(Path("runs").iterdir())) == 3


def test_run__starts_again_after_a_kill_in_the_first_epoch(data, tmp_path):
    Path("run").mkdir()
    Path("run/config.yaml").write_text("model: BPR\n")
    assert command(data, "--resume=run") == 2
    assert command(data, *TINY, "--run_dir=run") == 0


def test_run__overwrites_no_other(data, tmp_path, capsys):
    assert command(data, *TINY, "--run_dir=run") == 0
    assert command(data, *TINY, "--run_dir=run") == 2
    assert "resume it with --resume=run" in capsys.readouterr().err


# Every model --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("model", registry.model_names())
def test_resume__works_for_every_model(model, toy, tmp_path, clusters):
    skip_without_package(model)
    settings = {"epochs": 2, "pretrain_epochs": 2, "save_step": 1, "dataset": "toy", "model": model}
    settings |= settings_of(model)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = train(toy, whole, settings)
    if result["epochs_run"] == 1:
        pytest.skip("it is computed at once")
    assert train(toy, parts, settings, stop_at=1) is None
    assert_same_end(whole, parts, result, train(toy, parts, settings, run_folder.newest_checkpoint(parts)))
