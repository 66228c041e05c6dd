"""Two processes that use one folder."""

import subprocess
import sys

import pytest

from recbole_samrec.utils.errors import UserError
from recbole_samrec.utils.locks import lock_folder

HOLD = """
import sys
from pathlib import Path
from recbole_samrec.utils.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of ``tmp_path``."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lock_folder__refuses_a_second_process(holder, tmp_path):
    problem = f"{tmp_path}: another process is at work there; wait for it, or stop it"
    with pytest.raises(UserError, match=problem), lock_folder(tmp_path):
        pass


def test_lock_folder__is_free_after_a_kill(holder, tmp_path):
    holder.kill()
    holder.wait()
    with lock_folder(tmp_path):
        pass


def test_lock_folder__leaves_nothing(tmp_path):
    with lock_folder(tmp_path), lock_folder(tmp_path):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
