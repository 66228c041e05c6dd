"""The command line: ``python -m recbole_samrec run|evaluate|recommend|compare|tune|...``, and ``run_recbole.py``."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from logging import Handler, getLogger
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from recbole_samrec.cli import compare, doctor, sharpness, tune
from recbole_samrec.cli import data as data_command
from recbole_samrec.cli.options import describe_settings
from recbole_samrec.cli.progress import make_progress, show_comparison, show_result
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import parse_settings, settings_in
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import recommend, run_folder, train
from recbole_samrec.quick_start.record import RESULT, RunRecord, label, settings_of
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, ConfigError, UserError, in_one_line
from recbole_samrec.utils.naming import unique_name
from recbole_samrec.utils.settings import OF_ONE_RUN, plain_config

MAY_CHANGE = OF_ONE_RUN | frozenset(
    "epochs stopping_step quiet_terminal nproc max_bad_steps eval_memory track_sharpness".split()
)
"""Settings that a resumed run may be given anew."""

RUN_HELP = """Trains and tests one model. Every setting of RecBole, of the model and of this package is given as
--key=value; settings in files named by --config_files come below those on the command line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; errors that the user can put right are one line and exit status 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    console, errors = Console(), Console(stderr=True)
    try:
        arguments, rest = _parser().parse_known_args(argv)
        return arguments.call(arguments, rest, console)
    except UserError as error:
        return _failed(errors, in_one_line(error), 2, "--debug" in argv)
    except KeyboardInterrupt:
        errors.print("stopped", highlight=False)
        return 130
    except Exception as error:
        if _logs_of_runs():
            getLogger().exception("the run ended unexpectedly")
        reason = (str(error).strip().splitlines() or [""])[0]
        message = f"unexpected {type(error).__name__}: {reason}; --debug shows where"
        return _failed(errors, message, 1, "--debug" in argv)
    finally:
        for handler in _logs_of_runs():
            getLogger().removeHandler(handler)
            handler.close()


