"""A home directory for users who have none."""

import os
import pwd
from pathlib import Path

from recbole_samrec.utils.home import use_own_home


def test_use_own_home__of_an_unknown_user(monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with use_own_home():
        home = Path.home()
        assert home.is_dir() and home.stat().st_mode & 0o777 == 0o700
    assert "HOME" not in os.environ and not home.exists()


def test_use_own_home__leaves_the_users_own(monkeypatch):
    monkeypatch.setenv("HOME", "somewhere")
    with use_own_home():
        assert os.environ["HOME"] == "somewhere"
    assert os.environ["HOME"] == "somewhere"
