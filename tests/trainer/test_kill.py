"""Runs that are killed with kill -9 repeatedly end in the same bits as an uninterrupted run."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from recbole_samrec.quick_start import run_folder
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils import checkpoint_io
from tests.helpers.checkpoints import assert_same_end
from tests.helpers.paths import ROOT
from tests.helpers.tiny import random_events, write_events

SETTINGS = (
    "--model=SAMRec --dataset=tiny --sam_rho=0.05 --epochs=8 --n_layers=1 --hidden_size=16 --inner_size=32 "
    "--MAX_ITEM_LIST_LENGTH=8 --train_batch_size=64"
).split()
SOMEWHERE, IN_A_SAVE = 20, 10

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def zygote(tmp_path):
    """Run a command in a separate process that dies at a given moment; return how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.zygote"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )

    def carry_out(arguments, moment):
        files = {name: str(tmp_path / name) for name in ("report", "log")}
        job = {"arguments": arguments, "moment": moment, "folder": str(tmp_path), **files}
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield carry_out
    process.stdin.close()
    process.wait()
    process.stdout.close()


def said(tmp_path, word):
    """The numbers that the children reported under a word."""
    lines = (tmp_path / "report").read_text().split("\n") if (tmp_path / "report").exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(word)]


def assert_nothing_lost(tmp_path, folder):
    """Check that every checkpoint is complete, and that the newest has all epochs before the last one that began."""
    epochs = [checkpoint_io.load(file)["epoch"] for file in folder.glob("*.pth")]
    assert max(epochs, default=-1) >= max(said(tmp_path, "began"), default=0) - 1
    if epochs:
        assert checkpoint_io.load(run_folder.newest_checkpoint(folder))["epoch"] == max(epochs)
    return bool(epochs)


def moments(draw, ticks):
    """Twenty moments in half of a run, ten during the writing of checkpoints, in a seeded order.

    The first three calls that make a file safe write the settings of a new run; all later ones write checkpoints.
    """
    anywhere = [("clock", draw.randrange(ticks // 2)) for _ in range(SOMEWHERE)]
    in_a_save = [("call", number) for number in draw.sample(range(4, 22), IN_A_SAVE - 4)]
    in_a_save += [("bytes", draw.randint(1, 4), share) for share in (0.0, 0.1, 0.5, 0.9)]
    mixed = anywhere + in_a_save
    draw.shuffle(mixed)
    return mixed


@pytest.mark.slow
def test_resume__equal_bits_after_thirty_kills(tmp_path, zygote):
    write_events(tmp_path / "data", "tiny", random_events())
    new = [*SETTINGS, f"--data_path={tmp_path / 'data'}"]
    whole = tmp_path / "whole"
    assert zygote(["run", *new, f"--run_dir={whole}"], ("clock",)) == 0, (tmp_path / "log").read_text()
    ahead = moments(random.Random(0), said(tmp_path, "ticks")[0])
    killed, runs = [], 0
    while len(killed) < SOMEWHERE + IN_A_SAVE:
        folder, runs, status = tmp_path / f"run{runs}", runs + 1, signal.SIGKILL
        (tmp_path / "report").unlink(missing_ok=True)
        while status == signal.SIGKILL:
            begun = folder.exists() and assert_nothing_lost(tmp_path, folder)
            arguments = [f"--resume={folder}"] if begun else [*new, f"--run_dir={folder}"]
            moment = ahead[0] if ahead else ("never",)
            status = zygote(["run", *arguments], moment)
            if status == signal.SIGKILL:
                killed.append(ahead.pop(0))
        assert status == 0, (tmp_path / "log").read_text()
        results = [json.loads((path / RESULT).read_text()) for path in (whole, folder)]
        assert_same_end(whole, folder, *results)
        assert list(folder.glob(".*")) == []
    kinds = [kind for kind, *_ in killed]
    assert kinds.count("clock") == SOMEWHERE and len(kinds) == SOMEWHERE + IN_A_SAVE
