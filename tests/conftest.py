"""What all tests share: the CPU with one thread, a folder of their own, and no command line that RecBole could read."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # many tests compare bits, which a GPU rounds in another order

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
    """Run every test in an empty folder, so that nothing is scattered and nothing is found that lies about."""
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
    """The folder of a data set ``toy`` with everything that a model may ask for; nothing is written there."""
    path = tmp_path_factory.mktemp("everything")
    write_everything(path)
    return path


def pytest_collection_modifyitems(items):
    """Begin with the files that start Ray, which take longest, so that no process is left with one at the end."""
    with_ray = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: item.path not in with_ray)
