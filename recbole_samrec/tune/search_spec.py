"""What a search is: the model, its settings, what is searched and how; kept in ``search.json`` beside its results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.keys import known_keys, types_of
from recbole_samrec.config.validate import check_keys
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.jobs import class_of, settings_of_rows, slug
from recbole_samrec.integration import registry
from recbole_samrec.tune.spaces import Parameter, Space, check_space, default_space, read_space, space_of
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import write_atomically

PLAN = "search.json"
TRIALS, RAY, CLOCK = "trials", "ray", "progress.json"
"""Folders of the trials and of Ray Tune's state, and the file that says how far the search is."""


@dataclass(frozen=True)
class Search:
    """A search for the settings of a model on a data set.

    Args:
        row: Name of the row of ``compare`` whose settings are searched; usually a model's name.
        dataset: Name of the data set.
        settings: All settings above RecBole's defaults but the searched ones.
        space: What is searched.
        strategy: How.
        trials: How many there will be.
        seeds: Seeds of each trial.
        metric: What is reported, on validation.
        bigger: Whether a larger score is better.
        epochs: Most epochs of a run.
        sha256: Hash of the interactions.
        out: Folder of the search.
        retries: How often a trial that dies is tried again.
        source: ``file.py:Name`` of a model of the user's own.
    """

    row: str
    dataset: str
    settings: Mapping[str, Any]
    space: Space
    strategy: Strategy
    trials: int
    seeds: tuple[int, ...]
    metric: str
    bigger: bool
    epochs: int
    sha256: str
    out: Path
    retries: int = 1
    source: str | None = None

    @property
    def title(self) -> str:
        """How pages and messages call it."""
        return f"{self.row} on {self.dataset}"

    @property
    def mode(self) -> str:
        """Ray Tune's word for which scores are better."""
        return "max" if self.bigger else "min"


def design(
    model: str,
    dataset: str,
    space: Path | Mapping[str, Any] | None,
    strategy: Strategy,
    seeds: Sequence[int],
    out: Path | None,
    *,
    files: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    retries: int = 1,
    note: Callable[[str], None] = lambda line: None,
) -> Search:
    """Make a search of what was asked for, with everything checked before anything starts.

    Args:
        model: Name of a model or a row of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set.
        space: File or mapping of what is searched; None for the model's own space.
        strategy: How.
        seeds: Seeds of each trial.
        out: Folder of the search; None for one under ``runs/tune``.
        files: Settings of the user's files.
        given: Settings of the command line.
        retries: How often a trial that dies is tried again.
        note: Is told what looks odd.

    Raises:
        UserError: Something is wrong with the model, the settings, the space or the data.
    """
    if retries < 0:
        raise ConfigError(f"--retries={retries}: give a number of at least 0")
    if not seeds:
        raise ConfigError("--seeds: name at least one")
    (row,) = read_rows([model])
    files, given = dict(files or {}), dict(given or {})
    for key, flag in {"seed": "--seeds", "model": "--model", "dataset": "--dataset", "run_dir": "--out"}.items():
        if key in given or key in files:
            raise ConfigError(f"{key} belongs to each trial of a search; use {flag}")
    wanted, origin = _space(space, row.name)
    known = known_keys(row.model, dataset, class_of(row))
    check_keys(given, known)
    declared = types_of(row.model, dataset, class_of(row))
    check_space(wanted, origin, known, {**row.fixed, **given}, declared)
    settings = {**settings_of_rows([row], dataset, files, given)[row.name], "dataset": dataset}
    settings = {key: value for key, value in settings.items() if key not in {*wanted.names, *wanted.follow}}
    out = out or Path("runs", "tune", f"{slug(row.name)}-{dataset}")
    config = configure(settings, {}, note)
    sha256 = check_data(config, note).sha256
    return Search(
        row=row.name,
        dataset=dataset,
        settings=settings,
        space=wanted,
        strategy=strategy,
        trials=strategy.check(wanted, len(seeds)),
        seeds=tuple(seeds),
        metric=str(config["valid_metric"]),
        bigger=bool(config["valid_metric_bigger"]),
        epochs=int(config["epochs"]),
        sha256=sha256,
        out=out,
        retries=retries,
        source=_from_anywhere(row.source),
    )


def _from_anywhere(source: str | None) -> str | None:
    """``file.py:Name`` with the whole path of the file, so that the search can go on from another folder."""
    file, _, name = (source or "").rpartition(":")
    return f"{Path(file).resolve()}:{name}" if file.endswith(".py") else source


def _space(space: Path | Mapping[str, Any] | None, row: str) -> tuple[Space, str]:
    if space is None:
        return default_space(row), f"properties/search/{row}.yaml"
    if isinstance(space, Mapping):
        return space_of(space, "space"), "space"
    return read_space(space), str(space)


def store(search: Search, more: Mapping[str, Any] | None = None) -> None:
    """Write ``search.json``; ``more`` is what came out."""
    fields = {key: value for key, value in vars(search).items() if key not in ("space", "strategy", "out")}
    fields |= {"space": asdict(search.space), "strategy": asdict(search.strategy), **(more or {})}
    search.out.mkdir(parents=True, exist_ok=True)
    write_atomically(search.out / PLAN, json.dumps(fields, indent=2, default=str) + "\n")


def recall(out: Path) -> Search:
    """The search that a folder was made for.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    file = out / PLAN
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        parameters = [Parameter(**{**each, "values": tuple(each["values"])}) for each in stored["space"]["parameters"]]
        fields = {key: stored[key] for key in Search.__dataclass_fields__ if key in stored}
        fields |= {"seeds": tuple(stored["seeds"]), "strategy": Strategy(**stored["strategy"]), "out": out}
        search = Search(**fields | {"space": Space(tuple(parameters), dict(stored["space"]["follow"]))})
    except FileNotFoundError as error:
        raise ConfigError(f"--resume={out}: there is no search; see what lies in runs/tune/") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: this is no record of a search ({error}); start it anew in another --out") from error
    if search.source and not registry.is_model(search.settings["model"]):
        registry.model_from(search.source)
    return search
