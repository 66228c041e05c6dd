"""Help of all commands: groups, examples and width."""

import argparse
import importlib
import shlex
import sys

import pytest

from recbole_samrec.cli.help_format import HelpFormatter, format_examples, format_usage, name_program
from recbole_samrec.cli.main import COMMANDS, build_parser
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from tools.render_commands import find_parser

EXAMPLES = [
    (name, words)
    for name in COMMANDS
    for words in importlib.import_module(f"recbole_samrec.cli.{name}").EXAMPLES.values()
]


@pytest.mark.parametrize(("command", "words"), EXAMPLES)
def test_examples__are_accepted_by_the_parser(command, words):
    arguments, rest = build_parser(command).parse_known_args([command, *shlex.split(words)])
    assert arguments.command == command
    check_setting_names(parse_settings(rest))


@pytest.mark.parametrize("command", COMMANDS)
def test_help__has_groups_and_fits_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = find_parser(command)
    text = parser.format_help()
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text
    assert not parser._positionals._group_actions and not parser._optionals._group_actions
    assert all(group.title in text for group in parser._action_groups if group._group_actions)
    assert "\n\nExamples:\n  # " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help__states_the_default_of_every_value(command):
    for action in find_parser(command)._actions:
        if action.default not in (None, False, argparse.SUPPRESS):
            assert "default: " in action.help


@pytest.mark.parametrize(
    ("started", "command", "words"),
    [
        ("/x/run_recbole.py", "run", "python run_recbole.py"),
        ("/x/run_recbole.py", "tune", "python -m recbole_samrec tune"),
        ("/x/bin/recbole-samrec", "run", "recbole-samrec run"),
        ("C/recbole-samrec.exe", "", "recbole-samrec"),
        ("/x/recbole_samrec/__main__.py", "run", "python -m recbole_samrec run"),
    ],
)
def test_name_program__is_the_way_it_was_started(monkeypatch, started, command, words):
    monkeypatch.setattr(sys, "argv", [started])
    assert name_program(command) == words


def test_format_usage__names_positional_arguments():
    parser = argparse.ArgumentParser("do")
    parser.add_argument("one", metavar="ONE", nargs="+")
    parser.add_argument("two", metavar="TWO", nargs="?")
    assert format_usage(parser) == "do ONE [ONE ...] [TWO] [options]"


def test_format_examples__has_two_lines_for_each(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["recbole-samrec"])
    found = format_examples("doctor", {"all": "", "models": "--models"})
    assert found == "Examples:\n  # all\n  recbole-samrec doctor\n  # models\n  recbole-samrec doctor --models"


def test_HelpFormatter__fills_paragraphs_and_keeps_lists():
    text = HelpFormatter("x", width=20)._fill_text("one two three four five\nsix\n\nlist:\n  a   b\n  c", 20, "")
    assert text == "one two three four\nfive six\n\nlist:\n  a   b\n  c"
