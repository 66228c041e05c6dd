"""``run``: trains and tests one model."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_samrec.cli.arguments import read_data
from recbole_samrec.cli.options import add_options, describe_settings
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import DataOptions
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files
from recbole_samrec.utils.console import print_line, print_note

if TYPE_CHECKING:
    from rich.console import Console

    from recbole_samrec.quick_start.planned_run import PlannedRun

HELP = """Trains and tests one model. Every setting of RecBole, of the model and of this package is given as
--key=value; settings in files named by --config_files come below those on the command line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``run``, and a list of all settings of this package."""
    parser.epilog, parser.formatter_class = describe_settings(), argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--model", "-m", metavar="NAME", help="model (default: SAMRec), or file.py:Name for your own")
    add("--dataset", "-d", metavar="NAME", help="data set (default: ml-100k)")
    add_options(parser, DataOptions)
    add("--config_files", metavar="FILES", help="yaml files, separated by blanks")
    add("--run_dir", metavar="PATH", help="folder of the run (default: a new one under runs/)")
    add("--resume", metavar="PATH|auto", help="resume a run; auto: the newest with the same settings")
    add("--nproc", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    add("--ip", default="localhost", help="address of the first machine of several")
    add("--port", help="its port (default: a free one)")
    add("--world_size", type=int, default=-1, help="processes on all machines together")
    add("--group_offset", type=int, default=0, help="number of the first process on this machine")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Train and test one model.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where progress and the result are shown.

    Raises:
        UserError: A setting, the data, the folder or the checkpoint cannot be used, or training failed.
    """
    named = {key: getattr(arguments, key) for key in ("model", "dataset") if getattr(arguments, key)}
    named |= read_data(arguments)
    note = partial(print_note, console)
    given, base = parse_settings(rest) | named, read_yaml_files((arguments.config_files or "").split(), note)
    settings = base | given
    if ":" not in str(settings.get("model")) and not arguments.resume:
        check_setting_names(given, settings.get("model", "SAMRec"), settings.get("dataset"), also=base)

    from recbole_samrec.cli.metric_tables import show_result
    from recbole_samrec.data.convert.frame import Roles
    from recbole_samrec.quick_start import run_folder
    from recbole_samrec.quick_start.planned_run import plan_run
    from recbole_samrec.quick_start.processes import Processes
    from recbole_samrec.quick_start.record import RESULT

    world = arguments.world_size if arguments.world_size > 0 else None
    where = (arguments.ip, arguments.port, arguments.group_offset)
    processes = Processes(arguments.nproc, world, *where, debug=arguments.debug)
    roles = Roles(arguments.user, arguments.item, arguments.time)
    planned = plan_run(given, base, run_dir=arguments.run_dir, resume=arguments.resume, roles=roles, note=note)
    try:
        record = planned.train(processes=processes, console=console)
    except KeyboardInterrupt:
        line = _describe_resuming(planned, arguments.nproc)
        print_line(console, line)
        return 130
    show_result(console, record)
    if "pretrain" in str(record["config"].get("train_stage")) and (
        weights := run_folder.newest_weights(planned.folder)
    ):
        note(f"pre-trained; name the weights in the next stage with --pre_model_path={weights}")
    print_line(console, f"result in {planned.folder / RESULT}")
    return 0


def _describe_resuming(planned: PlannedRun, nproc: int) -> str:
    """Describe how to resume an interrupted run."""
    if not planned.has_checkpoint:
        return f"stopped in the first epoch; there is nothing to resume in {planned.folder}"
    program = "run_recbole.py" if Path(sys.argv[0]).name == "run_recbole.py" else "-m recbole_samrec run"
    words = ["python", program, f"--resume={shlex.quote(str(planned.folder))}"]
    words += [f"--model={shlex.quote(planned.source)}"] if planned.source else []
    words += [f"--nproc={nproc}"] if nproc > 1 else []
    return f"stopped; resume with: {' '.join(words)}"
