"""``recommend``: lists the best items for users of a run's data set, or for new sequences of items."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recbole_samrec.cli.options import add_options
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import RecommendOptions
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.tables import require_new_file, write_table

if TYPE_CHECKING:
    import pandas as pd

HELP = """Recommend items to users of a run's data set, by their whole history, or for new sequences of items. Settings
given as --key=value replace those of the run."""
EXAMPLES = {
    "ten items for each of two users": "runs/SASRec --users=196,186",
    "recommendations for all users, written to a file": "runs/SASRec --users=all --out=top.csv",
    "items for new sequences": "runs/SASRec --sequences=sessions.csv",
}
SHOWN = 20
"""Largest number of users whose recommendations are shown on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``recommend``."""
    whom = parser.add_argument_group("Users (one of these)").add_mutually_exclusive_group(required=True)
    whom.add_argument("--users", metavar="A,B|all", help="users of the data set")
    lines = "text file with one user per line, or .csv, .tsv or .parquet with a column user"
    whom.add_argument("--users_file", metavar="FILE", type=Path, help=lines)
    events = ".csv, .tsv or .parquet with columns user and item, and optionally timestamp"
    whom.add_argument("--sequences", metavar="FILE", type=Path, help=events)
    add_options(parser, RecommendOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Recommend items, and write or print them.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where results and notes are printed.

    Raises:
        UserError: The arguments, the run or the data cannot be used.
    """
    settings, out = parse_settings(rest), arguments.out
    if not arguments.model:
        check_setting_names(settings)
    if out:
        require_new_file(out, arguments.overwrite)

    from recbole_samrec.data.user_lists import read_users, split_users
    from recbole_samrec.quick_start.recommend import Recommender

    recommender = Recommender(arguments.run, model=arguments.model, console=console, **settings)
    users, field = arguments.users, recommender.dataset.uid_field
    if arguments.users_file is not None:
        users = read_users(arguments.users_file, field)
    elif users is not None and users != "all":
        users = split_users(users, recommender.dataset.field2token_id[field])
    sequences = recommender.find_sequences(users, arguments.sequences)
    chosen = sequences if out else sequences.select(slice(SHOWN))
    frame = recommender.table(chosen, *recommender.rank(chosen, arguments.k, arguments.mask_history or None))
    if out:
        write_table(frame, out)
        line = f"{len(frame):,} recommendations for {len(chosen):,} users in {out}"
        print_line(console, line)
        return 0
    _show_table(frame, console)
    if len(chosen) < len(sequences):
        line = f"the first {SHOWN} of {len(sequences):,} users; --out=FILE writes all"
        print_line(console, line)
    return 0


def _show_table(frame: pd.DataFrame, console: Console) -> None:
    table = Table()
    for column in frame:
        table.add_column(column, justify="right" if column in ("rank", "score") else "left")
    for user, lines in frame.groupby("user", sort=False):
        for number, line in enumerate(lines.itertuples(index=False)):
            cells = [f"{cell:.4f}" if isinstance(cell, float) else escape(str(cell)) for cell in line]
            table.add_row("" if number else escape(str(user)), *cells[1:], end_section=number == len(lines) - 1)
    console.print(table)
