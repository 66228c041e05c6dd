"""Errors for the user are formatted on one line; disk errors include a remedy."""

import errno
import os

import pytest

from recbole_samrec.cli import main as cli
from recbole_samrec.utils import errors
from recbole_samrec.utils.errors import ConfigError, explain_failure, explain_system_error


@pytest.mark.parametrize("name", ["ConfigError", "DataError", "CheckpointError", "TrainingError"])
def test_user_error__is_a_value_error_for_callers_in_python(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.UserError) and issubclass(kind, ValueError)


def test_flatten_message__puts_all_lines_on_one():
    assert flat(ValueError("while parsing\n  a block\tmapping\r\n")) == "while parsing a block mapping"


def test_flatten_message__names_the_type_of_an_empty_one():
    assert [flat(KeyboardInterrupt()), flat(ValueError(" \n"))] == ["KeyboardInterrupt", "ValueError"]


def flat(error):
    return errors.flatten_message(error)


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
