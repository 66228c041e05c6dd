"""The Makefile sets up .venv once, for all concurrent calls."""

import os
import shutil
import subprocess
import time

import pytest

from tests.helpers.paths import ROOT

PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then
    mkdir -p .venv/bin
    printf '#!/bin/sh\\n' >.venv/bin/python
    chmod +x .venv/bin/python
fi
"""
PIP = """#!/bin/sh
echo "begin $*" >>calls
sleep 0.1
test ! -e fails
"""
WAITING = "Another make is setting up .venv; waiting for it."


@pytest.fixture
def checkout(own_folder):
    """A folder with our Makefile and with stand-ins for Python and pip."""
    for tool in ("make", "flock"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "setup.py"):
        shutil.copy(ROOT / name, own_folder)
    for name, text in {"python": PYTHON, "pip": PIP}.items():
        (own_folder / name).write_text(text)
        (own_folder / name).chmod(0o755)
    return own_folder


def start(target):
    words = ["make", target, "PYTHON=./python", "PIP=./pip"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of a make that tests
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=alone)


def count_calls(checkout):
    return len((checkout / "calls").read_text().splitlines())


def test_make__waits_for_another_one_that_sets_up(checkout):
    first = start(".venv/ready-dev")
    while not (checkout / "calls").exists() and first.poll() is None:
        time.sleep(0.01)
    second = start(".venv/ready-dev")
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert said[1].splitlines() == [WAITING] and WAITING not in said[0]
    assert count_calls(checkout) == 5  # torch, the rest, RecBole, this package, the tools
    third = start(".venv/ready-dev")
    assert "up to date" in third.communicate(timeout=60)[0] and count_calls(checkout) == 5


def test_make__sets_up_again_after_a_failure(checkout):
    (checkout / "fails").touch()
    failed = start(".venv/ready")
    failed.communicate(timeout=60)
    assert failed.returncode == 2 and not (checkout / ".venv/packages").exists()
    (checkout / "fails").unlink()
    again = start(".venv/ready")
    assert "Making .venv" in again.communicate(timeout=60)[0] and again.returncode == 0
    (checkout / ".venv/packages").unlink()  # as after a set-up that was interrupted
    again = start(".venv/ready")
    assert "Making .venv" in again.communicate(timeout=60)[0] and (checkout / ".venv/packages").exists()
