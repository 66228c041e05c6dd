"""The form of ``--help``: usage, description, groups of options, and examples, for a terminal of any width."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

PROGRAM, SCRIPT = "recbole-samrec", "run_recbole.py"


class HelpFormatter(argparse.HelpFormatter):
    """Fill paragraphs to the width of the terminal; leave indented ones, such as examples, as they are."""

    def __init__(self, prog: str, indent_increment: int = 2, max_help_position: int = 26, **how) -> None:
        super().__init__(prog, indent_increment, max_help_position, **how)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(one if "\n " in one else "\n".join(self._split_lines(one, width)) for one in paragraphs)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def name_run_command() -> str:
    """Return the command that trains a model: the script of this repository where it is, else the module."""
    return f"python {SCRIPT}" if Path(SCRIPT).exists() else "python -m recbole_samrec run"


def name_program(command: str = "") -> str:
    """Return the words that start this program, or one of its commands, as it was started now."""
    started = Path(sys.argv[0]).name
    if command == "run" and started == SCRIPT:
        return f"python {SCRIPT}"
    program = PROGRAM if Path(started).stem == PROGRAM else "python -m recbole_samrec"
    return f"{program} {command}".rstrip()


def format_usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage of a command in one line: its positional arguments, and a word for all options."""
    words = []
    for action in parser._actions:
        if not action.option_strings:
            words.append({"?": "[{}]", "+": "{0} [{0} ...]"}.get(str(action.nargs), "{}").format(action.metavar))
    return " ".join([parser.prog, *words, "[options]"])


def format_examples(command: str, examples: Mapping[str, str]) -> str:
    """Return the examples of a command.

    Args:
        command: Name of the command.
        examples: What an example is for, and its arguments.
    """
    program = name_program(command)
    lines = (f"  # {remark}\n  {program} {words}".rstrip() for remark, words in examples.items())
    return "\n".join(["Examples:", *lines])
