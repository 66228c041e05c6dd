"""Continues the searches of plain entries, candidate by candidate, until their budgets are used up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec.compare.choices import Candidate, Choice, Choices
from recbole_samrec.compare.control_groups import ControlGroup, find_groups
from recbole_samrec.compare.equal_passes import Budget, Continuation
from recbole_samrec.compare.prepare import Preparation
from recbole_samrec.compare.selection import Selector, read_candidate, read_passes
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.experiments.candidates import FurtherCandidates
from recbole_samrec.experiments.entries import DOUBLED, Entry
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.results import read_record
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils.errors import DataError


def continue_searches(
    preparation: Preparation, choices: Choices, jobs: Sequence[Job], selector: Selector
) -> dict[str, dict[str, Budget]]:
    """Continue the searches of all plain entries on all data sets, and add the choices to the others.

    The choice is made among the fewest candidates that take the budget, so that it depends on the records alone.

    Args:
        preparation: What the runs are planned from.
        choices: Choices so far, to which those of the entries with equal passes are added.
        jobs: Jobs of the comparison.
        selector: Trains candidates.

    Returns:
        For each data set and entry with equal passes, its budget.
    """
    groups = find_groups(preparation.entries, {**preparation.files, **preparation.given})
    running = []
    for dataset in preparation.hashes:
        for entry in (one for one in preparation.entries if one.continues):
            try:
                running.append(_begin(preparation, choices, entry, dataset, jobs, groups))
            except DataError as error:
                choices.add(dataset, entry.name, f"its search has not continued: {error}")
    while growing := [one for one in running if one.next_number > len(one.added)]:
        _train_round(preparation, choices, selector, growing)
    budgets: dict[str, dict[str, Budget]] = {}
    for one in running:
        if one.waiting:
            choices.add(one.dataset, one.entry.name, f"its search has not continued: {one.waiting}")
        else:
            choice, budgets.setdefault(one.dataset, {})[one.entry.name] = one.close()
            choices.add(one.dataset, one.entry.name, choice)
    return budgets


def _begin(
    preparation: Preparation,
    choices: Choices,
    entry: Entry,
    dataset: str,
    jobs: Sequence[Job],
    groups: Sequence[ControlGroup],
) -> Continuation:
    """Begin to continue the search of an entry on a data set.

    Raises:
        DataError: Something that it depends on has not ended, or its passes are unknown.
    """
    plain = next(one for one in preparation.entries if one.name == entry.continues)
    made = choices.made.get(dataset, {})
    choice = made.get(plain.name)
    of_plain = next((job for job in jobs if (job.entry, job.dataset) == (plain.name, dataset)), None)
    if choice is None or choice.chosen is None or of_plain is None:
        raise DataError(f"the settings of {plain.name} are not chosen yet")
    searches = _list_search_passes(preparation, dataset)
    rivals = [group.sam for group in groups if group.plain.name == plain.name]
    totals = {sam.name: _sum_passes(sam, dataset, made, jobs, searches) for sam in rivals}
    sam = max(totals, key=lambda name: totals[name])
    split = read_options(of_plain.settings.get("eval_args"))
    doubled = {**choice.chosen.settings, **{key: 2 * of_plain.settings[key] for key in DOUBLED}}
    return Continuation(
        entry,
        dataset,
        choice,
        FurtherCandidates(plain.choose, plain.choose_more, first=doubled),
        sam=sam,
        budget=totals[sam],
        searched=_require_passes(choice) + searches.get(plain.name, 0.0),
        runs=len(preparation.seeds),
        retrains=split is not None and split.retrain,
    )


def _sum_passes(
    sam: Entry, dataset: str, made: Mapping[str, Choice], jobs: Sequence[Job], searches: Mapping[str, float]
) -> float:
    """Sum the passes of an entry with SAM: searches, selection and runs; also those of the entry that it is tuned as.

    Raises:
        DataError: A run has not ended, or its passes are unknown.
    """
    names = dict.fromkeys(filter(None, (sam.name, sam.tuned_as)))
    before = sum(_require_passes(made[name]) for name in names if name in made)
    of_runs = sum_run_passes(sam.name, dataset, jobs)
    if of_runs is None:
        raise DataError(f"the runs of {sam.name} have not ended yet")
    return searches.get(sam.name, 0.0) + before + of_runs


def sum_run_passes(entry: str, dataset: str, jobs: Sequence[Job]) -> float | None:
    """Sum the passes of an entry's runs with the largest share of training users; None if some are not finished.

    Raises:
        DataError: A record cannot be read, or has no passes.
    """
    own = [job for job in jobs if (job.entry, job.dataset) == (entry, dataset)]
    largest = max((job.fraction for job in own), default=1.0)
    own = [job for job in own if job.fraction == largest]
    if not own or not all(job.finished for job in own):
        return None
    return sum(_require_known(read_passes(read_record(job.folder / RESULT)), job.folder) for job in own)


def _require_passes(choice: Choice) -> float:
    return sum(_require_known(one.passes, one.folders[0]) for one in choice.candidates)


def _require_known(passes: float, folder: Path) -> float:
    if math.isnan(passes):
        raise DataError(
            f"{folder}: its record was written by an earlier version, without gradient_passes; remove the folder to "
            "train the run again"
        )
    return passes


def _list_search_passes(preparation: Preparation, dataset: str) -> dict[str, float]:
    """List the passes of each entry's search by ``tune``, or of the search of the entry that it is tuned as.

    Raises:
        DataError: They are unknown.
    """
    passes = {}
    for name, one in preparation.list_tuned(dataset).items():
        if one.search is not None:
            if math.isnan(one.search.passes):
                raise DataError(
                    f"{one.search.folder}: its trials.csv lacks the passes of trials, which an earlier version did not "
                    "write; search again for equal budgets"
                )
            passes[name] = one.search.passes
    return passes


def _train_round(
    preparation: Preparation, choices: Choices, selector: Selector, growing: Sequence[Continuation]
) -> None:
    """Train the next candidates of each search; a search waits if its runs were not trained or fail again and again."""
    wanted: dict[str, dict[str, list[Mapping[str, Any]]]] = {dataset: {} for dataset in preparation.hashes}
    for one in growing:
        wanted[one.dataset][one.entry.name] = list(one.order.take(one.next_number))
    planned = selector.plan(preparation, choices, wanted)
    costs = selector.run(jobs for of in planned.values() for grid in of.values() for jobs in grid)
    for one in growing:
        grid, settings = planned[one.dataset][one.entry.name], wanted[one.dataset][one.entry.name]
        read = [read_candidate(*each, costs) for each in zip(settings, grid, strict=True)]
        one.added = [each for each in read if isinstance(each, Candidate)]
        reasons = [each for each in read if isinstance(each, str)]
        unknown = [each.folders[0] for each in one.added if math.isnan(each.passes)]
        if reasons:
            one.waiting = reasons[0]
        elif unknown:
            one.waiting = f"{unknown[0]}: its record has no gradient_passes"
        else:
            one.waiting = one.failure
