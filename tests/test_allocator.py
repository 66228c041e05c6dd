"""Memory that the process keeps: nothing but time and space may change by it."""

import platform
import sys

import pytest
from tiny import build, make_config, random_events, write_events

from recbole_samrec import trainer
from recbole_samrec.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_glibc_takes_the_setting():
    assert keep_freed_memory()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no C library of this name")
def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()


@pytest.mark.parametrize(("training", "fast", "kept"), [("prefix", True, 1), ("prefix", False, 0), ("packed", True, 0)])
def test_only_rows_of_prefixes_need_it(own_folder, monkeypatch, training, fast, kept):
    calls = []
    monkeypatch.setattr(trainer, "keep_freed_memory", lambda: calls.append(1))
    write_events("dataset", "tiny", random_events(users=20, items=15))
    build(make_config("SAMRec", "dataset", training=training, fast_dropout=fast))
    assert len(calls) == kept
