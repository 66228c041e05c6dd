"""What a search leaves: the best configuration, its test metrics, a table of all trials and a page."""

from __future__ import annotations

import logging
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from recbole_samrec.cli.compare import FIRST_SEED
from recbole_samrec.config.build import configure
from recbole_samrec.experiments.progress import spoken
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.environment import device_name, versions
from recbole_samrec.quick_start.record import field_name
from recbole_samrec.tune.page import write_page
from recbole_samrec.tune.runner import task_of
from recbole_samrec.tune.search_spec import RAY, TRIALS, Search, store
from recbole_samrec.tune.trial_log import RUNNING, Journal
from recbole_samrec.utils.errors import CheckpointError
from recbole_samrec.utils.files import write_atomically

BEST, TABLE, PAGE = "best.yaml", "trials.csv", "search.html"


@dataclass(frozen=True)
class Outcome:
    """What came out of a search.

    Args:
        trials: One line a trial, as :meth:`recbole_samrec.tune.trial_log.Journal.table` describes.
        best: Number of the best trial; None if no trial came to a score.
        settings: Its values of the searched settings.
        scores: Its ``valid`` and ``test`` metrics, means over the seeds.
        complete: Whether all trials have ended.
    """

    trials: pd.DataFrame
    best: int | None
    settings: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    complete: bool


def conclude(search: Search, journal: Journal, note: Callable[[str], None] = lambda line: None) -> Outcome:
    """Score the test set with the best configuration, and that one only, and write the files of a search.

    Args:
        search: The search.
        journal: What is known of its trials.
        note: Is told what could not be done.
    """
    complete = len(journal.ended) >= search.trials
    trials, name = journal.table(search.space.names), journal.best if complete else None
    write_atomically(search.out / TABLE, trials.to_csv(index=False))
    if not complete:
        return Outcome(trials, None, {}, {}, False)
    settings = journal.trials[name].drawn if name else {}
    scores = _scores(search, name, settings) if name else {}
    facts = facts_of(search, journal)
    if name:
        write_atomically(search.out / BEST, best_yaml(search, name, settings, scores))
    else:
        note("no trial came to a score; trials.csv says why")
    best = {"trial": int(name), "settings": settings, **scores} if name else None
    found = {"hours": journal.now / 3600, "statuses": dict(Counter(trials["status"])), "best": best}
    store(search, {"complete": True, "found": found | {"versions": versions(), "device": facts["device"]}})
    write_page(
        search.out / PAGE,
        trials[trials["status"] != RUNNING],
        search.space.parameters,
        title=f"Search: {search.title}",
        metric=search.metric,
        bigger=search.bigger,
        facts=facts,
        best={"trial": int(name), **settings} if name else {},
        scores=scores,
    )
    _tidy(search, name)
    return Outcome(trials, int(name) if name else None, settings, scores, True)


def _scores(search: Search, name: str, drawn: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The metrics of a trial's best weights, means over its seeds."""
    task = task_of(search, 1)
    folder, found = task.folder / name, []
    logging.disable(logging.WARNING)  # each trial's log has them
    try:
        for seed in search.seeds:
            place = task.folder_of(folder, seed)
            if not (place / "best.pth").exists():
                words = "the best trial's weights are gone; best.yaml trains them again"
                raise CheckpointError(f"{place / 'best.pth'}: {words}")
            settings = {**search.settings, **drawn, "seed": seed, "run_dir": None, "checkpoint_dir": str(place)}
            config = configure(settings | {"show_progress": False, "quiet_terminal": True}, {})
            mask = bool(config["mask_history"])
            found.append(train.evaluate(config, place / "best.pth", (mask,))[mask])
    finally:
        logging.disable(logging.NOTSET)
    parts = {part: [scores[part] for scores in found] for part in ("valid", "test") if found[0][part]}
    return {
        part: {metric: statistics.mean(scores[metric] for scores in of) for metric in of[0]}
        for part, of in parts.items()
    }


def best_yaml(search: Search, name: str, drawn: Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]) -> str:
    """The best configuration as a file for ``--config_files``, with its origin in comments."""
    strategy, metric = search.strategy, search.metric
    how = f"{search.trials} trials, {strategy.search} search, scheduler {strategy.scheduler}"
    seeds = f"seeds {', '.join(map(str, search.seeds))}" if len(search.seeds) > 1 else f"seed {search.seeds[0]}"
    lines = [
        f"# The best configuration of {search.title} on validation: trial {name} of {how}, {seeds}.",
        f"# {metric}: {_score(scores, 'valid', metric)} on validation, {_score(scores, 'test', metric)} on test.",
    ]
    if search.source:
        lines.append(f"# Its model is your own: give --model={search.source} besides.")
    if strategy.scheduler == "pbt":
        lines.append("# They changed while the trial ran; these are the last ones, which may do otherwise.")
    settings = {**search.settings, **drawn}
    if len(search.seeds) == 1 and search.seeds[0] != FIRST_SEED:
        settings["seed"] = search.seeds[0]
    return "\n".join(lines) + "\n" + yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=100)


def _score(scores: Mapping[str, Mapping[str, float]], part: str, metric: str) -> str:
    value = scores.get(part, {}).get(field_name(metric))
    return "not measured" if value is None else f"{value:.4f}"


def facts_of(search: Search, journal: Journal) -> dict[str, str]:
    """What a reader has to know of a search, in words."""
    strategy, ended = search.strategy, Counter(entry.status for entry in journal.trials.values())
    config = configure(dict(search.settings), {})
    packages = versions()
    facts = {
        "model": search.row,
        "data": f"{search.dataset} (sha256 {search.sha256[:12]})",
        "trials": ", ".join(f"{count} {status}" for status, count in sorted(ended.items())),
        "budget": f"{search.trials} trials of at most {search.epochs} epochs, early stopping after "
        f"{config['stopping_step']} without a gain",
        "search": f"{strategy.search}, seed {strategy.seed}",
        "scheduler": strategy.scheduler,
        "seeds of a trial": ", ".join(map(str, search.seeds)),
        "selected by": f"{search.metric} on validation",
        "time": spoken(journal.now),
        "device": device_name(config["device"]).partition(" (")[0],
        "versions": ", ".join(f"{package} {version}" for package, version in packages.items() if version),
    }
    return facts | {parameter.name: parameter.describe() for parameter in search.space.parameters}


def _tidy(search: Search, best: str | None) -> None:
    """Remove what only a search that goes on needs: Ray Tune's state, and all weights but the best trial's."""
    shutil.rmtree(search.out / RAY, ignore_errors=True)
    for folder in (search.out / TRIALS).iterdir():
        names: Sequence[str] = ("last.pth", "previous.pth") if folder.name == best else ("*.pth",)
        for file in (file for name in names for file in folder.rglob(name)):
            file.unlink(missing_ok=True)
