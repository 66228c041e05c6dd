"""Searches from Python: the whole of one, or our objective for a tuner of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_samrec.cli.compare import FIRST_SEED
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.keys import known_keys
from recbole_samrec.config.validate import check_keys
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.jobs import class_of, settings_of_rows
from recbole_samrec.experiments.ray_cluster import Resources
from recbole_samrec.tune.search_spec import PLAN, design, recall
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError


def search(
    model: str = "SAMRec",
    dataset: str = "ml-100k",
    space: str | Path | Mapping[str, Any] | None = None,
    *,
    trials: int = 20,
    out: str | Path | None = None,
    strategy: Strategy | None = None,
    seeds: Sequence[int] = (FIRST_SEED,),
    retries: int = 1,
    resources: Resources | None = None,
    resume: bool = False,
    console: Console | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Search the settings of a model, choosing by the validation metric.

    Args:
        model: Name of a model or a row of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set.
        space: What is searched: a file, or a mapping of its form; None for ``properties/search/<Model>.yaml``.
        trials: How many.
        out: Folder of the search; None for ``runs/tune/<Model>-<dataset>``.
        strategy: How it goes about it; its number of trials gives way to ``trials``.
        seeds: Seeds of each trial.
        retries: How often a trial that dies is tried again.
        resources: What each trial gets; None for a core each.
        resume: Go on with the search in ``out``, as it was begun; of the other arguments only ``resources`` and
            ``console`` count.
        console: Where progress is shown; None for nowhere.
        settings: Settings of all trials.

    Returns:
        One line a trial: ``trial``, ``status``, ``score``, ``epochs``, ``seconds``, ``ended``, ``reason``, and the
        values of the searched settings. Its ``attrs`` hold the ``best`` trial's number, its ``settings`` and its
        ``scores`` on ``valid`` and ``test``.

    Raises:
        UserError: Something is wrong with the model, the settings, the space or the data, or the folder is taken.

    Example:
        ``search("SAMRec", "ml-100k", {"sam_rho": [0.1, 0.3, 1.0]}, trials=3, epochs=30)``
    """
    from recbole_samrec.tune.results import conclude
    from recbole_samrec.tune.runner import conduct

    if resume:
        if out is None:
            raise ConfigError("search(resume=True): say which one by out=")
        found = recall(Path(out))
    else:
        kind = strategy or Strategy()
        kind = Strategy(kind.search, kind.scheduler, trials, kind.grace, kind.seed)
        where = Path(out) if out is not None else None
        given = Path(space) if isinstance(space, str) else space
        found = design(model, dataset, given, kind, seeds, where, given=settings, retries=retries)
        if (found.out / PLAN).exists():
            raise ConfigError(f"search(out={str(found.out)!r}): it holds a search already; resume it or name another")
    outcome = conclude(found, conduct(found, resources or Resources(), console or Console(quiet=True)))
    outcome.trials.attrs = {"best": outcome.best, "settings": dict(outcome.settings), "scores": dict(outcome.scores)}
    return outcome.trials


def objective(model: str = "SAMRec", dataset: str = "ml-100k", **settings: Any) -> Callable[[dict[str, Any]], None]:
    """A trainable for a ``ray.tune.Tuner`` of one's own.

    Every validation is reported, with a checkpoint: ``score``, the best value of ``valid_metric`` so far; ``valid``,
    that of the epoch; ``epoch``; ``seconds``. Nothing is scored on the test set.

    Args:
        model: Name of a model or a row of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set.
        settings: Settings of all trials; what the tuner draws wins over them.

    Raises:
        UserError: The model, a setting or the data set is wrong.

    Example:
        ``tune.Tuner(objective("SAMRec", epochs=30), param_space={"sam_rho": tune.loguniform(0.05, 1.0)})``
    """
    from recbole_samrec.tune.trials import Task, carry_out

    (row,) = read_rows([model])
    known = known_keys(row.model, dataset, class_of(row))
    check_keys(settings, known)
    chosen = {**settings_of_rows([row], dataset, {}, settings)[row.name], "dataset": dataset}
    sha256 = check_data(configure(chosen, {}, warnings.warn), warnings.warn).sha256
    task = Task(chosen, None, (FIRST_SEED,), sha256, start=Path.cwd(), source=row.source)

    def train(drawn: dict[str, Any]) -> None:
        carry_out(drawn, task)

    return train
