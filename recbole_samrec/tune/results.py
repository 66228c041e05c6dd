"""Results of a search: the best configuration, its test metrics, a table of all trials and a page."""

from __future__ import annotations

import html
import logging
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from recbole_samrec.config.build import configure
from recbole_samrec.experiments.seeds import FIRST_SEED
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.environment import device_name, versions
from recbole_samrec.quick_start.record import RESULT, RunRecord, field_name
from recbole_samrec.tune.page import render_page
from recbole_samrec.tune.runner import make_task
from recbole_samrec.tune.search_spec import RAY, TRIALS, SearchSpec, write_search
from recbole_samrec.tune.trial_log import FAILED, RUNNING, TrialLog
from recbole_samrec.utils.durations import format_duration
from recbole_samrec.utils.errors import CheckpointError
from recbole_samrec.utils.files import write_atomically

BEST, TABLE, PAGE = "best.yaml", "trials.csv", "search.html"


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Args:
        title: Model and data set.
        metric: Metric by which the best trial was chosen, on validation.
        folder: Folder of the search.
        trials: Table with one line a trial: ``trial``, ``status``, ``score``, ``epochs``, ``seconds``, ``passes``
            (gradient passes), ``ended``, ``reason``, and the values of the searched settings.
        trial: Number of the best trial; None if no trial has a score, or not all have ended.
        best: Its values of the searched settings.
        metrics: Its ``valid`` and ``test`` metrics, means over the seeds.
        complete: True if all trials have ended.
    """

    title: str
    metric: str
    folder: Path
    trials: pd.DataFrame
    trial: int | None
    best: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    complete: bool

    @property
    def score(self) -> float | None:
        """Validation score of the best trial; None if there is none."""
        if self.trial is None:
            return None
        return float(self.trials.set_index("trial").loc[self.trial, "score"])

    @property
    def config_file(self) -> Path:
        """File with the best settings, for ``config_files``."""
        return self.folder / BEST

    def __repr__(self) -> str:
        """Summarize the search and list its trials."""
        return f"{self._summarize()}\n{self.trials.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._summarize())}</p>{self.trials.to_html(index=False)}"

    def _summarize(self) -> str:
        words = f"SearchResult: {self.title}, {len(self.trials)} trials in {self.folder}"
        if self.trial is None:
            return words + ("; no trial has a score" if self.complete else "; not complete")
        return f"{words}; best is trial {self.trial:03d} with {self.metric} {self.score:.4f}: {dict(self.best)}"


def conclude_search(search: SearchSpec, log: TrialLog, note: Callable[[str], None] = lambda line: None) -> SearchResult:
    """Score the test set with the best configuration only, and write the files of a search.

    Args:
        search: The search.
        log: Log of its trials.
        note: Called with warnings.
    """
    complete = log.is_complete(search.trials, search.strategy.passes)
    trials, name = log.table(search.space.names), log.best if complete else None
    write_atomically(search.out / TABLE, trials.to_csv(index=False))
    if not complete:
        return SearchResult(search.title, search.metric, search.out, trials, None, {}, {}, False)
    settings = log.trials[name].drawn if name else {}
    scores = _evaluate_trial(search, name, settings) if name else {}
    facts = list_search_facts(search, log)
    if name:
        write_atomically(search.out / BEST, format_best(search, name, settings, scores))
    else:
        note("no trial has a score; see trials.csv for the reasons")
    best = {"trial": int(name), "settings": settings, **scores} if name else None
    found = {"hours": log.now / 3600, "statuses": dict(Counter(trials["status"])), "best": best}
    write_search(search, {"complete": True, "found": found | {"versions": versions(), "device": facts["device"]}})
    text = render_page(
        trials[trials["status"] != RUNNING],
        search.space.parameters,
        title=f"Search: {search.title}",
        metric=search.metric,
        bigger=search.bigger,
        facts=facts,
        best={"trial": int(name), **settings} if name else {},
        scores=scores,
    )
    write_atomically(search.out / PAGE, text)
    _tidy(search, log, name)
    number = int(name) if name else None
    return SearchResult(search.title, search.metric, search.out, trials, number, settings, scores, True)


def _evaluate_trial(search: SearchSpec, name: str, drawn: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Evaluate a trial's best weights; the metrics are means over its seeds."""
    task = make_task(search, 1)
    folder, found = (search.out / TRIALS).resolve() / name, []
    logging.disable(logging.WARNING)  # each trial's log has them
    try:
        for seed in search.seeds:
            place = task.seed_folder(folder, seed)
            if not (place / "best.pth").exists():
                words = "the best trial's weights are gone; best.yaml trains them again"
                raise CheckpointError(f"{place / 'best.pth'}: {words}")
            settings = {**search.settings, **drawn, "seed": seed, "run_dir": None, "checkpoint_dir": str(place)}
            # on the CPU, so that this process does not occupy a GPU when the next search begins
            settings |= {"show_progress": False, "quiet_terminal": True, "use_gpu": False}
            config = configure(settings, {})
            mask = bool(config["mask_history"])
            found.append(train.evaluate_weights(config, place / "best.pth", (mask,))[mask])
    finally:
        logging.disable(logging.NOTSET)
    parts = {part: [scores[part] for scores in found] for part in ("valid", "test") if found[0][part]}
    return {
        part: {metric: statistics.mean(scores[metric] for scores in of) for metric in of[0]}
        for part, of in parts.items()
    }


