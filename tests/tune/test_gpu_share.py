"""The part of a GPU that the trials of a search need."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from recbole_samrec.experiments import probe
from recbole_samrec.tune.gpu_share import measure_gpu_share
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.trials import TrialTask


def make_fake_ray(asked):
    """A Ray that runs tasks in this process and records what they reserve."""

    def remote(**resources):
        asked.update(resources)
        return lambda function: SimpleNamespace(remote=function)

    return SimpleNamespace(remote=remote, get=list)


def measure(space, cost, monkeypatch):
    """Measure the share, and return it with the settings that were probed and the resources of a probe."""
    probed, asked = [], {}
    monkeypatch.setattr(probe, "probe_cost", lambda job: probed.append(dict(job.settings)) or cost(job.settings))
    task = TrialTask("SAMRec", {"dataset": "tiny"}, make_space(space, "space"), (7,), "hash", start=Path.cwd())
    return measure_gpu_share(make_fake_ray(asked), task, threads=1), probed, asked


def test_measure_gpu_share__is_that_of_the_largest_trial(monkeypatch):
    def cost(settings):
        wide = {"CE": 4.0, "SSM": 1.0}[settings["loss_type"]] * settings["hidden_size"]
        return {"gpu_mb": wide * 10, "gpu_total_mb": 10_000.0}

    space = {"hidden_size": [64, 128, 32], "sam_rho": {"loguniform": [0.1, 1.0]}, "loss_type": ["CE", "SSM"]}
    share, probed, asked = measure(space, cost, monkeypatch)
    assert share == 0.72  # (1.3 * 4 * 128 * 10 + 512) / 10000 is 0.7168
    assert asked == {"num_cpus": 1, "num_gpus": 1, "max_calls": 1}
    assert [(one["hidden_size"], one["sam_rho"], one["loss_type"], one["seed"]) for one in probed] == [
        (128, 1.0, "CE", 7),
        (128, 1.0, "SSM", 7),
    ]


@pytest.mark.parametrize("cost", [{"failed": "it was planted"}, {"memory_mb": 1.0, "gpu_total_mb": 0.0}])
def test_measure_gpu_share__is_unknown_if_a_probe_fails(cost, monkeypatch):
    share, probed, _ = measure({"n_layers": [1, 2]}, lambda settings: cost, monkeypatch)
    assert share is None and len(probed) == 1


def test_measure_gpu_share__is_unknown_in_a_wide_space(monkeypatch):
    space = {"sam_variant": ["sam", "asam", "gsam"], "hidden_act": ["gelu", "relu"]}
    share, probed, _ = measure(space, lambda settings: {}, monkeypatch)
    assert share is None and probed == []
