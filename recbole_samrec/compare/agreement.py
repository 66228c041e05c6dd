"""The page on the agreement of protocols: how similarly they order the entries of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.compare import captions
from recbole_samrec.compare.facts import list_validated
from recbole_samrec.compare.layout import MINUS, NOTHING, Cell, Grid, Page, list_forms
from recbole_samrec.compare.tables import DIGITS, rank_column, rank_means
from recbole_samrec.compare.write import MASKED, write_page
from recbole_samrec.data.temporal_options import complete_split
from recbole_samrec.evaluator.rank_agreement import DRAWS, bootstrap_means, kendall_tau
from recbole_samrec.evaluator.user_metrics import score_users
from recbole_samrec.experiments.protocols import LEAVE_ONE_OUT
from recbole_samrec.experiments.results import Run, group_runs

METRICS = ("ndcg@10", "hr@10", "mrr")
STEM = "protocols"
"""Begin of the names of the files."""


def write_agreement(
    runs: Sequence[Run],
    entries: Sequence[str],
    protocols: Sequence[str],
    folder: Path,
    masked: bool = False,
    command: str = "",
    draws: int = DRAWS,
    links: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page on the agreement of protocols, and its numbers.

    Args:
        runs: The finished runs of all protocols.
        entries: Names of the entries in the order to show.
        protocols: Names of the protocols in the order to show.
        folder: Folder to write to.
        masked: Whether the history is masked in the rankings.
        command: The command that makes the page.
        draws: Draws of the bootstrap.
        links: Titles and file names of the pages with the tables.

    Returns:
        The page.

    Raises:
        DataError: The folder cannot be written.
    """
    means = build_mean_table(runs, entries, protocols, masked)
    taus = build_agreement_table(runs, entries, protocols, masked, draws)
    grids = [_lay_out_taus(taus)]
    grids += [_lay_out_means(dataset, of_set, entries) for dataset, of_set in means.groupby("dataset", sort=False)]
    facts = [("draws of the bootstrap", f"{draws:,}"), *([("command", command)] if command else [])]
    leaks = [captions.LEAKS] if LEAVE_ONE_OUT in protocols else []
    title = f"Agreement of protocols{', history masked' if masked else ''}"
    remarks = [" ".join(list_forms(masked, list_validated(runs))), *leaks]
    page = Page(title, facts=facts, remarks=remarks, grids=grids, links=tuple(links))
    path = folder / f"{STEM}{MASKED[masked]}"
    write_page(path, page, taus)
    return path.with_name(f"{path.name}.md")


def build_mean_table(
    runs: Sequence[Run], entries: Sequence[str], protocols: Sequence[str], masked: bool = False
) -> pd.DataFrame:
    """Build the table of the means of all entries under all protocols.

    Returns:
        One line for each data set, protocol, metric and entry with runs: ``dataset``, ``protocol``, ``metric``,
        ``entry``, ``seeds`` and ``mean``.
    """
    lines = []
    for (dataset, protocol), of_place in _group(runs, protocols).items():
        for metric in METRICS:
            for entry, values in _score(of_place, entries, metric, masked).items():
                place = {"dataset": dataset, "protocol": protocol, "metric": metric, "entry": entry}
                lines.append({**place, "seeds": values.shape[1], "mean": values.mean()})
    return pd.DataFrame(lines, columns=["dataset", "protocol", "metric", "entry", "seeds", "mean"])


