"""The command line: ``recbole-samrec COMMAND``, ``python -m recbole_samrec COMMAND`` and ``run_recbole.py``.

Each command is a module of this folder with ``HELP``, ``add_arguments(parser)`` and
``main(arguments, rest, console)``. Only the module of the command that was named is imported, and it imports torch when
its ``main`` runs.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from logging import Handler, getLogger
from typing import Any, NoReturn

from recbole_samrec.utils.errors import ConfigError, UserError, explain_system_error, flatten_message
from recbole_samrec.utils.installer import describe_recbole, find_extra, make_extra_command, make_recbole_command

COMMANDS = {
    "run": "train and test a model",
    "evaluate": "score a finished run again",
    "recommend": "list the best items for users of a run's data set, or for new sequences",
    "export": "write the vectors and weights of a finished run, for an index of nearest neighbors",
    "compare": "train models side by side, into one table",
    "tune": "search the best settings of a model",
    "sharpness": "show how sharp the minima of finished runs are",
    "data": "make a data set from the provider's own file",
    "doctor": "list what is installed, patched, found and missing",
}
"""The commands, each in the module of its name, and what they do."""

ENVIRONMENT = (
    "activate the environment that has it (that of make: . .venv/bin/activate), or see python -m recbole_samrec doctor"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words of the command line, without the program; None for those of this process.

    Returns:
        The exit status: 0; 2 for errors that you can correct, in one line; 1 for unexpected ones; 130 if interrupted.
        Commands may return others.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        name = next((word for word in argv if not word.startswith("-")), "")
        arguments, rest = build_parser(name).parse_known_args(argv)
        if arguments.command != "doctor" and (problem := describe_recbole()):
            raise ConfigError(problem)
        return import_module(f"recbole_samrec.cli.{arguments.command}").main(arguments, rest, _make_console())
    except UserError as error:
        return _report(flatten_message(error), 2, "--debug" in argv)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", __package__.partition(".")[0]):
            return _report_unexpected(error, "--debug" in argv)
        remedy = make_recbole_command() if missing == "recbole" else ENVIRONMENT
        if extra := find_extra(missing):
            remedy = make_extra_command(extra)
        return _report(f"{sys.executable} has no {error.name}: {remedy}", 2, "--debug" in argv)
    except Exception as error:
        return _report_unexpected(error, "--debug" in argv)
    finally:
        for handler in _logs_of_runs():
            getLogger().removeHandler(handler)
            handler.close()


def _make_console() -> Any:
    """Make the console that a command writes to; None if rich is missing, which ``doctor`` reports."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console()


def _report_unexpected(error: Exception, debug: bool) -> int:
    if line := explain_system_error(error):
        return _report(line, 2, debug)
    if _logs_of_runs():
        getLogger().exception("the run ended unexpectedly")
    reason = (str(error).strip().splitlines() or [""])[0]
    return _report(f"unexpected {type(error).__name__}: {reason}; --debug shows where", 1, debug)


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    start, end = ("\x1b[1;31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    print(f"{start}error:{end} {message}", file=sys.stderr)
    return status


def _logs_of_runs() -> list[Handler]:
    return [handler for handler in getLogger().handlers if getattr(handler, "of_a_run", False)]


class _Parser(argparse.ArgumentParser):
    """Parser that reports an invalid argument like any other error, in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the arguments")


def build_parser(name: str) -> argparse.ArgumentParser:
    """Build the parser of all commands, with the arguments of the requested one.

    Raises:
        ConfigError: There is no such command.
    """
    if name and name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise ConfigError(f"{name}: unknown command; {hint}")
    parser = _Parser("recbole-samrec", description="SAMRec and everything to evaluate it by, for RecBole.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command, line in COMMANDS.items():
        module = import_module(f"recbole_samrec.cli.{command}") if command == name else None
        about = module.HELP if module else None
        its_parser = commands.add_parser(command, help=line, description=about, allow_abbrev=False)
        if module:
            module.add_arguments(its_parser)
            its_parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