def _failed(errors: Console, message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    errors.print(f"[bold red]error:[/] {_escaped(message)}", highlight=False, soft_wrap=True)
    return status


def _logs_of_runs() -> list[Handler]:
    return [handler for handler in getLogger().handlers if getattr(handler, "of_a_run", False)]


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as any other error: in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the arguments")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("recbole-samrec", description="SAMRec and everything to judge it by, for RecBole.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = partial(commands.add_parser, allow_abbrev=False)
    form = argparse.RawDescriptionHelpFormatter
    one = add(
        "run", help="train and test a model", description=RUN_HELP, epilog=describe_settings(), formatter_class=form
    )
    one.add_argument("--model", "-m", metavar="NAME", help="model (default: SAMRec), or file.py:Name for your own")
    one.add_argument("--dataset", "-d", metavar="NAME", help="data set (default: ml-100k)")
    one.add_argument("--config_files", metavar="FILES", help="yaml files, separated by blanks")
    one.add_argument("--run_dir", metavar="PATH", help="folder of the run (default: a new one under runs/)")
    one.add_argument("--resume", metavar="PATH|auto", help="go on with a run; auto: the newest of the same settings")
    one.add_argument("--nproc", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    one.add_argument("--ip", default="localhost", help="address of the first machine of several")
    one.add_argument("--port", help="its port (default: a free one)")
    one.add_argument("--world_size", type=int, default=-1, help="processes on all machines together")
    one.add_argument("--group_offset", type=int, default=0, help="number of the first process on this machine")
    one.set_defaults(call=run_command)

    again = add("evaluate", help="score a finished run again")
    again.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    again.add_argument("--model", metavar="file.py:NAME", help="where a model of your own is")
    again.add_argument("--mask_history", action="store_true", help="also leave out what users had before")
    again.set_defaults(call=evaluate_command)

    items = add("recommend", help="name the best items for users of a run's data set, or for new sequences")
    recommend.add_arguments(items)
    items.set_defaults(call=recommend_command)

    table = add("compare", help="train models side by side, into one table", description=compare.HELP)
    compare.add_arguments(table)
    table.set_defaults(call=compare.main)

    best = add("tune", help="search the best settings of a model", description=tune.HELP)
    tune.add_arguments(best)
    best.set_defaults(call=tune.main)

    minima = add("sharpness", help="show how sharp the minima of finished runs are", description=sharpness.HELP)
    sharpness.add_arguments(minima)
    minima.set_defaults(call=sharpness.main)

    data = add("data", help="make a data set from the provider's own file")
    data_command.add_arguments(data)
    data.set_defaults(call=lambda arguments, rest, console: data_command.main(_all_read(arguments, rest)))

    check = add("doctor", help="tell what is installed, mended, found and missing", add_help=False)
    check.set_defaults(call=lambda arguments, rest, console: doctor.main(rest))
    for command in (one, again, items, table, best, minima, data, check):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _all_read(arguments: argparse.Namespace, rest: Sequence[str]) -> argparse.Namespace:
    if rest:
        raise ConfigError(f"{rest[0]}: this command takes no such argument; --help lists them")
    return arguments


# run ----------------------------------------------------------------------------------------------------------------


def run_command(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Train and test one model."""
    given = parse_settings(rest) | _model_and_dataset(arguments)
    base = settings_in((arguments.config_files or "").split())
    folder = Path(arguments.run_dir) if arguments.run_dir else None
    resume = None
    if arguments.nproc < 1:
        raise ConfigError(f"--nproc={arguments.nproc}: give a number of at least 1")
    if arguments.resume and arguments.resume != "auto":
        resume = run_folder.newest_checkpoint(Path(arguments.resume), partial(_note, console))
        base, folder = _as_stored(resume, base | given), folder or resume.parent
    config = configure(base, given, partial(_note, console))
    if arguments.resume == "auto":
        if like := run_folder.newest_run_like(Path("runs"), settings_of(config)):
            folder, resume = like, run_folder.newest_checkpoint(like, partial(_note, console))
        else:
            _note(console, "there is no run of these settings to go on with; a new one begins")
    sha256 = check_data(config, partial(_note, console)).sha256
    if resume is None:
        folder = folder or Path("runs", unique_name(config["model"], config["dataset"]))
        run_folder.new_folder(folder)
    _clear_temporary(folder)
    of_this_run = {
        "run_dir": str(folder),
        "checkpoint_dir": str(folder),
        "quiet_terminal": True,
        "show_progress": False,
    }
    try:
        several = arguments.nproc > 1 or arguments.world_size > 1
        if several:  # new processes are given plain settings
            result = run_on_several(plain_config(config) | of_this_run, resume, arguments, sha256)
        else:
            config.final_config_dict.update(of_this_run)
            result = run_once(config, resume, console, sha256)
    except KeyboardInterrupt:
        return _interrupted(folder, arguments, console)
    except UserError:
        run_folder.forget_unstarted(folder)
        raise
    show_result(console, result)
    if "pretrain" in str(result["config"].get("train_stage")) and (weights := run_folder.newest_weights(folder)):
        _note(console, f"pre-trained; name the weights in the next stage with --pre_model_path={weights}")
    console.print(f"result in {folder / RESULT}", highlight=False, soft_wrap=True)
    return 0


def _note(console: Console, line: str) -> None:
    console.print(f"note: {_escaped(line)}", highlight=False, soft_wrap=True)


def _model_and_dataset(arguments: argparse.Namespace) -> dict[str, str]:
    """What was named; a user's own model, ``file.py:Name``, becomes known under its name."""
    named = {key: getattr(arguments, key) for key in ("model", "dataset") if getattr(arguments, key)}
    if ":" in named.get("model", ""):
        named["model"] = registry.model_from(named["model"])
    return named


def run_once(config: Any, resume: Path | None, console: Console, sha256: str) -> RunRecord:
    """Carry out one run in this process."""
    progress = make_progress(console, f"{label(config)} on {config['dataset']}")
    return train.train(config, resume, [progress], sha256)


def run_on_several(
    settings: dict[str, Any], resume: Path | None, arguments: argparse.Namespace, sha256: str
) -> RunRecord:
    """Carry out one run on several processes.

    Raises:
        UserError: A process says why it cannot go on.
    """
    import torch.multiprocessing

    shared = {
        "nproc": arguments.nproc,
        "world_size": arguments.world_size if arguments.world_size > 0 else arguments.nproc,
        "ip": arguments.ip,
        "port": str(arguments.port or _free_port()),
        "offset": arguments.group_offset,
    }
    last_words = torch.multiprocessing.get_context("spawn").SimpleQueue()
    work = (settings | shared, resume, sha256, arguments, last_words)
    try:
        torch.multiprocessing.spawn(_one_process, work, nprocs=arguments.nproc, join=True)
    except torch.multiprocessing.ProcessExitedException as error:
        if not last_words.empty():
            raise UserError(last_words.get()) from error
        raise UserError(f"process {error.error_index} ended early with status {error.exit_code}") from error
    return RunRecord.read(Path(settings["run_dir"], RESULT))


def _one_process(
    rank: int,
    settings: dict[str, Any],
    resume: Path | None,
    sha256: str,
    arguments: argparse.Namespace,
    last_words: Any,
) -> None:
    """Carry out a run as one of several; when it fails the others wait in vain, and the parent ends them."""
    try:
        if arguments.model and ":" in arguments.model:
            registry.model_from(arguments.model)
        config = configure({**settings, "local_rank": rank}, {})
        run_once(config, resume, Console(quiet=rank != 0), sha256)
    except UserError as error:
        last_words.put(in_one_line(error))
        os._exit(2)
    except KeyboardInterrupt:
        os._exit(130)  # the parent was stopped too, and says so
    except Exception as error:
        last_words.put(f"process {rank}: unexpected {type(error).__name__}: {in_one_line(error)}; --debug shows where")
        if arguments.debug:
            traceback.print_exc()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _as_stored(resume: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of the run that is resumed.

    Raises:
        ConfigError: A given setting that decides the result differs from the run's.
    """
    stored = _settings_of(resume, given)
    for key, value in given.items():
        if key not in MAY_CHANGE and key in stored and stored[key] != value:
            raise ConfigError(
                f"--{key}={value}: the run to be resumed has {key}={stored[key]}; leave it out, or start a new run"
            )
    return stored


def _settings_of(file: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The settings that a checkpoint was trained with.

    Raises:
        CheckpointError: Its model is the user's own, and nobody said where that is.
    """
    stored = checkpoint_io.settings_in(checkpoint_io.load(file, trust=bool(given.get("trust_checkpoint"))), file)
    if not registry.is_model(stored["model"]):
        raise CheckpointError(f"{file}: its model is one of your own; say where: --model=file.py:{stored['model']}")
    return upgrade_settings(stored)


def _clear_temporary(folder: Path) -> None:
    """Remove what a killed process left of files that it was writing."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def _interrupted(folder: Path, arguments: argparse.Namespace, console: Console) -> int:
    if (folder / "last.pth").exists() or (folder / "best.pth").exists():
        program = "run_recbole.py" if Path(sys.argv[0]).name == "run_recbole.py" else "-m recbole_samrec run"
        own = f" --model={shlex.quote(arguments.model)}" if ":" in (arguments.model or "") else ""
        several = f" --nproc={arguments.nproc}" if arguments.nproc > 1 else ""
        line = f"stopped; go on with: python {program} --resume={shlex.quote(str(folder))}{own}{several}"
    else:
        line = f"stopped in the first epoch; there is nothing to go on from in {folder}"
    console.print(_escaped(line), highlight=False, soft_wrap=True)
    return 130


# evaluate and recommend ---------------------------------------------------------------------------------------------


def evaluate_command(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Score a finished run again."""
    config, file = _finished_run(arguments, rest, console)
    masks = (False, True) if arguments.mask_history else (bool(config["mask_history"]),)
    scores = train.evaluate(config, file, masks)
    show_comparison(console, f"{label(config)} on {config['dataset']}, {file}", scores)
    _compare_with_record(file.parent, scores[masks[0]], console)
    return 0


def recommend_command(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Name the best items for users."""
    return recommend.main(arguments, *_finished_run(arguments, rest, console), console)


def _finished_run(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> tuple[Any, Path]:
    """The configuration of a run, with settings that are given anew, and its best checkpoint.

    Raises:
        UserError: There is no such run, it is damaged, or a setting or the data cannot be used.
    """
    given = parse_settings(rest)
    if arguments.model:
        registry.model_from(arguments.model)
    file = arguments.run / "best.pth" if arguments.run.is_dir() else arguments.run
    if not file.exists():
        raise CheckpointError(f"{file}: there is no such checkpoint; give the folder of a run, see what lies in runs/")
    stored = {**_settings_of(file, given), "run_dir": None, "checkpoint_dir": str(file.parent), "show_progress": False}
    config = configure(stored, given, partial(_note, console))
    check_data(config, lambda line: None)
    return config, file


def _compare_with_record(folder: Path, scores: dict[str, Any], console: Console) -> None:
    """Say whether the figures are those that the run itself recorded."""
    record = folder / RESULT
    if not record.exists():
        return
    stored = RunRecord.read(record)
    same = all(stored[part] == scores[part] for part in ("valid", "test"))
    words = "the same figures as in" if same else "these figures differ from"
    console.print(f"{words} {record}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
