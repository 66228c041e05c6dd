"""``recommend``: lists the best items for users of a run's data set, or for new sequences of items."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.tables import SUFFIXES, require_new_file, write_table

if TYPE_CHECKING:
    import pandas as pd

HELP = """Lists the best items for users of a run's data set, whose whole history is used, or for new sequences of
items."""
SHOWN = 20
"""Largest number of users whose recommendations are shown on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``recommend``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--users", metavar="LIST|all", help="users of the data set, separated by commas, or all of them")
    whom.add_argument(
        "--users_file", metavar="FILE", type=Path, help="file with one user in each line, or CSV, TSV or Parquet"
    )
    whom.add_argument(
        "--sequences", metavar="FILE", type=Path, help="CSV, TSV or Parquet with columns user, item[, timestamp]"
    )
    parser.add_argument("--k", type=int, default=10, metavar="N", help="items for each (default: 10)")
    parser.add_argument("--mask_history", action="store_true", help="mask the items of each user's own history")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"file to write: {', '.join(SUFFIXES)}")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    parser.add_argument("--model", metavar="file.py:NAME", help="location of a model of your own")


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
