"""Resources of runs and the capacity of a cluster."""

import contextlib
from types import SimpleNamespace

import pytest

from recbole_samrec.experiments import ray_cluster
from recbole_samrec.experiments.ray_cluster import (
    MEGABYTE,
    Capacity,
    RayConnection,
    Resources,
    choose_resources,
    measure_capacity,
)
from recbole_samrec.utils.errors import ConfigError


def machines(*memory, **resources):
    """A cluster with these resources and this memory of its computers in megabytes."""
    nodes = [{"Alive": True, "Resources": {"memory": one * MEGABYTE}} for one in memory]
    nodes.append({"Alive": False, "Resources": {"memory": 10**15}})
    context = SimpleNamespace(get_node_id=lambda: "here")
    return SimpleNamespace(
        cluster_resources=lambda: resources, nodes=lambda: nodes, get_runtime_context=lambda: context
    )


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"threads": 0}, "--threads=0: must be a whole number of at least 1"),
        ({"parallel": 0}, "--parallel=0: must be a whole number of at least 1"),
        ({"gpus": 1.5}, "--gpus=1.5: give a part of a GPU"),
        ({"gpus": -1}, "--gpus=-1: must be a number of at least 0"),
    ],
)
def test_choose_resources_rejects_wrong_numbers(resources, words):
    with pytest.raises(ConfigError, match=words):
        choose_resources(**resources)


def test_measure_capacity_counts_cores_and_gpus():
    there = machines(1000, 3000, CPU=8.0, GPU=1.0)
    assert measure_capacity(there, Resources(threads=2)) == Capacity(4, 3000, 4000, "here", gpus=1)
    assert measure_capacity(there, Resources(threads=2, parallel=3)).parallel == 3
    assert measure_capacity(there, Resources(gpus=0.5)).parallel == 2
    with pytest.raises(ConfigError, match="--threads=9: there are not enough cores"):
        measure_capacity(there, Resources(threads=9))
    with pytest.raises(ConfigError, match="--gpus=2: there are not enough GPUs"):
        measure_capacity(there, Resources(gpus=2))


def test_reserved_mb_of_an_unknown_run_is_a_share_of_all():
    assert Capacity(4, 16_000, 16_000, "here").reserved_mb(None) == 2000
    assert Capacity(4, 4000, 4000, "here").reserved_mb(None) == pytest.approx(900)
    assert Capacity(4, 4000, 4000, "here").reserved_mb(5000) == 5000


@pytest.mark.parametrize(
    ("gpus", "settings", "share", "reserved"),
    [
        (None, {}, None, 1),  # nothing is known
        (None, {}, 0.4, 0.4),
        (None, {}, 0.01, 1 / 8),
        (0.25, {}, 0.1, 0.25),
        (0.25, {}, 0.4, 0.4),  # it would not fit
        (0.25, {}, None, 0.25),
        (2, {}, 0.4, 2),
        (0, {}, 0.4, 0),
        (None, {"use_gpu": False}, 0.4, 0),
        (1, {"gpu_id": ""}, 0.4, 0),
    ],
)
def test_reserved_gpus_follow_need_and_wish(gpus, settings, share, reserved):
    there = Capacity(4, 4000, 4000, "here", gpus=2)
    assert there.reserved_gpus(choose_resources(gpus=gpus), settings, share) == reserved
    assert Capacity(4, 4000, 4000, "here").reserved_gpus(Resources(), settings, share) == 0


def test_choose_resources_does_not_ask_cuda(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: pytest.fail("the driver asked CUDA"))
    assert choose_resources().gpus is None


def test_ray_connection__is_opened_once_and_closed(monkeypatch):
    events = []

    @contextlib.contextmanager
    def connect(resources):
        events.append(resources)
        yield "ray"
        events.append("closed")

    monkeypatch.setattr(ray_cluster, "connect_ray", connect)
    with RayConnection(Resources(parallel=3)) as connection:
        assert events == []
        assert connection.open() == connection.open() == "ray"
    assert events == [Resources(parallel=3), "closed"]
    with RayConnection(Resources()):
        pass
    assert len(events) == 2
