"""Memory that the process keeps affects only time and space."""

import os
import platform
import subprocess
import sys

import pytest

from recbole_samrec.trainer import trainer
from recbole_samrec.utils import malloc
from recbole_samrec.utils.malloc import (
    LARGE_PAGES,
    keep_freed_memory,
    release_freed_memory,
    request_large_pages,
)
from tests.helpers.paths import ROOT
from tests.helpers.tiny import build, make_config, random_events, write_events


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_keep_freed_memory__glibc_takes_the_setting():
    assert keep_freed_memory()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no C library of this name")
def test_keep_freed_memory__another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
    assert not release_freed_memory(0)


def test_keep_freed_memory__windows_is_not_asked_for_a_c_library(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("Python raises a TypeError there"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory() and not release_freed_memory(0)


def test_release_freed_memory__ends_each_epoch(own_folder, monkeypatch):
    calls = []
    monkeypatch.setattr(trainer, "release_freed_memory", lambda: calls.append(1))
    write_events("dataset", "tiny", random_events(users=20, items=15))
    loaders, _, fitted = build(make_config("SAMRec", "dataset", epochs=3))
    fitted.fit(loaders[0], saved=False)
    assert len(calls) == 3


FRAGMENTED = """
import sys, torch
from recbole_samrec.utils.malloc import release_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2 ** 20

pieces = [torch.ones(2 ** 14) for _ in range(4000)]   # 64 kB each, too small to be mapped one by one
del pieces[::2]
before = resident()
print(release_freed_memory(int(sys.argv[1])), before - resident(), sum(float(piece.sum()) for piece in pieces))
"""


@pytest.mark.skipif(platform.libc_ver() < ("glibc", "2.33"), reason="only glibc 2.33 or later knows what is free")
@pytest.mark.parametrize("much", [2**20, 2**30])
def test_trim__gives_back_much_memory_between_tensors_in_use(much):
    environment = os.environ | {"PYTHONPATH": str(ROOT), LARGE_PAGES: "0"}
    command = [sys.executable, "-c", FRAGMENTED, str(much)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    given, megabytes, left = printed[0] == "True", float(printed[1]), float(printed[2])
    assert given == (much == 2**20)
    assert megabytes > 90 if given else megabytes < 10  # 2000 tensors were 125 MB
    assert left == 2000 * 2**14


@pytest.mark.parametrize(("training", "fast", "kept"), [("prefix", True, 1), ("prefix", False, 0), ("packed", True, 0)])
def test_keep_freed_memory__is_for_prefixes_only(own_folder, monkeypatch, training, fast, kept):
    calls = []
    monkeypatch.setattr(trainer, "keep_freed_memory", lambda: calls.append(1))
    write_events("dataset", "tiny", random_events(users=20, items=15))
    build(make_config("SAMRec", "dataset", training=training, fast_dropout=fast))
    assert len(calls) == kept


HUGE = """
import sys, torch
if sys.argv[1:]: import recbole_samrec
table = torch.ones(2 ** 25)
lines = open("/proc/self/smaps").read().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")) // 1024)
"""


def megabytes_of_large_pages(*arguments: str, **variables: str) -> int:
    """The megabytes in large pages of a process with a tensor of 128 MB; with arguments it imports this package."""
    environment = {name: value for name, value in os.environ.items() if name != LARGE_PAGES}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", HUGE, *arguments]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has them by this name")
def test_request_large_pages__large_tensors_are_in_large_pages():
    if megabytes_of_large_pages(**{LARGE_PAGES: "1"}) < 64 or megabytes_of_large_pages(**{LARGE_PAGES: "0"}) >= 64:
        pytest.skip("the system does not leave it to programs, or has none at the moment")
    assert megabytes_of_large_pages("ours") >= 64


@pytest.mark.parametrize(("there", "given", "expected"), [(True, None, "1"), (True, "0", "0"), (False, None, None)])
def test_request_large_pages__depends_on_the_system(own_folder, monkeypatch, there, given, expected):
    monkeypatch.setattr(malloc, "KERNELS", own_folder if there else own_folder / "none")
    environment = {LARGE_PAGES: given} if given else {}
    monkeypatch.setattr(os, "environ", environment)
    request_large_pages()
    assert environment.get(LARGE_PAGES) == expected