def build_agreement_table(
    runs: Sequence[Run],
    entries: Sequence[str],
    protocols: Sequence[str],
    masked: bool = False,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Build the table of Kendall's tau between the entries' means under each pair of protocols.

    Only entries with runs under both protocols count, and only pairs of protocols with at least two such entries.

    Args:
        runs: Finished runs under all protocols.
        entries: Names of the entries.
        protocols: Names of the protocols.
        masked: True for metrics with the history masked.
        draws: Number of bootstrap samples.

    Returns:
        One line for each data set, metric and pair of protocols: ``dataset``, ``metric``, ``protocol``, ``other``,
        ``entries`` (their number), ``tau``, ``low`` and ``high`` (95 % interval of the bootstrap).
    """
    groups = _group(runs, protocols)
    lines = []
    for dataset in dict.fromkeys(dataset for dataset, _ in groups):
        there = [protocol for protocol in protocols if (dataset, protocol) in groups]
        for metric in METRICS:
            scored = {name: _score(groups[dataset, name], entries, metric, masked) for name in there}
            seeds = _seed_draws({name: groups[dataset, name] for name in there})
            for one, other in combinations(there, 2):
                both = [entry for entry in scored[one] if entry in scored[other]]
                if len(both) < 2:
                    continue
                place = {"dataset": dataset, "metric": metric, "protocol": one, "other": other, "entries": len(both)}
                pair = [([scored[name][entry] for entry in both], seeds[name]) for name in (one, other)]
                lines.append({**place, **_measure(pair, draws)})
    columns = ["dataset", "metric", "protocol", "other", "entries", "tau", "low", "high"]
    return pd.DataFrame(lines, columns=columns)


def _measure(pair: Sequence[tuple[list[np.ndarray], int]], draws: int) -> dict[str, float]:
    means = [np.array([values.mean() for values in of_entries]) for of_entries, _ in pair]
    drawn = [bootstrap_means(of_entries, draws, seed) for of_entries, seed in pair]
    taus = kendall_tau(*drawn)
    taus = taus[np.isfinite(taus)]
    low, high = np.quantile(taus, [0.025, 0.975]) if len(taus) else (np.nan, np.nan)
    return {"tau": float(kendall_tau(*means)), "low": float(low), "high": float(high)}


def _group(runs: Sequence[Run], protocols: Sequence[str]) -> dict[tuple[str, str], list[Run]]:
    """Group the runs by data set and protocol, in the order of the protocols."""
    groups = group_runs(runs)
    places = product(dict.fromkeys(dataset for dataset, _ in groups), protocols)
    return {place: groups[place] for place in places if place in groups}


def _score(runs: Sequence[Run], entries: Sequence[str], metric: str, masked: bool) -> dict[str, np.ndarray]:
    """Compute each user's metric by each seed of the entries that have runs, each of shape ``[U, seeds]``."""
    scored = {}
    for entry in entries:
        if own := [run for run in runs if run.entry == entry]:
            ranks = np.stack([run.ranks[rank_column(masked)].to_numpy() for run in own], axis=1)
            scored[entry] = score_users(ranks, metric, own[0].users, own[0].prediction)
    return scored


def _seed_draws(groups: Mapping[str, Sequence[Run]]) -> dict[str, int]:
    """Give each protocol the seed of its draws; protocols that differ only in their targets share one."""
    trainings: list[Any] = []
    seeds = {}
    for name, runs in groups.items():
        config = dict(runs[0].result.get("config") or {})
        own = (complete_split(config, with_target=False).get("eval_args") or {}).get("split")
        if own not in trainings:
            trainings.append(own)
        seeds[name] = trainings.index(own)
    return seeds


def _lay_out_taus(taus: pd.DataFrame) -> Grid:
    body = []
    for line in taus.itertuples():
        interval = NOTHING if np.isnan(line.low) else f"{_show(line.low)} to {_show(line.high)}"
        texts = (line.metric.upper(), f"{line.protocol} and {line.other}", str(line.entries), _show(line.tau), interval)
        body.append([Cell(line.dataset), *map(Cell, texts)])
    header = ["data set", "metric", "protocols", "entries", "Kendall's tau", "95 % CI"]
    return Grid("Kendall's tau", "tau", [captions.AGREEMENT], header, body)


def _lay_out_means(dataset: Any, means: pd.DataFrame, entries: Sequence[str]) -> Grid:
    shown = means[means["metric"] == METRICS[0]]
    table = shown.pivot(index="entry", columns="protocol", values="mean")
    table = table.reindex([entry for entry in entries if entry in table.index])[list(dict.fromkeys(shown["protocol"]))]
    columns = [
        [
            Cell(NOTHING if np.isnan(mean) else f"{mean:.{DIGITS}f}", place)
            for mean, place in zip(of, places, strict=True)
        ]
        for of, places in ((table[name], rank_means(table[name])) for name in table)
    ]
    body = [[Cell(entry), *cells] for entry, *cells in zip(table.index, *columns, strict=True)]
    title = f"{dataset}: mean {METRICS[0].upper()}"
    return Grid(title, f"means-{dataset}", [], ["entry", *table.columns], body)


def _show(value: float) -> str:
    return NOTHING if np.isnan(value) else f"{value:.2f}".replace("-", MINUS)
