"""The result of a comparison: its tables as pandas frames."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.compare.groups import build_group_table
from recbole_samrec.compare.primary import Family
from recbole_samrec.compare.tables import DIFFERENCE, METRICS, build_main_table, compare_with_reference, fill_corrected
from recbole_samrec.evaluator.marks import LEVEL, SIGNIFICANT
from recbole_samrec.experiments.results import Run, group_runs

SHOWN = ("hr@10", "ndcg@10", "mrr")
"""Metrics of the short table."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Result of a comparison. Its tables have the columns ``dataset`` and ``masked`` before those of the CSV files.

    Args:
        folder: Folder of the runs and pages.
        entries: Names of the entries; the first is the reference.
        finished: The finished runs.
        failures: Table of jobs without a usable record: ``dataset``, ``entry``, ``seed`` (missing where an entry is
            incompatible with a data set), ``fraction`` and ``reason``.
        damaged: True if the record of a run is damaged.
        variant_of: Base entry of each variant.
        masks: True for tables with the history masked, False for those without.
        declared: The declared comparisons; None if there are none.
        chosen: One line for each candidate among which validation chose: ``dataset``, ``entry``, ``settings``,
            ``scores`` by seed, ``mean``, ``behind_best``, ``standard_error``, ``passes`` and ``chosen``; empty without
            selection.
        verdicts: One line for each data set and entry with SAM: ``sam`` is ``helps``, or ``not shown`` or ``not
            tested`` with the reason; empty if no comparisons are declared.
    """

    folder: Path
    entries: Sequence[str]
    finished: Sequence[Run]
    failures: pd.DataFrame
    damaged: bool = False
    variant_of: Mapping[str, str] | None = None
    masks: Sequence[bool] = (False,)
    declared: Family | None = None
    chosen: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def complete(self) -> bool:
        """True if all jobs are finished."""
        return self.failures.empty

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line for each data set and entry: mean and standard deviation of each metric, differences and costs."""

        def make(runs: list[Run], masked: bool) -> pd.DataFrame:
            order = [entry for entry in self.entries if any(run.entry == entry for run in runs)]
            primary = self._select_declared(runs, masked)
            return build_main_table(runs, order, None, masked, self.variant_of or {}, primary).drop(columns="note")

        return self._collect(make, index=True)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """One line for each data set, metric and entry except the reference: entry minus reference, interval, p-value.

        Only primary comparisons have a corrected p-value and a mark.
        """

        def make(runs: list[Run], masked: bool) -> pd.DataFrame:
            reference = next(entry for entry in self.entries if any(run.entry == entry for run in runs))
            wide = compare_with_reference(runs, reference, masked)
            if (primary := self._select_declared(runs, masked)) is not None:
                fill_corrected(wide, primary)
            parts = []
            for metric in METRICS if len(wide) else ():
                columns = {f"{metric}_{name}": name for name in DIFFERENCE}
                part = wide[["reference", *columns]].rename(columns=columns).rename_axis("entry").reset_index()
                part.insert(2, "metric", metric)
                part["mark"] = np.where(part["p_holm"] < LEVEL, SIGNIFICANT, "")
                parts.append(part)
            return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

        return self._collect(make)

    @property
    def primary(self) -> pd.DataFrame:
        """One line for each declared test of a difference or of equivalence, data set and protocol; may be empty."""
        return pd.DataFrame() if self.declared is None else self.declared.table

    def _select_declared(self, runs: Sequence[Run], masked: bool) -> pd.DataFrame | None:
        declared = self.declared
        return None if declared is None else declared.select(runs[0].dataset, runs[0].protocol, masked)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One line for each data set, group of users or items, and entry: mean and standard deviation of metrics."""
        return self._collect(build_group_table)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One line per finished run: its test metrics, epochs, seconds, memory and folder."""
        lines = []
        for run in self.finished:
            figures = {key: run.result.get(key) for key in ("epochs_run", "seconds_total", "peak_memory_mb")}
            place: dict[str, Any] = {"dataset": run.dataset, **({"protocol": run.protocol} if run.protocol else {})}
            place |= {"entry": run.entry, "seed": run.seed, "fraction": run.fraction}
            lines.append({**place, **run.result["test"], **figures, "folder": str(run.folder)})
        return pd.DataFrame(lines)

    def _collect(self, make: Callable[[list[Run], bool], pd.DataFrame], index: bool = False) -> pd.DataFrame:
        """Concatenate the frames of all data sets, each from the runs with the largest share of training users."""
        frames = []
        for (dataset, protocol), runs in group_runs(self.finished).items():
            for masked in self.masks:
                frame = make(runs, masked)
                if index:
                    frame = frame.rename_axis("entry").reset_index()
                frame.insert(0, "dataset", dataset)
                if protocol:
                    frame.insert(1, "protocol", protocol)
                frame.insert(2 if protocol else 1, "masked", masked)
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _shorten(self) -> pd.DataFrame:
        """Shorten the table to the columns that fit on a screen."""
        table = self.table
        if table.empty:
            return table
        columns = [
            "dataset",
            *(["protocol"] if "protocol" in table else []),
            *(["masked"] if len(self.masks) > 1 else []),
            "entry",
            "seeds",
        ]
        means = {f"{metric}_mean": metric.upper() for metric in SHOWN if f"{metric}_mean" in table}
        return table[[*columns, *means]].rename(columns=means)

    def _summarize(self) -> str:
        failed = f", {len(self.failures)} jobs not finished (see .failures)" if len(self.failures) else ""
        return f"Comparison: {len(self.entries)} entries, {len(self.finished)} runs in {self.folder}{failed}"

    def __repr__(self) -> str:
        """Summarize the comparison and show the means of some metrics."""
        short = self._shorten()
        body = "" if short.empty else "\n" + short.to_string(index=False, float_format="{:.4f}".format)
        return self._summarize() + body

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._summarize())}</p>" + self._shorten().to_html(
            index=False, float_format="{:.4f}".format
        )
