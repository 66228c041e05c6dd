"""``run``: trains and tests one model."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from recbole_samrec.cli.arguments import read_data
from recbole_samrec.cli.help_format import name_program
from recbole_samrec.cli.options import add_options, describe_settings
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import RunOptions
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files
from recbole_samrec.utils.console import print_line, print_note

if TYPE_CHECKING:
    from rich.console import Console

    from recbole_samrec.quick_start.planned_run import PlannedRun

HELP = """Train and test one model. Give settings of RecBole, of the model and of this package as --key=value; they
override those in --config_files."""
EXAMPLES = {
    "train SASRec on MovieLens-100K": "--model=SASRec --dataset=ml-100k",
    "train GRU4Rec with SAM for 20 epochs": "-m GRU4Rec --sam_rho=0.05 --epochs=20",
    "train on a table of your own": "--data=events.parquet --item=product_id",
    "resume the newest run with these settings": "--model=SASRec --resume=auto",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``run``, and a list of all settings of this package."""
    parser.epilog = describe_settings()
    add_options(parser, RunOptions)


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
    planned = plan_run(
        given,
        base,
        run_dir=arguments.run_dir,
        resume=arguments.resume,
        roles=roles,
        items=arguments.items,
        note=note,
    )
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
    words = [name_program("run"), f"--resume={shlex.quote(str(planned.folder))}"]
    words += [f"--model={shlex.quote(planned.source)}"] if planned.source else []
    words += [f"--nproc={nproc}"] if nproc > 1 else []
    return f"stopped; resume with: {' '.join(words)}"
