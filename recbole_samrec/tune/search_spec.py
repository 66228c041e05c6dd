"""Specification of a search: the model, its settings, the space and the strategy; stored in ``search.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.keys import collect_types, list_known_keys
from recbole_samrec.config.parameters import Parameter
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.validate import check_keys
from recbole_samrec.data.temporal_held import trains_on_all
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.job_folders import slug
from recbole_samrec.experiments.jobs import check_gpu_id, choose_settings, model_class
from recbole_samrec.integration import registry
from recbole_samrec.trainer.trainer import explain_model_kind
from recbole_samrec.tune.spaces import Space, check_space, make_space, read_default_space, read_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import write_atomically

SEARCH = "search.json"
TRIALS, RAY, LOG = "trials", "ray", "progress.json"
"""Folders of the trials and of Ray Tune's state, and the file with the log of the trials."""


@dataclass(frozen=True)
class SearchSpec:
    """A search for the settings of a model on a data set.

    Args:
        entry: Name of the entry of ``compare`` whose settings are searched; usually a model's name.
        dataset: Name of the data set.
        settings: All settings above RecBole's defaults but the searched ones.
        space: Settings that are searched.
        strategy: Search algorithm and scheduler.
        trials: Number of trials; the largest number if the budget is in gradient passes.
        seeds: Seeds of each trial.
        metric: Metric that is reported, on validation.
        bigger: True if a larger score is better.
        epochs: Largest number of epochs of a run.
        sha256: Hash of the interactions.
        out: Folder of the search.
        retries: Number of further attempts at a trial that dies.
        source: ``file.py:Name`` of a user's own model.
    """

    entry: str
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
        """Name on pages and in messages."""
        return f"{self.entry} on {self.dataset}"

    @property
    def budget(self) -> str:
        """Budget in words."""
        passes = self.strategy.passes
        return f"{self.trials} trials" if passes is None else f"{passes:g} gradient passes"

    @property
    def mode(self) -> str:
        """Ray Tune's word for the direction in which scores are better."""
        return "max" if self.bigger else "min"


def plan_search(
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
) -> SearchSpec:
    """Plan a search and check everything before it starts.

    Args:
        model: Name of a model or an entry of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set.
        space: File or mapping of the searched settings; None for the model's own space.
        strategy: Search algorithm and scheduler.
        seeds: Seeds of each trial.
        out: Folder of the search; None for one under ``runs/tune``.
        files: Settings of the user's files.
        given: Settings of the command line.
        retries: Number of further attempts at a trial that dies.
        note: Called with warnings.

    Raises:
        UserError: The model, a setting, the space or the data cannot be used.
    """
    if retries < 0:
        raise ConfigError(f"--retries={retries}: give a number of at least 0")
    if not seeds:
        raise ConfigError("--seeds: name at least one")
    (entry,) = read_entries([model])
    files, given = dict(files or {}), dict(given or {})
    for key, flag in {"seed": "--seeds", "model": "--model", "dataset": "--dataset", "run_dir": "--out"}.items():
        if key in given or key in files:
            raise ConfigError(f"{key} cannot be set for a search; use {flag}")
    check_gpu_id(files, given, note)
    wanted, origin = _read_space(space, entry.name)
    known = list_known_keys(entry.model, dataset, model_class(entry))
    check_keys(given, known)
    declared = collect_types(entry.model, dataset, model_class(entry))
    check_space(wanted, origin, known, {**entry.fixed, **given}, declared)
    settings = {**choose_settings([entry], dataset, files, given, note=note)[entry.name], "dataset": dataset}
    settings = {key: value for key, value in settings.items() if key not in {*wanted.names, *wanted.follow}}
    out = out or Path("runs", "tune", f"{slug(entry.name)}-{dataset}")
    trials = strategy.check(wanted, len(seeds))
    if strategy.passes is not None and (reason := explain_model_kind(model_class(entry))):
        raise ConfigError(
            f"--passes={strategy.passes:g}: {entry.name} takes no gradient passes, {reason}; give --trials"
        )
    if strategy.trials is not None and trials < strategy.trials:
        note(f"the space has only {trials} configurations, fewer than --trials={strategy.trials}: each is tried once")
    config = configure(settings, {}, note, plans=True)
    if trains_on_all(config):
        raise ConfigError(
            "eval_args: split GTS: a search uses only the validation set; set retrain for the runs that follow it"
        )
    sha256 = check_data(config, note).sha256
    return SearchSpec(
        entry=entry.name,
        dataset=dataset,
        settings=settings,
        space=wanted,
        strategy=strategy,
        trials=trials,
        seeds=tuple(seeds),
        metric=str(config["valid_metric"]),
        bigger=bool(config["valid_metric_bigger"]),
        epochs=int(config["epochs"]),
        sha256=sha256,
        out=out,
        retries=retries,
        source=_absolute_source(entry.source),
    )


def _absolute_source(source: str | None) -> str | None:
    """Make the path in ``file.py:Name`` absolute, so that the search can be resumed from another folder."""
    file, _, name = (source or "").rpartition(":")
    return f"{Path(file).resolve()}:{name}" if file.endswith(".py") else source


def _read_space(space: Path | Mapping[str, Any] | None, entry: str) -> tuple[Space, str]:
    if space is None:
        return read_default_space(entry), f"properties/search/{entry}.yaml"
    if isinstance(space, Mapping):
        return make_space(space, "space"), "space"
    return read_space(space), str(space)


def write_search(search: SearchSpec, more: Mapping[str, Any] | None = None) -> None:
    """Write ``search.json``; ``more`` has the outcome."""
    fields = {key: value for key, value in vars(search).items() if key not in ("space", "strategy", "out")}
    fields |= {"space": asdict(search.space), "strategy": asdict(search.strategy), **(more or {})}
    search.out.mkdir(parents=True, exist_ok=True)
    write_atomically(search.out / SEARCH, json.dumps(fields, indent=2, default=str) + "\n", folder="--out")


def read_search(out: Path) -> SearchSpec:
    """Read the search that a folder was made for.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    file = out / SEARCH
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        stored = {"entry": stored.get("row"), **stored}  # its key in revision 6de9c71
        parameters = [Parameter(**{**each, "values": tuple(each["values"])}) for each in stored["space"]["parameters"]]
        fields = {key: stored[key] for key in SearchSpec.__dataclass_fields__ if key in stored}
        fields |= {
            "settings": upgrade_settings(stored["settings"]),
            "seeds": tuple(stored["seeds"]),
            "strategy": Strategy(**stored["strategy"]),
            "out": out,
        }
        search = SearchSpec(**fields | {"space": Space(tuple(parameters), dict(stored["space"]["follow"]))})
    except FileNotFoundError as error:
        raise ConfigError(f"--resume={out}: there is no search; the searches are in runs/tune/") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file}: not a valid record of a search ({error}); start a new one in another --out"
        ) from error
    if search.source and not registry.is_model(search.settings["model"]):
        registry.model_from(search.source)
    return search
