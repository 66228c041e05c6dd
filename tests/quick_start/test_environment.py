"""Software and hardware of a run."""

import re
import subprocess
import sys
from types import SimpleNamespace

import psutil
import torch

from recbole_samrec.quick_start import environment


def test_revision__is_dirty_where_code_was_changed(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x", *words], check=True)

    for folder in ("recbole_samrec", "properties", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("before")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message=x")
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    clean = environment.revision()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "results" / "file").write_text("after")
    assert environment.revision() == clean
    (tmp_path / "properties" / "file").write_text("after")
    assert environment.revision() == f"{clean}-dirty"


def test_device_name__counts_the_threads_of_a_cpu():
    words = "1 thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads"
    assert environment.device_name(torch.device("cpu")).endswith(f"({words})")


def test_versions__name_what_a_result_depends_on():
    versions = environment.versions()
    assert versions["recbole"] == "1.2.1" and versions["torch"] == torch.__version__.partition("+")[0]
    assert environment.peak_memory_mb(torch.device("cpu")) > 10


def test_peak_memory__of_windows_is_that_of_the_working_set(monkeypatch):
    """Windows has no module ``resource``."""
    monkeypatch.setattr(environment.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=300 * 2**20))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    assert environment.peak_memory_mb(torch.device("cpu")) == 300
