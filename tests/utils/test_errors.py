"""Errors for the user are told on one line."""

import pytest

from recbole_samrec.utils import errors


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
