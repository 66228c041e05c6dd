"""Tiny searches."""

import contextlib

import pytest

from recbole_samrec.experiments.ray_cluster import Resources, connect_ray
from recbole_samrec.tune import runner
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events


@pytest.fixture(scope="module")
def machine():
    """One Ray for the searches of this file, started like in a search."""
    with connect_ray(Resources(parallel=2)) as ray:
        yield ray


@pytest.fixture
def ray(machine, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(runner, "connect_ray", lambda resources, store_mb: contextlib.nullcontext(machine))
    return machine


@pytest.fixture
def data(own_folder):
    """Users on a circle of items."""
    write_events("dataset", "tiny", cyclic(users=40, items=12))
    return own_folder
