"""Requirements on a GPU, as plain functions of a folder, each of which raises if its requirement fails.

They run in a process that has a device: a simulated one, or a real one, where ``benchmarks/gpu_check.py`` also calls
them. They need neither pytest nor anything else that training does not need.
"""

import contextlib
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch

from tests.helpers.checkpoints import same, state_in
from tests.helpers.device_counts import DeviceCounter, watch_phases
from tests.helpers.tiny import SMALL, random_events, write_events, write_kinds

TRANSFORMER = {
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2,
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "train_batch_size": 48,
}
PAIRS = {"train_batch_size": 64}
"""Settings of models that learn from pairs of users and items."""
PRETRAINING = {"train_stage": "pretrain", "pretrain_epochs": 2, "pretrain_batch_size": 8}
WITH_KINDS = {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind"]}}
WITH_KINDS["item_attribute"] = "kind"


def _case(model, training=None, **settings):
    return {"model": model, "sam_rho": 0.3, **({"training": training} if training else {}), **settings}


def _without(settings, *keys):
    return {key: value for key, value in settings.items() if key not in keys}


TRANSFORMERS = ("SAMRec", "CL4SRec", "DuoRec", "gSASRec", "SASRecOriginal", "eSASRec", "SASRec")
MODELS = {f"{name} packed": _case(name, "packed", **TRANSFORMER) for name in TRANSFORMERS}
MODELS |= {
    "GRU4Rec packed": _case("GRU4Rec", "packed", loss_type="CE", train_neg_sample_args=None, train_batch_size=48),
    "BSARec prefix": _case("BSARec", "prefix", **TRANSFORMER),
    "S3Rec pretrain packed": _case("S3Rec", "packed", **TRANSFORMER, **WITH_KINDS, **PRETRAINING),
    "S3Rec finetune packed": _case("S3Rec", "packed", **TRANSFORMER, **WITH_KINDS, train_stage="finetune"),
    "BPR": _case("BPR", **PAIRS),
    "LightGCN": _case("LightGCN", **PAIRS),
}
"""A training of each model, by the name of its line in the table of counts."""
for _name in ("gSASRec", "SASRecOriginal", "eSASRec"):  # they draw their own negatives
    MODELS[f"{_name} packed"] = _without(MODELS[f"{_name} packed"], "loss_type", "train_neg_sample_args")

VARIANTS = {
    f"SAMRec {name}": {**MODELS["SAMRec packed"], "sam_variant": name}
    for name in ("asam", "gsam", "fsam", "msam", "looksam", "random")
}
VARIANTS["SAMRec looksam"]["looksam_k"] = 2
VARIANTS["SAMRec without SAM"] = {**MODELS["SAMRec packed"], "sam_rho": 0.0}
VARIANTS["SAMRec averaged"] = {**MODELS["SAMRec packed"], "weight_average": "ema 0.99"}
VARIANTS["SAMRec clipped"] = {**MODELS["SAMRec packed"], "clip_grad_norm": 1.0}

AMP = {
    "SAMRec bf16": {**MODELS["SAMRec packed"], "enable_amp": True, "amp_dtype": "bfloat16"},
    "SAMRec fp16": {**MODELS["SAMRec packed"], "enable_amp": True, "amp_dtype": "float16", "enable_scaler": True},
}

_SAMPLED = {**_without(MODELS["SAMRec packed"], "train_neg_sample_args"), "loss_type": "SSM", "n_negatives": 8}
LOSSES = {
    "SAMRec BPR": {**_without(_SAMPLED, "n_negatives"), "loss_type": "BPR"},
    "SAMRec SSM": _SAMPLED,
    "SAMRec SSM sparse": {**_SAMPLED, "embedding_update": "sparse"},
}

PREFIX = {f"{name} prefix": {**MODELS[f"{name} packed"], "training": "prefix"} for name in (*TRANSFORMERS, "GRU4Rec")}
PREFIX["S3Rec pretrain prefix"] = {**MODELS["S3Rec pretrain packed"], "training": "prefix"}
PREFIX["S3Rec finetune prefix"] = {**MODELS["S3Rec finetune packed"], "training": "prefix"}

CASES = {**MODELS, **VARIANTS, **AMP, **LOSSES, **PREFIX}
"""All trainings whose counts are in the table, by name."""


class Device:
    """A real device, or its stand-in.

    Args:
        kind: Type of the device: ``cuda``, or the name of the simulated one.
        simulated: The simulated device, if it is one.
    """

    def __init__(self, kind, simulated=None):
        self.kind, self.simulated = kind, simulated

    def generator_state(self):
        """Return the state of the device's generator."""
        if self.simulated is not None:
            return self.simulated.get_state()
        return torch.cuda.get_rng_state() if self.kind == "cuda" else torch.get_rng_state()

    @contextlib.contextmanager
    def repeatable(self):
        """Use kernels with repeatable results where they exist; those of the CPU are repeatable."""
        if self.kind != "cuda":
            yield
            return
        before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])

    @contextlib.contextmanager
    def counting(self):
        """Count the costs of a block on the device."""
        counter = DeviceCounter(self.generator_state)
        with watch_phases(counter):
            if self.simulated is None:
                with counter:
                    yield counter
                return
            self.simulated.counter = counter
            try:
                yield counter
            finally:
                self.simulated.counter = None