def format_best(
    search: SearchSpec, name: str, drawn: Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]
) -> str:
    """Format the best configuration as a file for ``--config_files``, with its origin in comments."""
    strategy, metric = search.strategy, search.metric
    how = f"{search.budget}, {strategy.search} search, scheduler {strategy.scheduler}"
    seeds = f"seeds {', '.join(map(str, search.seeds))}" if len(search.seeds) > 1 else f"seed {search.seeds[0]}"
    lines = [
        f"# The best configuration of {search.title} on validation: trial {name} of {how}, {seeds}.",
        f"# {metric}: {_format_score(scores, 'valid', metric)} on validation, "
        f"{_format_score(scores, 'test', metric)} on test.",
    ]
    if search.source:
        lines.append(f"# Its model is your own: give --model={search.source} as well.")
    if strategy.scheduler == "pbt":
        lines.append(
            "# Settings changed while the trial ran; these are the last ones, which alone may give another result."
        )
    settings = {**search.settings, **drawn}
    if len(search.seeds) == 1 and search.seeds[0] != FIRST_SEED:
        settings["seed"] = search.seeds[0]
    return "\n".join(lines) + "\n" + yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=100)


def _format_score(scores: Mapping[str, Mapping[str, float]], part: str, metric: str) -> str:
    value = scores.get(part, {}).get(field_name(metric))
    return "not measured" if value is None else f"{value:.4f}"


def list_search_facts(search: SearchSpec, log: TrialLog) -> dict[str, str]:
    """List the facts about a search that its page shows."""
    strategy, ended = search.strategy, Counter(entry.status for entry in log.trials.values())
    config = configure(dict(search.settings), {}, plans=True)
    packages = versions()
    facts = {
        "model": search.entry,
        "data": f"{search.dataset} (sha256 {search.sha256[:12]})",
        "trials": ", ".join(f"{count} {status}" for status, count in sorted(ended.items())),
        "budget": f"{search.budget}{', trials' if strategy.passes else ''} of at most {search.epochs} epochs, early "
        f"stopping after {config['stopping_step']} without a gain",
        "search": f"{strategy.search}, seed {strategy.seed}",
        "scheduler": strategy.scheduler,
        "seeds of a trial": ", ".join(map(str, search.seeds)),
        "selected by": f"{search.metric} on validation",
        "time": format_duration(log.now),
        "device": _find_device(search).partition(" (")[0],
        "versions": ", ".join(f"{package} {version}" for package, version in packages.items() if version),
    }
    return facts | {parameter.name: parameter.describe() for parameter in search.space.parameters}


def _find_device(search: SearchSpec) -> str:
    """Name the device of the trials, as the record of one of them does; without one, this machine's CPU."""
    for file in sorted((search.out / TRIALS).rglob(RESULT)):
        with suppress(OSError, ValueError):
            return RunRecord.read(file).device
    return device_name(torch.device("cpu"))


def _tidy(search: SearchSpec, log: TrialLog, best: str | None) -> None:
    """Remove files that only a resumed search needs: Ray Tune's state, and all weights but the best trial's.

    Failed trials may be tried again, so that their files stay, and with them the state.
    """
    failed = {name for name, entry in log.trials.items() if entry.status == FAILED}
    if not failed:
        shutil.rmtree(search.out / RAY, ignore_errors=True)
    for folder in (search.out / TRIALS).iterdir():
        if folder.name in failed:
            continue
        names: Sequence[str] = ("last.pth", "previous.pth") if folder.name == best else ("*.pth",)
        for file in (file for name in names for file in folder.rglob(name)):
            file.unlink(missing_ok=True)
