"""Facts common to the entries of a page, and the time of their runs, as names and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.data.temporal_split import format_time
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE, find_starts
from recbole_samrec.experiments.results import Run, pretraining_within
from recbole_samrec.quick_start.environment import DIRTY

LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO"}
AVERAGED = {
    ONE_BY_ONE: "predicted one by one; metrics are averaged over a user's events, then over users",
    AT_ONCE: "predicted at once; metrics are those of a user's events as a set, averaged over users",
}
"""Facts on users with several test events."""
PARTS = {
    "events before the test / trained on": ("early_events", "train_events"),
    "users trained on / with a single event before the test": ("train_users", "single_event_users"),
    "candidates": ("candidates",),
    "validation targets": ("valid_targets",),
    "users tested / without training events": ("test_users", "unseen_test_users"),
    "later events / with an item without training events": ("late_events", "late_unseen_item_events"),
    "later users / without training events": ("late_users", "late_unseen_users"),
}
"""Facts on a global temporal split, and the numbers in ``result.json`` that they show."""
KINDS = {"": "", "-groups": " by group", "-fractions": " by share of training users"}
"""Ends of the names of a page's files, and of its title."""
VERSIONS = ("python", "torch", "recbole", "recbole-samrec")
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class PageSetting:
    """Facts common to the entries of one page.

    Attributes:
        dataset: Name of the data set.
        data: Its statistics, as in ``result.json``.
        events: Number of test events.
        seeds: Numbers of seeds of the entries, each once, ascending.
        split: RecBole's ``eval_args``.
        masked: Whether the history is masked in the rankings.
        tuned: Whether entries are tuned.
        share: Largest share of the users that were trained on.
        users: Number of users with test events.
        prediction: Whether the test events of a user are predicted one by one or at once.
        protocol: Name of the protocol, if the comparison has several.
        selected: Whether validation chose settings of entries.
        validated: By whether validation masked the history, the entries that were validated so.
    """

    dataset: str
    data: dict
    events: int
    seeds: tuple[int, ...]
    split: dict
    masked: bool = False
    tuned: bool = False
    share: float = 1.0
    users: int = 0
    prediction: str = ONE_BY_ONE
    protocol: str = ""
    selected: bool = False
    validated: Mapping[bool, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def describe(
        cls, runs: Sequence[Run], masked: bool = False, tuned: bool = False, selected: bool = False
    ) -> PageSetting:
        """Collect the facts from the runs on one data set."""
        of_entry: dict[tuple[str, float], set[int]] = {}
        for run in runs:
            of_entry.setdefault((run.entry, run.fraction), set()).add(run.seed)
        events, users = len(runs[0].ranks), len(find_starts(runs[0].users))
        return cls(
            dataset=runs[0].dataset,
            data=dict(runs[0].result.get("data") or {}),
            events=events,
            seeds=tuple(sorted({len(seeds) for seeds in of_entry.values()})),
            split=dict((runs[0].result.get("config") or {}).get("eval_args") or LEAVE_ONE_OUT),
            masked=masked,
            tuned=tuned,
            share=max(run.fraction for run in runs),
            users=users,
            prediction=runs[0].prediction,
            protocol=runs[0].protocol,
            selected=selected,
            validated=list_validated(runs),
        )

    @property
    def facts(self) -> Facts:
        """Data, protocol and seeds."""
        counts = [(name, f"{self.data[name]:,}") for name in ("users", "items", "interactions") if name in self.data]
        return [
            ("data set", self.dataset),
            *counts,
            ("test events", f"{self.events:,}"),
            *(self._describe_users() if self.events > self.users > 0 else []),
            *([("users trained on", f"{100 * self.share:g} %")] if self.share < 1 else []),
            ("split", self._split()),
            *self._describe_parts(),
            ("history", "masked" if self.masked else "unmasked"),
            ("seeds", join_range(self.seeds)),
        ]

    def _describe_users(self) -> Facts:
        return [("users tested", f"{self.users:,}"), ("events of a user", AVERAGED[self.prediction])]

    def _describe_parts(self) -> Facts:
        """Describe the numbers of a global temporal split."""
        counts = self.data.get("split") or {}
        facts = []
        for name, keys in PARTS.items():
            if all(key in counts for key in keys):
                facts.append((name, " / ".join(f"{counts[key]:,}" for key in keys)))
        if "cut" in counts:
            facts.insert(0, ("test begins", format_time(counts["cut"])))
        return facts

    @property
    def leaves_one_out(self) -> bool:
        """True if each user's last event is tested, whatever its time."""
        return "LS" in (self.split.get("split") or {})

    def _split(self) -> str:
        if options := read_options(self.split):
            return options.describe()
        if all(self.split.get(key) == value for key, value in LEAVE_ONE_OUT.items()):
            return "leave-one-out by time: each user's last event is tested, the one before it is for validation"
        return f"{self.split.get('split')}, order {self.split.get('order')}"


def list_validated(runs: Sequence[Run]) -> dict[bool, list[str]]:
    """List the entries by whether their runs were validated with the history masked; a form of none is left out."""
    listed: dict[bool, list[str]] = {}
    for run in runs:
        entries = listed.setdefault(bool((run.result.get("config") or {}).get("mask_history")), [])
        if run.entry not in entries:
            entries.append(run.entry)
    return listed


def name_place(dataset: str, protocol: str = "") -> str:
    """Return the name of a data set, with that of the protocol if there are several."""
    return f"{dataset}, {protocol}" if protocol else dataset


def name_page(setting: PageSetting, kind: str = "") -> str:
    """Return the title of a page; ``kind`` is one of :data:`KINDS`."""
    masked = ", history masked" if setting.masked else ""
    how = f"{', tuned' if setting.tuned else ''}{', selected' if setting.selected else ''}"
    return f"{name_place(setting.dataset, setting.protocol)}{how}{masked}{KINDS[kind]}"


def name_bars(setting: PageSetting) -> str:
    """Return the meaning of the bars of a plot, for its title."""
    if setting.seeds[-1] == 1:
        return "one seed"
    single = "; no bar: one seed, or all alike" if setting.seeds[0] == 1 else ""
    return f"mean ± standard deviation over seeds{single}"


def list_work(runs: Sequence[Run]) -> Facts:
    """List the number, hours, devices, versions and revisions of some runs."""
    results = [run.result for run in runs]
    versions = [(name, _join({(one.get("versions") or {}).get(name) for one in results})) for name in VERSIONS]
    work = [
        ("runs", f"{len(runs):,}"),
        ("hours, one after the other", f"{_sum_seconds(runs) / 3600:.1f}"),
        ("device", _join({one.get("device") for one in results})),
        *versions,
        ("revision", _join({one.get("revision") for one in results})),
    ]
    return [(name, value) for name, value in work if value]


def has_uncommitted(runs: Iterable[Run]) -> bool:
    """Return True if a run was made from a revision with uncommitted changes."""
    return any(str(run.result.get("revision")).endswith(DIRTY) for run in runs)


def join_range(numbers: Sequence[int]) -> str:
    """Format one number, or the range of several."""
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _join(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value}))


def _sum_seconds(runs: Sequence[Run]) -> float:
    """Sum the seconds of some runs, with each pre-training counted once, even if other runs reused its weights."""
    totals, spent, counted = 0.0, {}, set()
    for run in runs:
        totals += run.result.get("seconds_total") or 0.0
        if before := run.result.get("pretraining"):
            spent[before["sha256"]] = before["seconds"]
        if within := pretraining_within(run.result):
            counted.add(within["sha256"])
    return totals + sum(seconds for weights, seconds in spent.items() if weights not in counted)