def write_data(folder) -> str:
    """Write the data set ``tiny``: 24 users with 5 to 14 events, 20 items of several kinds."""
    write_kinds(write_events(folder, "tiny", random_events(24)), 20)
    return str(folder)


def make_run_config(data, run_dir, device, **settings):
    """Make RecBole's configuration of a run, and check that it chose the device."""
    from recbole_samrec.config.build import configure

    Path(run_dir).mkdir(parents=True, exist_ok=True)
    places = {"dataset": "tiny", "data_path": str(data), "run_dir": str(run_dir), "checkpoint_dir": str(run_dir)}
    config = configure({**SMALL, "topk": [5], "valid_metric": "NDCG@5", **places, **settings}, {})
    expected = "cpu" if settings.get("use_gpu") is False else device.kind
    assert config["device"].type == expected, f"RecBole chose {config['device']}, not {expected}"
    return config


def train(data, run_dir, device, settings, resume=None, callbacks=()):
    """Train a run to its end.

    Returns:
        Its ``result.json``.
    """
    from recbole_samrec.quick_start import train as quick_start

    config = make_run_config(data, run_dir, device, **settings)
    path = Path(run_dir, "last.pth") if resume is None else Path(resume)
    return quick_start.train(config, path if resume is not None else None, callbacks)


class Stopped(Exception):
    """A run was stopped from outside."""


def stop_in_epoch(epoch):
    """Return a callback that stops a run in the middle of an epoch."""
    from recbole_samrec.trainer.callbacks import Callback

    class StopAt(Callback):
        def on_train_batch_end(self, trainer, now, step):
            if now == epoch:
                raise Stopped

    return StopAt()


def train_until(data, run_dir, device, settings, epoch):
    """Train a run and stop it in the middle of an epoch."""
    with contextlib.suppress(Stopped):
        train(data, run_dir, device, settings, callbacks=[stop_in_epoch(epoch)])
        raise AssertionError(f"the run was to be stopped in epoch {epoch}")


# Checks ---------------------------------------------------------------------------------------------------------


def check_training(device, folder, settings, resumed=True) -> dict:
    """Train and evaluate on the device, count, and check that draws are repeated and that a resumed run ends the same.

    Args:
        device: The device.
        folder: An empty folder.
        settings: Settings of the run.
        resumed: Whether the run is repeated with an interruption.

    Returns:
        Launches, waits and copies per step, and the places of the last two.
    """
    data, whole = write_data(folder), Path(folder, "whole")
    own = {**settings, "epochs": 2 if resumed else 1}
    if settings.get("train_stage") == "finetune":
        before = {**settings, **PRETRAINING, "pretrain_epochs": 1, "sam_rho": 0.0}
        train(data, Path(folder, "before"), device, before)
        own["pre_model_path"] = str(Path(folder, "before", "last.pth"))
    if "pretrain_epochs" in settings:
        own["pretrain_epochs"] = own["epochs"]
    with device.repeatable() if resumed else contextlib.nullcontext():
        with device.counting() as counter:
            result = train(data, whole, device, own)
        assert counter.steps, "no training step was counted"
        if device.kind != "cpu":
            check_draws(counter, settings)
        if resumed:
            parts = Path(folder, "parts")
            train_until(data, parts, device, own, 1)
            continued = train(data, parts, device, own, resume=parts / "last.pth")
            check_same_end(whole, parts, result, continued)
    return {**counter.per_step(), "places": counter.places()}


def check_draws(counter, settings):
    """Check that each second pass used the device's generator in the states of the first pass."""
    by_step = {"forward": defaultdict(list), "second forward": defaultdict(list)}
    for phase, step, state in counter.draws:
        if phase in by_step:
            by_step[phase][step].append(state)
    for step, drawn in by_step["second forward"].items():
        assert drawn == by_step["forward"].get(step), f"SAM's second pass drew other numbers in step {step}"
    drops = any(settings.get(key) for key in ("hidden_dropout_prob", "attn_dropout_prob"))
    if drops and settings["sam_rho"] and settings.get("sam_variant") != "msam":
        assert by_step["second forward"], "no second pass drew anything on the device"


def check_same_end(whole, parts, result, continued):
    """Check that two runs ended with the same weights, optimizer, generators and metrics, bit for bit."""
    for name in ("last.pth", "best.pth"):
        if not Path(whole, name).exists():
            continue
        mine, theirs = state_in(Path(whole, name)), state_in(Path(parts, name))
        different = [key for key in mine if not same(mine[key], theirs.get(key))]
        assert not different, f"{name} of a resumed run differs in {', '.join(different)}"
    for key in ("valid", "test", "best_epoch", "epochs_run"):
        assert result[key] == continued[key], f"{key} of a resumed run differs"


