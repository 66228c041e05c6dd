"""The options of commands, each declared once: type, range, default, group and meaning.

:mod:`recbole_samrec.cli.options` makes the arguments of the command line from these classes; from Python an object of
such a class is checked when it is made. Importing this module loads neither torch nor RecBole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recbole_samrec.config.value_types import Count, NonNegative, NonNegativeInt, Positive

RUN, MODEL, ENTRIES, DATA, SETTINGS = "Run", "Model", "Entries", "Data", "Settings"
PROTOCOL, SELECTION, SEARCH, MEASUREMENT = "Protocol", "Selection of settings", "Search", "Measurement"
RESOURCES, PROCESSES, OUTPUT = "Resources", "Several processes", "Output"
GROUPS = (
    *(RUN, MODEL, ENTRIES, DATA, SETTINGS),
    *(PROTOCOL, SELECTION, SEARCH, MEASUREMENT),
    *(RESOURCES, PROCESSES, OUTPUT),
)
"""Titles of the groups of options in help, in their order."""


class Options(BaseModel):
    """Options of a command."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def option(default: Any, about: str, group: str, metavar: str = "", **how: Any) -> Any:
    """Declare an option.

    Args:
        default: Its default; ``...`` makes it a positional argument that is required.
        about: A few words for help, in lower case and without a full stop.
        group: Its group in help, one of :data:`GROUPS`.
        metavar: Placeholder of its value in help.
        how: Form on the command line: ``short``, another name such as ``-m``; ``const``, the value of the flag without
            a value; ``else_``, a description of the default if it is None; ``kept=True`` for options whose argument is
            None unless it is given, so that a default differs from a choice; ``needed=True`` if it must be given.
    """
    extra = {"metavar": metavar, "group": group, **how}
    return Field(default, description=about, json_schema_extra=extra)


class DataOptions(Options):
    """A table of your own in place of a data set."""

    data: Path | None = option(None, "Parquet file of events, instead of a data set", DATA, "FILE", kept=True)
    user: str | None = option(None, "column of FILE with user ids", DATA, "COLUMN", else_="user_id", kept=True)
    item: str | None = option(None, "column of FILE with item ids", DATA, "COLUMN", else_="item_id", kept=True)
    time: str | None = option(None, "column of FILE with times", DATA, "COLUMN", else_="timestamp", kept=True)
    items: Path | None = option(None, "Parquet file of items with attributes, one row for each", DATA, "FILE")


class SettingsFilesOptions(Options):
    """Files of settings."""

    config_files: str | None = option(None, "YAML files of settings, separated by spaces", SETTINGS, "FILES")


class ClusterOptions(Options):
    """Resources of runs that Ray starts."""

    threads: Count = option(1, "CPU threads of each run", RESOURCES, "N")
    parallel: Count | None = option(None, "largest number of runs at once", RESOURCES, "N", else_="one per core")
    gpus: NonNegative | None = option(
        None, "GPUs of each run, such as 0.5; 0 for the CPU", RESOURCES, "N", else_="as much of one as a run needs"
    )
    address: str | None = option(
        None, "Ray cluster to run on", RESOURCES, "HOST:PORT|auto", else_="Ray is started on this machine"
    )


class FinishedRunOptions(Options):
    """A finished run."""

    run: Path = option(..., "folder of a finished run, or a checkpoint file", RUN, "RUN")
    model: str | None = option(None, "file and class of the run's model, if it is your own", RUN, "file.py:NAME")


class RunOptions(DataOptions, SettingsFilesOptions):
    """Options of ``run``."""

    model: str = option("SAMRec", "model, or file.py:NAME for your own", MODEL, "NAME", short="-m", kept=True)
    dataset: str = option("ml-100k", "data set", DATA, "NAME", short="-d", kept=True)
    nproc: Count = option(1, "processes on this machine", PROCESSES, "N")
    world_size: int = option(-1, "processes on all machines", PROCESSES, "N", else_="as --nproc")
    group_offset: NonNegativeInt = option(0, "rank of the first process on this machine", PROCESSES, "N")
    ip: str = option("localhost", "address of the first machine", PROCESSES, "HOST")
    port: str | None = option(None, "port of the first machine", PROCESSES, "PORT", else_="a free one")
    run_dir: str | None = option(None, "folder of the run", OUTPUT, "DIR", else_="a new folder in runs/")
    resume: str | None = option(None, "run to resume, or auto: the newest with the same settings", OUTPUT, "DIR|auto")


class EvaluateOptions(FinishedRunOptions):
    """Options of ``evaluate``."""

    mask_history: bool = option(False, "also rank with history masked", PROTOCOL)


class RecommendOptions(FinishedRunOptions):
    """Options of ``recommend``, apart from the choice of users."""

    k: Count = option(10, "items for each user", OUTPUT, "K")
    mask_history: bool = option(False, "do not recommend items of the user's history", OUTPUT)
    out: Path | None = option(None, "file to write: .csv, .tsv, .jsonl or .parquet", OUTPUT, "FILE")
    overwrite: bool = option(False, "replace FILE if it exists", OUTPUT)


class ExportOptions(FinishedRunOptions):
    """Options of ``export``."""

    format: Literal["vectors", "trec"] = option("vectors", "what to write", OUTPUT, "NAME")
    k: Count | None = option(None, "for trec: items of each ranking", OUTPUT, "K", else_="the largest value of topk")
    mask_history: bool = option(
        False, "for trec: rank with history masked", OUTPUT, else_="as the run ranks", kept=True
    )
    out: Path | None = option(None, "folder to write (required)", OUTPUT, "DIR", needed=True)
    overwrite: bool = option(False, "replace an earlier export in DIR", OUTPUT)


