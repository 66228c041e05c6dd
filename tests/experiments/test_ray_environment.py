"""Where Ray writes and by what it is opened."""

import os

import pytest

from recbole_samrec.experiments import ray_environment
from recbole_samrec.utils.errors import ConfigError


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No variable of Ray's is set."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR"):
        monkeypatch.setenv(name, "x")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    return monkeypatch


def test_choose_token__is_one_of_this_process():
    ray_environment.choose_token()
    chosen = os.environ["RAY_AUTH_TOKEN"]
    ray_environment.choose_token()
    assert len(chosen) == 64 and os.environ["RAY_AUTH_TOKEN"] == chosen


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_choose_token__leaves_what_the_user_has_set(environment, name):
    environment.setenv(name, "mine")
    ray_environment.choose_token()
    assert os.environ[name] == "mine" and (name == "RAY_AUTH_TOKEN" or "RAY_AUTH_TOKEN" not in os.environ)


def test_use_temporary_folder__replaces_one_that_is_gone(environment):
    environment.setenv("TMPDIR", "/nowhere")
    with ray_environment.use_temporary_folder():
        assert os.path.isdir(os.environ["RAY_TMPDIR"])
    assert "RAY_TMPDIR" not in os.environ


def test_use_temporary_folder__says_if_there_is_none(environment):
    environment.setattr(ray_environment, "_is_usable", lambda folder: False)
    with pytest.raises(ConfigError, match="set TMPDIR to a folder"), ray_environment.use_temporary_folder():
        pass
