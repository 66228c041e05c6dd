"""The end of a comparison: pages and files of the finished runs, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_samrec.compare import reproducibility
from recbole_samrec.compare.agreement import write_agreement
from recbole_samrec.compare.choices import Choices
from recbole_samrec.compare.chosen import Selected, tabulate
from recbole_samrec.compare.comparison import Comparison
from recbole_samrec.compare.continued_search import sum_run_passes
from recbole_samrec.compare.control_groups import find_groups
from recbole_samrec.compare.equal_passes import Budget
from recbole_samrec.compare.formats import print_page
from recbole_samrec.compare.layout import Page
from recbole_samrec.compare.prepare import ComparisonPlan
from recbole_samrec.compare.primary import Family, Place
from recbole_samrec.compare.shown_settings import format_settings, select_settings
from recbole_samrec.compare.verdicts import Verdicts, judge
from recbole_samrec.compare.write import (
    join_stem,
    list_main_pages,
    write_declared,
    write_reproducibility,
    write_tables,
)
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job, group_by_entry
from recbole_samrec.experiments.results import Run, read_finished_runs
from recbole_samrec.experiments.worker import read_failure
from recbole_samrec.utils.console import print_line


@dataclass(frozen=True)
class Conclusion:
    """The plans, costs and choices from which the pages of a comparison are made.

    Attributes:
        plans: The comparison under each protocol.
        costs: Costs of its jobs.
        out: Folder of the runs.
        pages: Folder of the pages.
        masks: Forms of the tables: True for rankings with the history masked.
        command: The command that makes the pages.
        given: Settings of the user for all entries.
        choices: For each plan, the choices of validation; none if settings are not chosen so.
        budgets: For each plan, data set and entry with equal passes, its budget.
    """

    plans: Sequence[ComparisonPlan]
    costs: CostBook
    out: Path
    pages: Path
    masks: Sequence[bool]
    command: str
    given: Mapping[str, Any]
    choices: Sequence[Choices] = ()
    budgets: Sequence[Mapping[str, Mapping[str, Budget]]] = ()

    def write(self, console: Console) -> Comparison:
        """Write the tables, print the main ones and their paths, and collect the result."""
        runs: list[Run] = []
        damaged: dict[Job, str] = {}
        for plan in self.plans:
            of_plan, damaged_now = read_finished_runs(plan.jobs)
            runs, damaged = [*runs, *of_plan], damaged | damaged_now
        declared, verdicts = self._test_declared(runs)
        selected, printed = self._list_selected(), set[str]()
        for plan in self.plans:
            of_plan = [run for run in runs if run.protocol == plan.protocol]
            reasons = _explain_missing(plan, self.costs, damaged)
            of_sets = {name: selected[name, plan.protocol] for name in plan.datasets} if self.choices else None
            for masked in self.masks:
                for page in self._write_pages(plan, of_plan, reasons, masked, declared, verdicts, of_sets):
                    print_page(console, page, printed)
            for dataset in plan.datasets:
                stem = join_stem(dataset, plan.protocol, bool(plan.tuning), bool(self.choices))
                print_line(console, f"tables and plots: {self.pages / stem}*")
        for path in self._write_reproducibility(runs, selected):
            print_line(console, f"reproducibility: {path}")
        self._write_joint_pages(runs, declared, verdicts, console)
        failures = [_list_failures(plan, self.costs, damaged) for plan in self.plans]
        return Comparison(
            folder=self.out,
            entries=self._entries,
            finished=runs,
            failures=pd.concat(failures, ignore_index=True) if len(failures) > 1 else failures[0],
            damaged=bool(damaged),
            variant_of=_map_variants(self.plans[0]),
            masks=self.masks,
            declared=declared,
            chosen=tabulate(selected),
            verdicts=pd.DataFrame() if verdicts is None else verdicts.conclusions,
        )

    @property
    def _entries(self) -> list[str]:
        return [entry.name for entry in self.plans[0].entries]

    def _write_joint_pages(
        self, runs: Sequence[Run], declared: Family | None, verdicts: Verdicts | None, console: Console
    ) -> None:
        """Write the pages that cover all data sets or all protocols."""
        tuned, selected = bool(self.plans[0].tuning), bool(self.choices)
        if declared:
            path = write_declared(declared, self.pages, tuned, self.command, selected, verdicts)
            print_line(console, f"declared comparisons: {path}")
        if len(self.plans) > 1:
            protocols = [plan.protocol for plan in self.plans]
            for masked in self.masks:
                links = list_main_pages(runs, masked, tuned, selected)
                path = write_agreement(runs, self._entries, protocols, self.pages, masked, self.command, links=links)
                print_line(console, f"agreement of the protocols: {path}")

    def _test_declared(self, runs: Sequence[Run]) -> tuple[Family | None, Verdicts | None]:
        """Test the declared comparisons on all data sets and under all protocols, and conclude whether SAM helps."""
        plans, declared = self.plans, self.plans[0].declared
        places = [Place.describe(plan, dataset) for plan in plans for dataset in plan.datasets]
        if not declared:
            return None, None
        family, groups = Family.test(runs, declared, places), find_groups(plans[0].entries, self.given)
        return family, Verdicts(judge(family.table, groups, places), groups)

    def _list_selected(self) -> dict[tuple[str, str], Selected]:
        """List the choices on each data set under each protocol."""
        selected = {}
        for number, choices in enumerate(self.choices):
            plan = self.plans[number]
            for dataset in plan.datasets:
                budgets = self.budgets[number].get(dataset, {}) if self.budgets else {}
                spent = {name: sum_run_passes(name, dataset, plan.jobs) for name in budgets}
                runs = {name: passes for name, passes in spent.items() if passes is not None}
                selected[dataset, plan.protocol] = Selected(choices.made.get(dataset, {}), budgets, runs, self.out)
        return selected

    def _write_pages(
        self,
        plan: ComparisonPlan,
        runs: Sequence[Run],
        reasons: Mapping[str, Mapping[str, str]],
        masked: bool,
        declared: Family | None,
        verdicts: Verdicts | None,
        selected: Mapping[str, Selected] | None,
    ) -> list[Page]:
        """Write the tables and plots of all data sets, and return their main pages."""
        shown = {
            dataset: format_settings(select_settings([job for job in plan.jobs if job.dataset == dataset]))
            for dataset in plan.datasets
        }
        pages = write_tables(
            runs,
            self.pages,
            entries=[entry.name for entry in plan.entries],
            variant_of=_map_variants(plan),
            reasons=reasons,
            masked=masked,
            both=len(self.masks) > 1,
            tuned=plan.tuning,
            origins=plan.origins,
            command=self.command,
            settings=shown,
            protocol=plan.protocol,
            declared=declared,
            selected=selected,
            verdicts=verdicts,
            links=[("reproducibility", reproducibility.END)],
        )
        return list(pages.values())

    def _write_reproducibility(
        self, runs: Sequence[Run], selected: Mapping[tuple[str, str], Selected]
    ) -> Iterator[Path]:
        """Write the reproducibility page of each data set that has runs; yield the paths."""
        plans = self.plans
        for dataset in dict.fromkeys(dataset for plan in plans for dataset in plan.datasets):
            if own := [run for run in runs if run.dataset == dataset]:
                shown = select_settings([job for plan in plans for job in plan.jobs if job.dataset == dataset])
                for settings in shown.values() if len(plans) > 1 else ():
                    settings.pop("eval_args", None)  # each protocol has its own
                chosen = {protocol: one.describe() for (name, protocol), one in selected.items() if name == dataset}
                yield write_reproducibility(
                    own,
                    self.pages,
                    tuned=plans[0].tuning.get(dataset, ()),
                    chosen=chosen or None,
                    origins=plans[0].origins,
                    command=self.command,
                    settings=format_settings(shown),
                )


def _map_variants(plan: ComparisonPlan) -> dict[str, str]:
    return {entry.name: entry.variant_of for entry in plan.entries if entry.variant_of}


def _explain_missing(plan: ComparisonPlan, costs: CostBook, damaged: Mapping[Job, str]) -> dict[str, dict[str, str]]:
    """Explain, for each data set and entry, why runs are missing in the table."""
    reasons = {
        dataset: {**plan.waiting.get(dataset, {}), **plan.incompatible.get(dataset, {})} for dataset in plan.datasets
    }
    for members in group_by_entry(plan.jobs):
        first = members[0]
        if words := _explain_entry(members, costs, damaged):
            share = "" if first.fraction == 1 else f"{first.fraction:.0%} of the users: "
            of_set = reasons[first.dataset]
            of_set[first.entry] = "; ".join(filter(None, (of_set.get(first.entry), share + words)))
    return reasons


def _explain_entry(members: Sequence[Job], costs: CostBook, damaged: Mapping[Job, str]) -> str:
    words = [damaged[job] for job in members if job in damaged]
    waiting = [job for job in members if not job.finished]
    if waiting and (reason := costs.skip_reason(waiting[0])):
        return "; ".join([*words, reason])
    failed = {job: reason for job in waiting if (reason := read_failure(job.folder))}
    words += [f"seed {job.seed} failed: {reason}" for job, reason in failed.items()]
    if rest := len(waiting) - len(failed):
        words.append(f"{rest} of {len(members)} runs not trained yet")
    return "; ".join(words)


def _list_failures(plan: ComparisonPlan, costs: CostBook, damaged: Mapping[Job, str]) -> pd.DataFrame:
    """List the jobs without a usable record."""
    named = {"protocol": plan.protocol} if plan.protocol else {}
    lines: list[dict[str, Any]] = [
        {"dataset": dataset, **named, "entry": entry, "seed": None, "fraction": None, "reason": reason}
        for reasons_of in (plan.incompatible, plan.waiting)
        for dataset, reasons in reasons_of.items()
        for entry, reason in reasons.items()
        if reasons_of is plan.incompatible or entry not in plan.incompatible.get(dataset, {})
    ]
    for members in group_by_entry(plan.jobs):
        skipped = costs.skip_reason(members[0])
        for job in members:
            if job.finished and job not in damaged:
                continue
            reason = damaged.get(job) or skipped or read_failure(job.folder) or "not trained yet"
            place = {"dataset": job.dataset, **named, "entry": job.entry, "seed": job.seed, "fraction": job.fraction}
            lines.append({**place, "reason": reason})
    columns = ["dataset", *named, "entry", "seed", "fraction", "reason"]
    return pd.DataFrame(lines, columns=columns).astype({"seed": "Int64", "fraction": "Float64"})