class CompareOptions(DataOptions, SettingsFilesOptions, ClusterOptions):
    """Options of ``compare``."""

    models: str = option("SAMRec,SASRec,S3Rec,CL4SRec", "entries: NAME, NAME+SAM or file.py:NAME", ENTRIES, "A,B")
    entries: str | None = option(
        None, "YAML files of further entries, in the form of properties/compare.yaml", ENTRIES, "FILES", short="--rows"
    )
    datasets: str = option("ml-100k", "data sets, or Parquet files", DATA, "A,B")
    seeds: str = option("5", "number of seeds, from 2020 on, or the seeds, such as 7,8 (one: 7,)", PROTOCOL, "N")
    train_fraction: str = option("1", "fractions of the users to train on, each in (0, 1]", PROTOCOL, "S,T")
    protocol: str | None = option(
        None,
        "protocols, a table for each: loo, gts-last, gts-first, gts-random, gts-successive",
        PROTOCOL,
        "A,B",
        else_="that of eval_args",
    )
    mask_history: bool = option(False, "also write tables with history masked; --select then masks it", PROTOCOL)
    tuned: str | None = option(
        None, "use the best settings of the searches in DIR (without DIR: runs/tune)", SELECTION, "DIR",
        const="runs/tune",
    )  # fmt: skip
    select: bool = option(False, "choose by validation among the settings that entries list under choose", SELECTION)
    select_seeds: str = option("2015,2016,2017", "seeds for this choice, none of them in --seeds", SELECTION, "A,B")
    equal: Literal["passes"] | None = option(
        None,
        "passes: also search plain entries until they have used as many gradient passes as their entry with SAM",
        SELECTION,
        "WHAT",
    )
    limit_hours: Positive | None = option(None, "skip entries with a run that would take longer", RESOURCES, "HOURS")
    out: Path = option(Path("runs", "compare"), "folder of the runs", OUTPUT, "DIR")
    pages: Path | None = option(None, "folder of the tables and plots", OUTPUT, "DIR", else_="that of --out")
    tables: bool = option(False, "do not train; write the tables of finished runs", OUTPUT)


class TuneOptions(DataOptions, SettingsFilesOptions, ClusterOptions):
    """Options of ``tune``."""

    model: str = option("SAMRec", "model, entry of compare, or file.py:NAME", MODEL, "NAME", short="-m", kept=True)
    dataset: str = option("ml-100k", "data set", DATA, "NAME", short="-d", kept=True)
    space: Path | None = option(
        None, "file of the search space", SEARCH, "FILE", else_="properties/search/<Model>.yaml", kept=True
    )
    trials: Count | None = option(None, "number of trials", SEARCH, "N", else_="20, or the size of the grid", kept=True)
    passes: Positive | None = option(
        None, "gradient passes of all trials, instead of --trials; no trial starts after them", SEARCH, "P", kept=True
    )
    search: Literal["random", "grid", "optuna", "hyperopt"] = option(
        "random", "search algorithm", SEARCH, "NAME", kept=True
    )
    scheduler: Literal["asha", "median", "pbt", "none"] = option(
        "asha", "scheduler that stops bad trials early", SEARCH, "NAME", kept=True
    )
    grace: Count = option(10, "epochs before which no trial is stopped", SEARCH, "N", kept=True)
    seeds: str = option("1", "seeds of each trial: their number, or a list such as 7,8", SEARCH, "N", kept=True)
    search_seed: NonNegativeInt = option(2020, "seed of the search algorithm", SEARCH, "N", kept=True)
    retries: NonNegativeInt = option(1, "retries of a trial whose process died", SEARCH, "N", kept=True)
    parallel: Count | None = option(
        None, "largest number of trials at once, fixed when the search starts", RESOURCES, "N", else_="one per core"
    )
    memory: Positive | None = option(
        None, "memory to reserve for each trial, in GB", RESOURCES, "GB", else_="2, or what is available"
    )
    host: str = option("127.0.0.1", "address at which Ray listens", RESOURCES, "HOST")
    dashboard: bool = option(False, "start Ray's dashboard", RESOURCES)
    out: Path | None = option(None, "folder of the search", OUTPUT, "DIR", else_="runs/tune/<Model>-<dataset>")
    resume: Path | Literal[True] | None = option(
        None, "search to resume (without DIR: that of --out)", OUTPUT, "DIR", const=True
    )


class SharpnessOptions(Options):
    """Options of ``sharpness``."""

    runs: list[str] = option(
        ..., "folders of up to 6 finished runs on one data set, each optionally with a label: 'no dropout=RUN'", RUN,
        "RUN",
    )  # fmt: skip
    model: str | None = option(None, "file and class of the runs' model, if it is your own", RUN, "file.py:NAME")
    quick: bool = option(False, "measure on fewer targets and points: about two minutes per run", MEASUREMENT)
    targets: Count | None = option(
        None, "training targets to measure on", MEASUREMENT, "N", else_="8192, with --quick 2048"
    )
    threads: Count | None = option(None, "CPU threads", RESOURCES, "N", else_="one per core")
    out: Path | None = option(None, "folder of the report", OUTPUT, "DIR", else_="runs/sharpness-<data set>")
    fractions: Path | None = option(None, "also plot this table of compare --train_fraction (.csv)", OUTPUT, "FILE")
