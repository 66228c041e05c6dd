"""``data``: converts a provider's file to RecBole's atomic files, or reports how RecBole reads a data set."""

from __future__ import annotations

import argparse
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_samrec.cli.help_format import name_run_command
from recbole_samrec.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from recbole_samrec.data.validate.check import AtomicSummary

HELP = """Convert a provider's file into RecBole's atomic files, check them, and print a summary. With --check, report
how RecBole reads an existing data set. With --export-split, write the rows that a run trains, validates and tests
on, for other programs. Settings given as --key=value apply to --check and --export-split."""
EXAMPLES = {
    "convert MovieLens-1M": "ml-1m ml-1m.zip",
    "convert a table of your own": "mine events.csv --user=u --item=i --time=t",
    "report how RecBole reads a data set": "ml-100k --check --model=SASRec",
    "write a split as Parquet files": "ml-100k --export-split --out=split",
}
FORMATS = ("movielens", "amazon", "yoochoose", "retailrocket", "s3rec", "table")
_OPTIONS = {
    "amazon": ("meta",),
    "s3rec": ("attributes",),
    "table": (
        "user", "item", "time", "rating", "delimiter", "encoding", "item_file", "item_id", "item_columns",
        "item_separator",
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``data``."""
    group = parser.add_argument_group("Data")
    name = "data set, such as ml-1m or Amazon_Beauty; with --export-split also a Parquet file"
    group.add_argument("name", metavar="NAME", help=name)
    source = "the provider's file, archive or unpacked folder"
    group.add_argument("source", metavar="SOURCE", type=Path, nargs="?", help=source)
    formats = f"format of SOURCE: {', '.join(FORMATS)} (default: detected from its name and content)"
    group.add_argument("--format", choices=FORMATS, metavar="NAME", help=formats)
    group.add_argument("--no-check", action="store_true", help="accept other counts than the published ones of NAME")

    group = parser.add_argument_group("Instead of a conversion")
    check = "report how RecBole reads the data set NAME with the given settings; write nothing"
    group.add_argument("--check", action="store_true", help=check)
    split = "write the split of NAME under the given settings as Parquet files to --out"
    group.add_argument("--export-split", action="store_true", help=split)
    group.add_argument("--config_files", metavar="FILES", help="YAML files of settings, separated by spaces")

    group = parser.add_argument_group("Output")
    folder = "folder to write (default: dataset/NAME; required with --export-split)"
    group.add_argument("--out", type=Path, metavar="DIR", help=folder)
    group.add_argument("--force", action="store_true", help="replace the files in DIR if there are any")

    _add_format_arguments(parser)


def _add_format_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that belong to one format."""
    group = parser.add_argument_group("Format table (CSV, TSV, Parquet)")
    group.add_argument("--user", metavar="COLUMN", help="column with user ids")
    group.add_argument("--item", metavar="COLUMN", help="column with item ids")
    group.add_argument("--time", metavar="COLUMN", help="column with times: numbers or ISO dates")
    group.add_argument("--rating", metavar="COLUMN", help="column with ratings (default: none is written)")
    group.add_argument("--delimiter", metavar="TEXT", help="text between columns (default: detected from the header)")
    group.add_argument("--encoding", metavar="NAME", help="encoding of text files (default: utf-8)")
    group.add_argument("--item-file", type=Path, metavar="FILE", help="table of items")
    group.add_argument("--item-id", metavar="COLUMN", help="column of FILE with item ids (default: that of --item)")
    columns = "columns of FILE to keep, such as title:token_seq,price:float"
    group.add_argument("--item-columns", metavar="LIST", help=columns)
    separator = "text between the values of a _seq column (default: a space)"
    group.add_argument("--item-separator", metavar="TEXT", help=separator)

    group = parser.add_argument_group("Format amazon")
    meta = "meta_<Category>.json.gz or .jsonl.gz, for brands and categories"
    group.add_argument("--meta", type=Path, metavar="FILE", help=meta)

    group = parser.add_argument_group("Format s3rec")
    group.add_argument("--attributes", type=Path, metavar="FILE", help="JSON file with the attributes of each item")


def main(args: argparse.Namespace, rest: Sequence[str], console: Any = None) -> int:
    """Convert a file, check the data set, and print a summary and the next command.

    Args:
        args: See :func:`add_arguments`.
        rest: Nothing.
        console: Not used; the report is plain text.

    Raises:
        ConfigError: There is an argument that the command does not have.
        DataError: The source is not usable, the files exist, or the counts are not those known for the name.
    """
    from recbole_samrec.data.convert.atomic import stage_dataset

    if args.check and args.export_split:
        raise ConfigError("--check and --export-split: give one of them")
    if args.check:
        return _report_check(args, rest)
    if args.export_split:
        return _export_split(args, rest, console)
    if rest or args.config_files:
        what = rest[0] if rest else "--config_files"
        raise ConfigError(f"{what}: unknown argument without --check; --help lists the arguments")
    if args.source is None:
        raise ConfigError(
            f"data {args.name}: give the provider's file as SOURCE, or add --check to check an existing data set"
        )
    folder = _choose_folder(args)
    try:
        kind = args.format or detect(args.source)
        _check_options(args, kind)
        with stage_dataset(folder, args.name, force=args.force) as stage:
            notes = _convert(args, kind, stage)
            summary = _check(args, stage)
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be read or written: {error.strerror or error}") from error
    warnings = [warning.removeprefix(f"{stage}{os.sep}") for warning in summary.warnings]
    print(_report(args.name, folder, summary, [*notes, *warnings]))
    return 0


def _report_check(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Print how RecBole reads a data set."""
    from recbole_samrec.cli.data_check import report_dataset

    options = [option for names in _OPTIONS.values() for option in names if option != "encoding"]
    given = [f"--{name.replace('_', '-')}" for name in (*options, "format", "out") if getattr(args, name) is not None]
    given += ["SOURCE"] if args.source is not None else []
    if given:
        raise ConfigError(f"{given[0]} cannot be used with --check; give only NAME and settings")
    encoding = [] if args.encoding is None else [f"--encoding={args.encoding}"]
    print(report_dataset(args.name, [*rest, *encoding], (args.config_files or "").split()))
    return 0


def _export_split(args: argparse.Namespace, rest: Sequence[str], console: Any) -> int:
    """Write the split of a data set."""
    from recbole_samrec.cli.setting_names import check_setting_names
    from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files

    taken = {"user", "item", "time"}
    options = [option for names in _OPTIONS.values() for option in names if option not in taken]
    given = [f"--{name.replace('_', '-')}" for name in (*options, "format") if getattr(args, name) is not None]
    given += ["SOURCE"] if args.source is not None else []
    if given:
        raise ConfigError(f"{given[0]} cannot be used with --export-split; give only NAME, --out and settings")
    if args.out is None:
        raise ConfigError("--export-split: name the folder to write with --out=FOLDER")
    settings, files = parse_settings(rest), (args.config_files or "").split()
    if ":" not in str(settings.get("model")):
        check_setting_names(settings, settings.get("model", "SAMRec"), also=read_yaml_files(files))

    from recbole_samrec.quick_start.export_split import PARTS, export_split
    from recbole_samrec.utils.console import print_line

    roles = {role: getattr(args, role) for role in sorted(taken)}
    how = {"config_files": files, "overwrite": args.force, "console": console}
    found = export_split(args.name, args.out, **roles, **how, **settings)
    for part in PARTS:
        print_line(console, f"{args.out / part}.parquet: {len(getattr(found, part)):,} rows")
    print_line(console, f"{args.out / 'candidates'}.parquet: {len(found.candidates):,} items that are ranked")
    return 0


def detect(source: Path) -> str:
    """Detect the format of a provider's file from its name and first line.

    Raises:
        DataError: There is no such file, or it is a folder or archive of no known layout.
    """
    from recbole_samrec.data.convert import amazon_csv, movielens, retailrocket, s3rec, table, yoochoose
    from recbole_samrec.data.convert.source import Archive, first_line

    if source.is_dir() or (source.is_file() and zipfile.is_zipfile(source)):
        if movielens.is_movielens(source):
            return "movielens"
        with Archive(source) as archive:
            members = {"yoochoose": yoochoose.CLICKS, "retailrocket": retailrocket.EVENTS}
            for kind, member in members.items():
                if member in archive:
                    return kind
        raise DataError(f"{source} is not an archive of a known layout: unpack it and pass one of its files")
    if source.is_file() and source.suffix.lower() in table.PARQUET:
        return "table"
    line = first_line(source)
    if line.startswith("{") or amazon_csv.is_ratings(line):
        return "amazon"
    if yoochoose.is_yoochoose(line):
        return "yoochoose"
    if line.strip() == retailrocket.HEADER:
        return "retailrocket"
    return "s3rec" if s3rec.is_s3rec(line) else "table"


def _choose_folder(args: argparse.Namespace) -> Path:
    """Return the output folder, which must have the data set's name: RecBole looks for it under ``data_path``."""
    if not re.fullmatch(r"\w[\w.+-]*", args.name):
        raise DataError(
            f"NAME {args.name!r} may contain only letters, digits, '-', '_', '.' and '+': it names a folder"
        )
    folder = args.out or Path("dataset") / args.name
    if folder.resolve().name != args.name:
        raise DataError(f"--out {folder} must end in {args.name}: RecBole looks for a folder named like the data set")
    return folder


def _check_options(args: argparse.Namespace, kind: str) -> None:
    """Raise an error for options of another format instead of ignoring them."""
    from recbole_samrec.data.convert.source import first_line
    from recbole_samrec.data.convert.table import PARQUET

    for other, options in _OPTIONS.items():
        given = [f"--{option.replace('_', '-')}" for option in options if getattr(args, option) is not None]
        if other != kind and given:
            raise DataError(f"{given[0]} is for format {other}, but {args.source} is {kind}: remove it or set --format")
    missing = [f"--{option}" for option in ("user", "item", "time") if kind == "table" and not getattr(args, option)]
    if missing:
        binary = args.source.suffix.lower() in PARQUET
        shown = "" if binary else f"; its first line is {first_line(args.source)[:100]!r}"
        raise DataError(f"{args.source} is read as a table: name its columns with {', '.join(missing)}{shown}")
    if kind == "table" and bool(args.item_file) != bool(args.item_columns):
        raise DataError("--item-file and --item-columns go together: give both, or neither")


def _convert(args: argparse.Namespace, kind: str, stage: Path) -> list[str]:
    from recbole_samrec.data.convert import amazon, movielens, retailrocket, s3rec, table, yoochoose

    if kind == "movielens":
        return movielens.convert_movielens(args.source, stage, args.name)
    if kind == "amazon":
        return amazon.convert_amazon(args.source, stage, args.name, args.meta)
    if kind == "yoochoose":
        return yoochoose.convert_yoochoose(args.source, stage, args.name)
    if kind == "retailrocket":
        return retailrocket.convert_retailrocket(args.source, stage, args.name)
    if kind == "s3rec":
        return s3rec.convert_s3rec(args.source, stage, args.name, args.attributes)
    columns = table.Columns(args.user, args.item, args.time, args.rating)
    items = None
    if args.item_file:
        wanted = table.parse_item_columns(args.item_columns)
        items = table.ItemTable(args.item_file, args.item_id or args.item, wanted, args.item_separator)
    options = {"delimiter": args.delimiter, "encoding": args.encoding or "utf-8"}
    return table.convert_table(args.source, stage, args.name, columns, items=items, **options)


def _check(args: argparse.Namespace, stage: Path) -> AtomicSummary:
    from recbole_samrec.data.catalog import PUBLISHED, Counts
    from recbole_samrec.data.validate.check import check_atomic_files

    try:
        summary = check_atomic_files(stage, args.name)
    except DataError as error:
        reason = str(error).replace(f"{stage}{os.sep}", "")
        raise DataError(f"{args.source} does not give a usable data set, and nothing was written: {reason}") from error
    known, found = PUBLISHED.get(args.name), Counts(summary.users, summary.items, summary.interactions)
    if known and found != known and not args.no_check:
        raise DataError(
            f"{args.source} has {found}, but the published {args.name} has {known}: "
            f"download it again, choose another NAME, or add --no-check to accept it"
        )
    return summary


def _report(name: str, folder: Path, summary: AtomicSummary, notes: list[str]) -> str:
    from recbole_samrec.data.validate.findings import format_span

    lines = {
        "users": f"{summary.users:,}",
        "items": f"{summary.items:,}",
        "interactions": f"{summary.interactions:,}",
        "time span": format_span(*summary.span) if summary.span else "unknown",
        "sha256": summary.sha256,
        "files": ", ".join(sorted(path.name for path in folder.glob(f"{name}.*"))),
        "folder": str(folder),
    }
    table = [f"  {key:<13} {value}" for key, value in lines.items()]
    where = "" if folder.parent == Path("dataset") else f" --data_path={folder.parent}"
    if name == "ml-100k":
        notes = [*notes, "RecBole reads the ml-100k in its package, never this folder: use another NAME for it"]
    remarks = [f"  note: {note}" for note in notes]
    command = f"  {name_run_command()} --model=SAMRec --dataset={name}{where}"
    return "\n".join([name, *table, *remarks, "next:", command])
