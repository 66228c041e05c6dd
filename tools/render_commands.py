"""The arguments of all commands as Markdown, from the parsers behind ``--help``; for the page of commands."""

from __future__ import annotations

import argparse
import re
import textwrap

from recbole_samrec.cli.main import COMMANDS, build_parser
from tools.markdown import code, escape, make_table

HEAD = ("argument", "default", "meaning")
DEFAULT = re.compile(r"(?: \(|; )default: (?P<value>.*)\)$")


def render_commands() -> str:
    """Return a section for each command."""
    return "\n".join(_render(name, find_parser(name)) for name in COMMANDS)


def find_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command, with its arguments."""
    actions = build_parser(name)._actions
    commands = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices[name]


def _render(name: str, parser: argparse.ArgumentParser) -> str:
    parts = [f"## {name}\n", f"{escape(parser.description or '')}\n", f"```text\n{parser.usage}\n```\n"]
    for group in parser._action_groups:
        rows = [_row(action) for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if rows:
            parts.append(f"**{escape(group.title or '')}**\n\n{make_table(HEAD, rows)}")
    (examples,) = re.findall(r"^Examples:\n((?:  .*\n?)+)", parser.epilog or "")
    parts.append(f"**Examples**\n\n```bash\n{textwrap.dedent(examples)}\n```\n")
    return "\n".join(parts)


def _metavar(action: argparse.Action) -> str:
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
    about = DEFAULT.sub(lambda match: ")" if match[0].startswith(";") else "", text or "")
    return names, escape(found["value"]) if found else "", escape(about)
