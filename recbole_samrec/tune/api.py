"""Searches from Python: a whole search, or our objective for your own tuner."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.keys import list_known_keys
from recbole_samrec.config.own_data import adopt_data
from recbole_samrec.config.validate import check_keys
from recbole_samrec.config.value_types import Positive, describe_type, is_accepted
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import choose_settings, model_class
from recbole_samrec.experiments.ray_cluster import Resources, choose_resources
from recbole_samrec.experiments.seeds import FIRST_SEED, choose_seeds
from recbole_samrec.tune.results import SearchResult, conclude_search
from recbole_samrec.tune.search_spec import SEARCH, SearchSpec, plan_search, read_search
from recbole_samrec.tune.strategies import USUAL_TRIALS, Strategy
from recbole_samrec.utils.console import print_line, print_note
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import require_extra


def search(
    model: str = "SAMRec",
    dataset: Any = "ml-100k",
    space: str | Path | Mapping[str, Any] | None = None,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    items: Any = None,
    trials: int | None = None,
    passes: float | None = None,
    algorithm: str = "random",
    scheduler: str = "asha",
    grace: int = 10,
    seeds: int | Sequence[int] = 1,
    search_seed: int = 2020,
    retries: int = 1,
    config_files: Sequence[str | Path] = (),
    out: str | Path | None = None,
    threads: int = 1,
    parallel: int | None = None,
    gpus: float | None = None,
    memory: float | None = None,
    address: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> SearchResult:
    """Search the settings of a model on the validation set, as the command ``tune`` does.

    Args:
        model: Name of a model or an entry of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set; or a pandas or polars frame, or the path of a Parquet file, with one row per
            event.
        user: Column of the frame or file with user ids; None for ``user_id``.
        item: Column with item ids; None for ``item_id``.
        time: Column with times, as numbers or dates; None for ``timestamp``.
        items: Frame or Parquet file of the items with their attributes, one row for each; None for none.
        space: Search space: a file, or a mapping of the same form; None for ``properties/search/<Model>.yaml``.
        trials: Number of trials; None for 20, or for all combinations of a grid, unless ``passes`` is given.
        passes: Budget of gradient passes for all trials, as counted in ``result.json``: no new trial starts once the
            started ones have used it, and running trials are completed. For random search and search algorithms.
        algorithm: ``random``, ``grid``, ``optuna`` or ``hyperopt``.
        scheduler: Rule that stops bad trials: ``asha``, ``median``, ``pbt`` or ``none``.
        grace: Epochs before which no trial is stopped.
        seeds: Number of seeds of each trial, or the seeds.
        search_seed: Seed of the search algorithm.
        retries: Number of further attempts at a trial that dies.
        config_files: Yaml files of settings for all trials.
        out: Folder of the search; None for ``runs/tune/<Model>-<dataset>``.
        threads: Threads of each trial.
        parallel: Largest number of trials at once; None for one per core.
        gpus: GPUs of each trial, such as 0.5; None for one GPU if there is one.
        memory: Memory to reserve for a trial, in gigabytes; None for 2, or an equal share of all memory if that is
            less.
        address: Address of a Ray cluster to run on.
        console: Where progress is shown; None for the terminal or the notebook.
        settings: Settings of all trials.

    Returns:
        The result, with the table of ``trials``, the ``best`` settings and their ``score``. If Ctrl-C stopped the
        search it is not ``complete``; :func:`resume_search` continues it.

    Raises:
        UserError: The model, a setting, the space, the data or the folder cannot be used.

    Example::

        from recbole_samrec import search

        search("SAMRec", "ml-100k", {"sam_rho": [0.1, 0.3]}, algorithm="grid", epochs=5).best
    """
    console = console or Console()
    resources = choose_resources(threads, parallel, gpus, address)
    found = prepare_search(
        model,
        dataset,
        space,
        user=user,
        item=item,
        time=time,
        items=items,
        trials=trials,
        passes=passes,
        algorithm=algorithm,
        scheduler=scheduler,
        grace=grace,
        seeds=seeds,
        search_seed=search_seed,
        retries=retries,
        config_files=config_files,
        out=out,
        settings=settings,
        note=partial(print_note, console),
    )
    return finish_search(found, resources, console, memory)


def resume_search(
    out: str | Path,
    *,
    threads: int = 1,
    parallel: int | None = None,
    gpus: float | None = None,
    memory: float | None = None,
    address: str | None = None,
    console: Console | None = None,
) -> SearchResult:
    """Resume a search with the settings it was started with.

    Args:
        out: Folder of the search.
        threads: See :func:`search`, as for the following ones.
        parallel: Largest number of trials at once; None for the number at the start of the search, if there was one.
        gpus: GPUs of each trial.
        memory: Memory to reserve for a trial, in gigabytes.
        address: Address of a Ray cluster to run on.
        console: Where progress is shown.

    Returns:
        The result, as from :func:`search`.

    Raises:
        UserError: There is no such search, it cannot be read, or its data have changed.
    """
    return finish_search(
        read_search(Path(out)), choose_resources(threads, parallel, gpus, address), console or Console(), memory
    )


def prepare_search(
    model: str,
    dataset: Any,
    space: str | Path | Mapping[str, Any] | None = None,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    items: Any = None,
    trials: int | None = None,
    passes: float | None = None,
    algorithm: str = "random",
    scheduler: str = "asha",
    grace: int = 10,
    seeds: int | Sequence[int] = 1,
    search_seed: int = 2020,
    retries: int = 1,
    config_files: Sequence[str | Path] = (),
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> SearchSpec:
    """Plan a search without running it; see :func:`search` for the arguments.

    Raises:
        UserError: The model, a setting, the space, the data or the folder cannot be used.
    """
    given = Path(space) if isinstance(space, str) else space
    if isinstance(given, Path) and not given.is_file():
        raise ConfigError(f"--space={given}: there is no such file")
    if trials is None and passes is None and algorithm != "grid":
        trials = USUAL_TRIALS
    files = read_yaml_files([str(file) for file in config_files], note)
    name = adopt_data(dataset, Roles(user, item, time), files | dict(settings or {}), note, items)
    found = plan_search(
        model,
        name,
        given,
        Strategy(algorithm, scheduler, trials, grace, search_seed, passes),
        choose_seeds(seeds),
        Path(out) if out is not None else None,
        files=files,
        given=settings,
        retries=retries,
        note=note,
    )
    if (found.out / SEARCH).exists():
        out = shlex.quote(str(found.out))
        raise ConfigError(
            f"--out={out}: it already contains a search; resume it with --resume={out}, or choose another folder"
        )
    return found


def finish_search(
    found: SearchSpec, resources: Resources, console: Console, memory: float | None = None
) -> SearchResult:
    """Run the trials of a search that have not ended, and write its results.

    Args:
        found: The search.
        resources: Resources of each trial.
        console: Where progress is shown.
        memory: Memory to reserve for a trial, in gigabytes; None for the default.

    Raises:
        UserError: Ray is not installed, no trial could read the data or get its resources, or another process runs
            this search.
    """
    require_extra("tune", "tune")
    from recbole_samrec.tune.runner import run_search

    if memory is not None and not is_accepted(Positive, memory):
        raise ConfigError(f"--memory={memory}: must be {describe_type(Positive)}")
    strategy = found.strategy
    how = f"({strategy.search}, {strategy.scheduler})"
    print_line(console, f"{found.budget} for {found.title} in {found.out} {how}")
    for parameter in found.space.parameters:
        print_line(console, f"  {parameter.name}: {parameter.describe()}")
    log = run_search(found, resources, console, memory and 1000 * memory)
    return conclude_search(found, log, partial(print_note, console))


def objective(model: str = "SAMRec", dataset: str = "ml-100k", **settings: Any) -> Callable[[dict[str, Any]], None]:
    """Make a trainable for your own ``ray.tune.Tuner``.

    Every validation is reported, with a checkpoint: ``score``, the best value of ``valid_metric`` so far; ``valid``,
    that of the epoch; ``epoch``; ``seconds``; ``passes``, the gradient passes so far. Nothing is scored on the test
    set.

    Args:
        model: Name of a model or an entry of ``compare``, or ``file.py:Name``.
        dataset: Name of the data set.
        settings: Settings of all trials; the settings that the tuner draws override them.

    Returns:
        The trainable.

    Raises:
        UserError: The model, a setting or the data set is wrong.

    Example:
        ``tune.Tuner(objective("SAMRec", epochs=30), param_space={"sam_rho": tune.loguniform(0.05, 1.0)})``
    """
    from recbole_samrec.tune.trials import TrialTask, run_trial

    (entry,) = read_entries([model])
    known = list_known_keys(entry.model, dataset, model_class(entry))
    check_keys(settings, known)
    chosen = {**choose_settings([entry], dataset, {}, settings)[entry.name], "dataset": dataset}
    sha256 = check_data(configure(chosen, {}, warnings.warn, plans=True), warnings.warn).sha256
    task = TrialTask(entry.name, chosen, None, (FIRST_SEED,), sha256, start=Path.cwd(), source=entry.source)

    def train(drawn: dict[str, Any]) -> None:
        run_trial(drawn, task)

    return train
