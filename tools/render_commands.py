"""The arguments of all commands as Markdown, from the parsers behind ``--help``; for the page of commands."""

from __future__ import annotations

import argparse
import re

from recbole_samrec.cli.main import COMMANDS, build_parser
from tools.markdown import code, escape, make_table

PROGRAM = "python -m recbole_samrec"
HEAD = ("argument", "default", "meaning")
UNNAMED = ("positional arguments", "options")
"""Groups that argparse makes itself."""
DEFAULT = re.compile(r" ?\(default: (?P<value>.*)\)$")


def render_commands() -> str:
    """Return a section for each command."""
    return "\n".join(_render(name, find_parser(name)) for name in COMMANDS)


def find_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command, with its arguments."""
    actions = build_parser(name)._actions
    commands = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices[name]


def _render(name: str, parser: argparse.ArgumentParser) -> str:
    positional = " ".join(_usage(action) for action in parser._actions if not action.option_strings)
    parts = [f"## {name}\n", f"{escape(parser.description or '')}\n"]
    parts.append(f"```text\n{' '.join([PROGRAM, name, *filter(None, [positional]), '[options]'])}\n```\n")
    unnamed, named = [], []
    for group in parser._action_groups:
        rows = [_row(action) for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if group.title in UNNAMED:
            unnamed += rows
        elif rows:
            named.append(f"{escape(group.title or '')}:\n\n{make_table(HEAD, rows)}")
    parts += [make_table(HEAD, unnamed), *named]
    return "\n".join(parts)


def _usage(action: argparse.Action) -> str:
    word = _metavar(action)
    return {"?": f"[{word}]", "+": f"{word} [{word} ...]"}.get(str(action.nargs), word)


def _metavar(action: argparse.Action) -> str:
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    named = action.metavar if isinstance(action.metavar, str) else None
    return named or action.dest.upper()


def _row(action: argparse.Action) -> tuple[str, str, str]:
    """Return the cells of an argument; the default is the one in parentheses at the end of its help."""
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    if action.nargs == "?" and action.option_strings:
        value = f" [{value.strip()}]"
    names = ", ".join(code(name + value) for name in action.option_strings) or code(_metavar(action))
    text = (action.help or "") % {"default": action.default} if "%(default)" in (action.help or "") else action.help
    found = DEFAULT.search(text or "")
    return names, escape(found["value"]) if found else "", escape(DEFAULT.sub("", text or ""))
