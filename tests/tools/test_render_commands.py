"""The page of commands agrees with ``--help``."""

import argparse
import re

import pytest

from recbole_samrec.cli.main import COMMANDS
from recbole_samrec.config.command_options import CompareOptions
from tools.render_commands import find_parser, render_commands


@pytest.fixture(scope="module")
def sections():
    _, *parts = re.split(r"^## (\w+)\n", render_commands(), flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_page__has_a_section_for_each_command(sections):
    assert list(sections) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_section__names_every_argument(command, sections):
    cells = re.findall(r"^\| `(-?-?[\w-]+)", sections[command], re.M)
    actions = [action for action in find_parser(command)._actions if not isinstance(action, argparse._HelpAction)]
    assert sorted(cells) == sorted(
        action.option_strings[0] if action.option_strings else (action.metavar or action.dest.upper())
        for action in actions
    )


def test_section__shows_defaults_of_the_function(sections):
    rows = dict(re.findall(r"^\| `--(\w+)[^|]*\| ([^|]*) \|", sections["compare"], re.M))
    default = CompareOptions.model_fields["seeds"].default
    assert rows["seeds"].strip() == str(default)
