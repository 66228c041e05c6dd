"""Home directory, token and temporary folder for Ray."""

import os
from pathlib import Path

import pytest

from recbole_samrec.experiments import ray_environment
from recbole_samrec.experiments.ray_environment import choose_token, use_temporary_folder
from recbole_samrec.utils.errors import ConfigError


def test_choose_token__leaves_the_users_own(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    choose_token()
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    choose_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.delenv("RAY_AUTH_TOKEN")


@pytest.mark.parametrize("name", ["missing", "my äpfel", "a" * 60, "file"])
def test_use_temporary_folder__replaces_unusable_ones(own_folder, monkeypatch, name):
    if name != "missing":
        Path("file").touch() if name == "file" else Path(name).mkdir()
    monkeypatch.setenv("TMPDIR", str(own_folder / name))
    with use_temporary_folder():
        assert os.environ["RAY_TMPDIR"] in (ray_environment.tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")
    assert "RAY_TMPDIR" not in os.environ


def test_use_temporary_folder__that_is_not_there(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(ray_environment, "_is_usable", lambda folder: False)
    with pytest.raises(ConfigError, match="set TMPDIR to a folder that can be written"), use_temporary_folder():
        pass
