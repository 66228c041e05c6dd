"""Tensorboard's files of a run are skipped if they cannot be written."""

import pytest

from recbole_samrec.utils.curves import CurveWriter
from tests.helpers.disks import make_disk


@pytest.fixture
def disk(own_folder):
    """A disk in the working folder."""
    with make_disk(own_folder / "disk") as disk:
        yield disk


def test_curve_writer__writes_nothing_on_a_full_disk(disk, capfd):
    disk.fill(0)
    writer = CurveWriter(str(disk.folder / "tensorboard"))
    for step in range(50):
        writer.add_scalar("loss", 0.5, step)
    writer.add_hparams({"a": 1}, {"score": 0.5})
    writer.close()
    assert capfd.readouterr().err == ""
