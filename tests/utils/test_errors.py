"""Errors of disks in one line."""

import errno
import os

import pytest

from recbole_samrec.cli import main as cli
from recbole_samrec.utils.errors import ConfigError, explain_failure, explain_system_error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device); free some space"),
        (errno.EDQUOT, "Disk quota exceeded); free some space"),
        (errno.EROFS, "Read-only file system); get the permission"),
        (errno.EACCES, "Permission denied); get the permission"),
        (errno.EIO, "Input/output error); check the disk"),
    ],
)
def test_explain_system_error__names_file_and_remedy(number, words):
    error = OSError(number, os.strerror(number), "out/a.csv")
    assert explain_system_error(error) == f"out/a.csv: cannot be read or written ({words}" + (
        ", or choose another folder, and give the command again" if "get" in words else ", and give the command again"
    )
    assert explain_failure(error) == explain_system_error(error)


def test_explain_failure__of_other_errors():
    assert explain_system_error(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")) is None
    assert explain_failure(ConfigError("lr: wrong")) == "lr: wrong"
    assert explain_failure(KeyError("a")) == "unexpected KeyError: 'a'"


def test_main__reports_a_full_disk_in_one_line(monkeypatch, capsys):
    def fail(name):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cli, "import_module", fail)
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
