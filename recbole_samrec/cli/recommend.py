"""``recommend``: lists the best items for users of a run's data set, or for new sequences of items."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

HELP = """Lists the best items for users of a run's data set, whose whole history is used, or for new sequences of
items."""
SHOWN = 20
"""Largest number of users whose recommendations are shown on a terminal."""
WRITERS = {".csv": ",", ".tsv": "\t", ".parquet": None}
"""Kinds of files that can be written, and what separates their columns."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``recommend``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--users", metavar="LIST|all", help="users of the data set, separated by commas, or all of them")
    whom.add_argument("--sequences", metavar="FILE", type=Path, help="CSV or TSV with columns user, item[, timestamp]")
    parser.add_argument("--k", type=int, default=10, metavar="N", help="items for each (default: 10)")
    parser.add_argument("--mask_history", action="store_true", help="mask the items of each user's own history")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"file to write: {', '.join(WRITERS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    parser.add_argument("--model", metavar="file.py:NAME", help="location of a model of your own")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Recommend, and write or show it.

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

    from recbole_samrec.quick_start.recommend import Recommender

    recommender = Recommender(arguments.run, model=arguments.model, console=console, **settings)
    users = arguments.users
    if users is not None and users != "all":
        users = [token.strip() for token in users.split(",")]
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


def require_new_file(file: Path, overwrite: bool) -> None:
    """Check that a file can be written before anything is computed.

    Raises:
        ConfigError: It exists already, its folder does not, or its kind is not known or cannot be written here.
    """
    if file.suffix not in WRITERS:
        raise ConfigError(f"--out={file}: name a file that ends in {', '.join(WRITERS)}")
    if file.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"--out={file}: Parquet needs pyarrow; pip install pyarrow, or name a .csv file")
    if not file.parent.is_dir():
        raise ConfigError(f"--out={file}: there is no folder {file.parent}; make it first")
    if file.exists() and not overwrite:
        raise ConfigError(f"--out={file}: it exists; add --overwrite to replace it, or name another")


def write_table(frame: pd.DataFrame, file: Path) -> None:
    """Write a table so that the file is at every moment either the old one or the new one.

    Raises:
        ConfigError: It cannot be written.
    """
    from recbole_samrec.utils import checkpoint_io

    try:
        with checkpoint_io.open_atomically(file) as stream:
            if file.suffix == ".parquet":
                frame.to_parquet(stream, index=False)
            else:
                frame.to_csv(stream, sep=WRITERS[file.suffix], index=False, mode="wb", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out={file}: it cannot be written ({error.strerror or error}); name another") from error


def _show_table(frame: pd.DataFrame, console: Console) -> None:
    table = Table()
    for column in frame:
        table.add_column(column, justify="right" if column in ("rank", "score") else "left")
    for user, lines in frame.groupby("user", sort=False):
        for number, line in enumerate(lines.itertuples(index=False)):
            cells = [f"{cell:.4f}" if isinstance(cell, float) else escape(str(cell)) for cell in line]
            table.add_row("" if number else escape(str(user)), *cells[1:], end_section=number == len(lines) - 1)
    console.print(table)