def check_moves(device, folder, settings) -> None:
    """Train on the device, evaluate, recommend and resume on the CPU, and resume on the device again."""
    from rich.console import Console

    from recbole_samrec.quick_start.recommend import Recommender
    from recbole_samrec.quick_start.train import evaluate_weights

    data, run = write_data(folder), Path(folder, "run")
    record = train(data, run, device, {**settings, "epochs": 1})
    scores, items = [], []
    for where in ({}, {"use_gpu": False}):
        config = make_run_config(data, run, device, **settings, **where)
        scores.append(evaluate_weights(config, run / "best.pth")[False]["test"])
        recommender = Recommender(run, console=Console(quiet=True), **where)
        items.append(recommender.recommend("all", k=3))
    assert_close(scores[0], record["test"], "the device's metrics")
    assert_close(scores[0], scores[1], "the metrics on device and CPU")
    assert math.isclose(items[0]["score"].sum(), items[1]["score"].sum(), rel_tol=1e-3), "scores on device and CPU"
    assert (items[0]["item"] == items[1]["item"]).mean() > 0.9, "recommendations on device and CPU differ"
    for epochs, where in ((2, {"use_gpu": False}), (3, {})):
        record = train(data, run, device, {**settings, **where, "epochs": epochs}, resume=run / "last.pth")
        assert record["epochs_run"] == epochs


def assert_close(one, other, what):
    """Check that two dictionaries of metrics are equal up to rounding."""
    for key, value in one.items():
        assert math.isclose(value, other[key], rel_tol=0.05, abs_tol=0.05), f"{what}: {key} {value} and {other[key]}"


def check_fewer_devices(device, folder, settings) -> None:
    """Resume with one visible device a run that was started with two, without any change."""
    data, whole, parts = write_data(folder), Path(folder, "whole"), Path(folder, "parts")
    own = {**settings, "epochs": 2}
    result = train(data, whole, device, own)
    device.simulated.visible = 2
    try:
        train_until(data, parts, device, own, 1)
    finally:
        device.simulated.visible = 1
    continued = train(data, parts, device, own, resume=parts / "last.pth")
    check_same_end(whole, parts, result, continued)


def check_tracked_sharpness(device, folder, settings) -> None:
    """Measure sharpness during training on the device."""
    from recbole_samrec.trainer import sharpness_tracker

    kept, sharpness_tracker.TARGETS = sharpness_tracker.TARGETS, 16
    try:
        own = {**settings, "epochs": 1, "track_sharpness": 1, "n_layers": 1, "train_batch_size": 16}
        record = train(write_data(folder), Path(folder, "run"), device, own)
    finally:
        sharpness_tracker.TARGETS = kept
    (found,) = record["sharpness"]
    assert found["gradient_norm"] > 0 and found["top_eigenvalue"] > 0, f"no sharpness was measured: {found}"


def check_sharpness_report(device, folder, settings) -> None:
    """Measure the curvature, sharpness and surface of the loss of a finished run on the device."""
    from recbole_samrec.sharpness.finished_run import load_run
    from recbole_samrec.sharpness.measure import QUICK, measure_run

    run = Path(folder, "run")
    train(write_data(folder), run, device, {**settings, "epochs": 1, "n_layers": 1})
    few = {"eigenvalues": 1, "products": 4, "trace_probes": 1, "density_steps": 3, "rhos": (0.1,), "climb": 1}
    few |= {"adaptive_rhos": (0.3,), "random_draws": 1, "grid": 3, "points": 3, "noise": (0.0, 0.1), "draws": 1}
    budget = replace(QUICK, targets=16, slope_targets=16, changes=(0.0, 0.2), **few)
    measured = measure_run(load_run(run, 16), budget, Path(folder, "sharpness"), lambda *progress: None)
    assert {"curvature", "sharpness", "line", "surface"} <= set(measured.parts)


def check_cpu_beside_device(device, folder, settings) -> None:
    """Train on the CPU where there is a device, which must not be touched."""
    data = write_data(folder)
    with device.counting() as counter:
        train(data, Path(folder, "run"), device, {**settings, "epochs": 1, "use_gpu": False})
    assert not counter.launches, f"training on the CPU launched kernels: {dict(counter.operations)}"


CHECKS = {
    **{
        f"train {name}": (check_training, (settings, name in MODELS or name in AMP)) for name, settings in CASES.items()
    },
    "moves SAMRec": (check_moves, (MODELS["SAMRec packed"],)),
    "moves BPR": (check_moves, (MODELS["BPR"],)),
    "tracked sharpness SAMRec": (check_tracked_sharpness, (MODELS["SAMRec packed"],)),
    "tracked sharpness GRU4Rec": (check_tracked_sharpness, (MODELS["GRU4Rec packed"],)),
    "sharpness report SAMRec": (check_sharpness_report, (MODELS["SAMRec packed"],)),
    "CPU beside the device": (check_cpu_beside_device, (MODELS["SAMRec packed"],)),
}
"""All checks that a real device can take, by name, with their arguments after device and folder."""
