"""The options of ``compare``, ``tune`` and ``sharpness``, each declared once: type, range, default and meaning.

:mod:`recbole_samrec.cli.options` makes the arguments of the command line from these classes; from Python an object of
such a class is checked when it is made. Importing this module loads neither torch nor RecBole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recbole_samrec.config.value_types import Count, NonNegative, NonNegativeInt, Positive


class Options(BaseModel):
    """Options of a command."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def option(default: Any, about: str, metavar: str = "", **how: Any) -> Any:
    """Declare an option.

    Args:
        default: Its default; ``...`` makes it a positional argument that is required.
        about: A few words for help, in lower case and without a full stop.
        metavar: Placeholder of its value in help.
        how: Form on the command line: ``short``, another name such as ``-m``; ``const``, the value of the flag without
            a value; ``else_``, a description of the default if it is None; ``kept=True`` for options that a search
            stores, so that the command has to record whether they were given.
    """
    extra = {"metavar": metavar, **how}
    return Field(default, description=about, json_schema_extra=extra)


class DataOptions(Options):
    """A table of your own in place of a data set."""

    data: Path | None = option(None, "Parquet file of events, in place of a data set", "FILE", kept=True)
    user: str | None = option(None, "its column with the user's id", "COLUMN", else_="user_id", kept=True)
    item: str | None = option(None, "its column with the item's id", "COLUMN", else_="item_id", kept=True)
    time: str | None = option(None, "its column with the time", "COLUMN", else_="timestamp", kept=True)


class CompareOptions(DataOptions):
    """Options of ``compare``."""

    models: str = option("SAMRec,SASRec,S3Rec,CL4SRec", "models, perhaps with +SAM, or file.py:Name", "A,B")
    datasets: str = option("ml-100k", "data sets, or Parquet files", "A,B")
    seeds: str = option("5", "number of seeds, from 2020 on, or a list as 7,8 or 7,", "N")
    train_fraction: str = option("1", "shares of the users to train on", "S,T")
    config_files: str | None = option(None, "yaml files of settings for all entries, separated by blanks", "FILES")
    entries: str | None = option(
        None, "yaml files of further entries, in the form of properties/compare.yaml", "FILES", short="--rows"
    )
    tuned: str | None = option(
        None, "take the best settings that searches in DIR found (alone: runs/tune)", "DIR", const="runs/tune"
    )
    protocol: str | None = option(
        None, "a table for each protocol: loo, gts-last, gts-first, gts-random, gts-successive", "A,B"
    )
    select: bool = option(False, "choose settings by validation among those that entries declare under choose")
    select_seeds: str = option("2015,2016,2017", "seeds that choose; other ones than --seeds", "A,B")
    equal: Literal["passes"] | None = option(
        None, "passes: continue the search of a plain entry until it has taken the passes of its entry with SAM", "WHAT"
    )
    out: Path = option(Path("runs", "compare"), "folder", "DIR")
    pages: Path | None = option(None, "folder of the tables and plots", "DIR", else_="that of --out")
    mask_history: bool = option(False, "also write tables with history masked; --select then validates so")
    threads: Count = option(1, "threads of each run", "N")
    parallel: Count | None = option(None, "runs at once", "N", else_="the number of cores")
    gpus: NonNegative | None = option(None, "GPUs of each run, such as 0.5; 0: CPU", "N", else_="what it needs")
    address: str | None = option(None, "a Ray cluster to run on", "HOST:PORT|auto")
    limit_hours: Positive | None = option(None, "skip entries of which a run is expected to take longer", "H")
    tables: bool = option(False, "train nothing; write the tables of what is finished")


class TuneOptions(DataOptions):
    """Options of ``tune``."""

    model: str = option("SAMRec", "model or entry of compare, or file.py:Name", "NAME", short="-m", kept=True)
    dataset: str = option("ml-100k", "data set", "NAME", short="-d", kept=True)
    space: Path | None = option(
        None, "file with the settings to search", "FILE", else_="properties/search/<Model>.yaml", kept=True
    )
    trials: Count | None = option(None, "number of trials", "N", else_="20, or the size of the grid", kept=True)
    passes: Positive | None = option(
        None, "gradient passes of all trials, in place of --trials: no trial starts once they are used", "P", kept=True
    )
    search: Literal["random", "grid", "optuna", "hyperopt"] = option(
        "random", "how trials are drawn", "NAME", kept=True
    )
    scheduler: Literal["asha", "median", "pbt", "none"] = option("asha", "what stops bad trials", "NAME", kept=True)
    grace: Count = option(10, "epochs before which no trial is stopped", "N", kept=True)
    seeds: str = option("1", "seeds of each trial, a number or the seeds with commas", "N", kept=True)
    search_seed: NonNegativeInt = option(2020, "seed of what is drawn", "N", kept=True)
    retries: NonNegativeInt = option(1, "attempts after a trial whose process died", "N", kept=True)
    config_files: str | None = option(None, "yaml files of settings for all trials, separated by blanks", "FILES")
    out: Path | None = option(None, "folder", "DIR", else_="runs/tune/<Model>-<dataset>")
    resume: Path | Literal[True] | None = option(None, "resume a search (or --out=DIR --resume)", "DIR", const=True)
    threads: Count = option(1, "threads of each trial", "N")
    parallel: Count | None = option(None, "trials at once; a search keeps it", "N", else_="one a core")
    gpus: NonNegative | None = option(
        None, "GPUs of each trial, such as 0.5; 0: CPU", "N", else_="1 where there is one"
    )
    memory: Positive | None = option(None, "gigabytes to reserve for a trial", "GB", else_="2, or what is available")
    address: str | None = option(None, "a Ray cluster to run on", "HOST:PORT|auto")
    host: str = option("127.0.0.1", "address at which Ray listens", "HOST")
    dashboard: bool = option(False, "show Ray's dashboard")


class SharpnessOptions(Options):
    """Options of ``sharpness``."""

    runs: list[str] = option(
        ..., "folders of up to 6 finished runs on one data set, each perhaps with a label: 'no dropout=RUN'", "RUN"
    )
    quick: bool = option(False, "a smaller sample and fewer points: some two minutes a run")
    targets: Count | None = option(None, "training targets to measure on", "N", else_="8192, quick 2048")
    out: Path | None = option(None, "folder", "DIR", else_="runs/sharpness-<data set>")
    fractions: Path | None = option(None, "a table of `compare --train_fraction` (.csv) to draw too", "FILE")
    threads: Count | None = option(None, "threads", "N", else_="the number of cores")
    model: str | None = option(None, "location of a custom model", "file.py:NAME")
