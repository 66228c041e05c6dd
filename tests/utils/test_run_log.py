"""The log of a run continues if it cannot be written."""

import logging

import pytest

from recbole_samrec.utils.run_log import RunLog
from tests.helpers.disks import make_disk


@pytest.fixture
def disk(own_folder):
    """A disk in the working folder."""
    with make_disk(own_folder / "disk") as disk:
        yield disk


def test_run_log__counts_lines_that_a_full_disk_refuses(disk, capfd):
    log = logging.Logger("run")
    log.addHandler(RunLog(disk.folder / "run.log", encoding="utf-8"))
    log.info("first")
    disk.fill(0)
    for line in ("x" * 5000, "y" * 5000, "z" * 5000):
        log.info(line)
    disk.repair()
    log.info("last")
    log.handlers[0].close()
    lines = (disk.folder / "run.log").read_text().splitlines()
    assert lines[0] == "first" and lines[-1] == "last" and any("lines are missing here" in line for line in lines)
    assert capfd.readouterr().err == ""
