"""The processes of a run are counted, and converted to settings of RecBole."""

import pytest

from recbole_samrec.quick_start import processes
from recbole_samrec.quick_start.processes import Processes
from recbole_samrec.utils.errors import ConfigError


def test_processes__need_at_least_one():
    with pytest.raises(ConfigError, match=r"^--nproc=0: give a number of at least 1$"):
        Processes(nproc=0)


@pytest.mark.parametrize("nproc, world, several", [(1, None, False), (2, None, True), (1, 4, True), (1, 1, False)])
def test_processes__are_several_on_one_or_more_machines(nproc, world, several):
    assert Processes(nproc, world).several is several


def test_processes__have_recboles_settings(monkeypatch):
    monkeypatch.setattr(processes, "_find_free_port", lambda: 4321)
    expected = {"nproc": 2, "world_size": 2, "ip": "localhost", "port": "4321", "offset": 0}
    assert Processes(2).settings == expected
    many = Processes(2, world_size=6, ip="10.0.0.1", port=99, group_offset=4)
    assert many.settings == {"nproc": 2, "world_size": 6, "ip": "10.0.0.1", "port": "99", "offset": 4}
