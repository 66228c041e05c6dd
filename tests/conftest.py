"""Shared by all tests: one thread on the CPU, a working folder per test, and no command line for RecBole to read."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Many tests compare bits, which a GPU rounds in another order, so these processes and all that they start compute on
# the CPU. Those with the mark gpu compute in a process of their own, which sees what this one was given.
os.environ.setdefault("RECBOLE_SAMREC_TEST_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import logging
import signal
import sys

import pytest
import torch

import recbole_samrec  # noqa: F401  isort: skip  has RecBole patched when it is imported
import recbole  # noqa: F401  isort: skip  now, rather than in the test that comes first
from tests.helpers.every_model import write_everything

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for jobs in a shell's background, and all that they start
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Run every test in an empty folder, so that tests leave no files behind and find none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["test"])
    root = logging.getLogger()
    root.setLevel(logging.WARNING)  # a run before may have set another
    interrupt = signal.getsignal(signal.SIGINT)
    yield tmp_path
    assert signal.getsignal(signal.SIGINT) is interrupt, "the test left another handler of Ctrl-C"
    for handler in [h for h in root.handlers if getattr(h, "of_a_run", False)]:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The folder of a data set ``toy`` with all data that a model may require; tests do not write to it."""
    path = tmp_path_factory.mktemp("everything")
    write_everything(path)
    return path


def pytest_collection_modifyitems(items):
    """Start with the files that use Ray, which take longest, so that no process is left with one at the end."""
    with_ray = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: item.path not in with_ray)
