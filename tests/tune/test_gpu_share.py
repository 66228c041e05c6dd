"""The share of a GPU that the trials of a search need."""

import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbole_samrec.experiments import probe
from recbole_samrec.tune.api import search
from recbole_samrec.tune.gpu_share import measure_gpu_share
from recbole_samrec.tune.runner import make_task
from recbole_samrec.tune.search_spec import plan_search
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.tune.trials import TrialTask
from tests.helpers.jobs import SEEING
from tests.helpers.paths import ROOT
from tests.helpers.searches import SMALL


def make_fake_ray(asked):
    """A Ray that runs tasks in this process and records the resources that they reserve."""

    def remote(**resources):
        asked.update(resources)
        return lambda function: SimpleNamespace(remote=function)

    return SimpleNamespace(remote=remote, get=list)


def measure(space, cost, monkeypatch):
    """Measure the share, and return it with the probed settings and the resources of a probe."""
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


@pytest.mark.slow
@pytest.mark.ray
def test_search__gives_each_trial_a_gpu(data, monkeypatch):
    """Two trials run on two GPUs that only Ray believes to have; their needs are unknown, as no probe sees a GPU."""
    import ray

    Path("own.py").write_text(SEEING)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(ray, "init", partial(ray.init, num_gpus=2))
    given = {"epochs": 1, "topk": [5], "valid_metric": "NDCG@5", "embedding_size": 8, "together": 1}
    space = {"learning_rate": [0.01, 0.02]}
    result = search("own.py:Seeing", "tiny", space, algorithm="grid", out="out", parallel=2, **given)
    assert result.complete and result.trial is not None, result
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    seen = [json.loads(Path(f"out/trials/00{number}/seen.json").read_text()) for number in range(2)]
    assert seen.pop(result.trial) == {"gpus": None, "use_gpu": False}  # where this process scored the best weights
    assert seen[0]["gpus"] in ("0", "1") and seen[0]["use_gpu"]


def test_make_task__moves_trials_to_the_cpu(data):
    space = {"sam_rho": [0.1, 0.2, 0.3]}
    found = plan_search("SAMRec", "tiny", space, Strategy(trials=3), [1], None, given=SMALL)
    for on_gpu in (True, False):
        settings = make_task(found, 1, on_gpu).make_job({"sam_rho": 0.1}, 1, Path()).settings
        assert settings.get("use_gpu", True) is on_gpu
