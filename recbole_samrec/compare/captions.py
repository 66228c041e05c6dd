"""What a table says of itself: data, protocol, seeds, tests and marks, in plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbole_samrec.compare.statistics import FLIPS, RESAMPLES

if TYPE_CHECKING:
    from recbole_samrec.compare.runs import Run

MARK = "†"
LEVEL = 0.05
"""Below this corrected p-value a figure is marked."""
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO"}
MARKS = "Best of each column bold, second underlined."


@dataclass(frozen=True)
class Setting:
    """What the rows of one page have in common.

    Attributes:
        dataset: Name of the data set.
        data: Its statistics, as in ``result.json``.
        events: Number of test events.
        seeds: Numbers of seeds of the rows, each once, ascending.
        devices: Names of the devices, each once.
        split: RecBole's ``eval_args``.
        masked: Whether what a user had before is left out of the rankings.
        tuned: Which rows are tuned, and how; empty where none is.
        share: Largest share of the users that were trained on.
    """

    dataset: str
    data: dict
    events: int
    seeds: tuple[int, ...]
    devices: tuple[str, ...]
    split: dict
    masked: bool = False
    tuned: str = ""
    share: float = 1.0

    @classmethod
    def of(cls, runs: Sequence[Run], masked: bool = False, tuned: str = "") -> Setting:
        """Gather it from the runs of one data set."""
        of_row: dict[tuple[str, float], set[int]] = {}
        for run in runs:
            of_row.setdefault((run.row, run.fraction), set()).add(run.seed)
        return cls(
            dataset=runs[0].dataset,
            data=dict(runs[0].result.get("data") or {}),
            events=len(runs[0].ranks),
            seeds=tuple(sorted({len(seeds) for seeds in of_row.values()})),
            devices=tuple(sorted({str(run.result.get("device")) for run in runs if run.result.get("device")})),
            split=dict((runs[0].result.get("config") or {}).get("eval_args") or LEAVE_ONE_OUT),
            masked=masked,
            tuned=tuned,
            share=max(run.fraction for run in runs),
        )


@dataclass(frozen=True)
class Budget:
    """What a search was given.

    Attributes:
        trials: Number of trials.
        search: How they were drawn.
        scheduler: What stopped bad ones.
        grace: Epochs before which it stopped none; 0 where it does not matter.
        epochs: Most epochs of a trial.
        seeds: Seeds of each trial.
        metric: What they were chosen by, on validation.
    """

    trials: int
    search: str
    scheduler: str
    grace: int
    epochs: int
    seeds: tuple[int, ...]
    metric: str

    def __str__(self) -> str:
        """It in words."""
        scheduler = "no scheduler" if self.scheduler == "none" else self.scheduler
        grace = f" after {self.grace} epochs" if self.grace else ""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        how = f"{self.search}, {scheduler}{grace}, at most {self.epochs} epochs, {seeds}"
        return f"{self.trials} trial{'s' if self.trials != 1 else ''} ({how}) by {self.metric} on validation"


@dataclass(frozen=True)
class Tuning:
    """How the rows of a table were tuned.

    Attributes:
        words: Which rows are tuned, and how, in a sentence or two.
        notes: Of each row, where its settings come from.
    """

    words: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """How a table was made.

    Attributes:
        command: The command that makes it.
        settings: What it gave to the rows, as yaml.
        work: Runs, hours, devices and versions, in a sentence or two.
    """

    command: str
    settings: str
    work: str


def work(runs: Sequence[Run]) -> str:
    """What went into the runs of a page."""
    hours = sum(run.result.get("seconds_total") or 0 for run in runs) / 3600
    versions = {
        name: sorted({str(v) for run in runs if (v := (run.result.get("versions") or {}).get(name))})
        for name in ("python", "torch", "recbole", "recbole-samrec")
    }
    listed = ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items() if found)
    devices = sorted({str(run.result.get("device")) for run in runs if run.result.get("device")})
    number = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    where = f" on {' and '.join(devices)}" if devices else ""
    revisions = sorted({str(revision) for run in runs if (revision := run.result.get("revision"))})
    listed += f", revision{'s' if len(revisions) > 1 else ''} {', '.join(revisions)}" if revisions else ""
    return f"{number}{where}, {hours:.1f} hours one after the other. {listed}.".replace(" .", "")


def title(setting: Setting) -> str:
    """What a page is about."""
    return f"{setting.dataset}{', tuned' if setting.tuned else ''}{', history left out' if setting.masked else ''}"


def accuracy(reference: str, compared: int) -> str:
    """Caption of the main table; ``compared`` is the number of rows that the reference is compared with."""
    marks = "Best bold, second underlined; MRR is not cut off."
    if not compared:
        return marks
    others = f"the {compared} other rows" if compared > 1 else "the other row"
    return (
        f"{marks} Gain: {reference} over the best row without SAM. {MARK}: differs from {reference} with p < {LEVEL} "
        f"in a two-sided paired randomisation test ({FLIPS:,} random assignments of signs) on each user's metric "
        f"averaged over seeds, after Holm's correction for the comparisons with {others}; it speaks of other users, "
        "the ± of other seeds."
    )


def cost(setting: Setting) -> str:
    """Caption of the table of costs."""
    devices = f" on {', '.join(setting.devices)}" if setting.devices else ""
    return (
        "Parameters, seconds an epoch and seconds to the best epoch, pre-training included, as means over seeds, and "
        f"the most memory of any seed{devices}. Runs that share a machine slow each other down."
    )


def significance(reference: str) -> str:
    """Caption of the table of differences."""
    return (
        f"{reference} minus each other row, with the 95 % bootstrap interval over users ({RESAMPLES:,} resamples, not "
        "corrected), and the p-value of the paired randomisation test before and after Holm's correction. Each user's "
        "metric is averaged over seeds first."
    )


def groups(metric: str, what: str, counted: str) -> str:
    """Caption of a table by group: what is divided, by what number."""
    return f"{metric} of {what}: {counted}; n is the number of test events. {MARKS}"


def fractions(metric: str) -> str:
    """Caption of a table against the share of the users that models are trained on."""
    return f"{metric} against the share of the users, drawn by seed, who were trained on; all are tested. {MARKS}"


def common(setting: Setting) -> str:
    """What holds for all tables of a page: data, protocol, tuning, seeds."""
    data = setting.data
    counts = [f"{data[name]:,} {name}" for name in ("users", "items", "interactions") if name in data]
    share = "" if setting.share == 1 else f" Trained on {100 * setting.share:g} % of the users."
    history = "left out, in validation among them" if setting.masked else "among them"
    tuned = setting.tuned or (
        "No row was tuned on its own: those of one family share architecture, dropout, learning rate and batch, and "
        "properties/compare.yaml says where these come from."
    )
    return (
        f"{setting.dataset}: {', '.join([*counts, f'{setting.events:,} test events'])}.{share} {_split(setting)} Full "
        f"ranking of the test item among all items, the user's history {history}. {tuned} {_seeds(setting)}"
    )


def tuning(budgets: Mapping[str, Budget | None]) -> str:
    """Which rows are tuned, and under what budgets.

    Args:
        budgets: What the search of each row was given; None for a row that has its defaults.
    """
    defaults = [row for row, budget in budgets.items() if budget is None]
    shared: dict[Budget, list[str]] = {}
    for row, budget in budgets.items():
        if budget is not None:
            shared.setdefault(budget, []).append(row)
    if len(shared) == 1 and not defaults:
        return f"Tuned: each row has the best of {next(iter(shared))}."
    parts = [f"{_has(rows)} the best of {budget}" for budget, rows in shared.items()]
    unequal = "" if len(shared) == 1 else " under different budgets, so that rows are not compared on equal terms"
    rest = f" Not tuned: {_has(defaults)} the defaults." if defaults else ""
    return f"Tuned{unequal}: {'; '.join(parts)}.{rest}"


def _has(rows: Sequence[str]) -> str:
    return f"{rows[0]} has" if len(rows) == 1 else f"{', '.join(rows[:-1])} and {rows[-1]} each have"


def _split(setting: Setting) -> str:
    if all(setting.split.get(key) == value for key, value in LEAVE_ONE_OUT.items()):
        return "Leave-one-out by time: each user's last item is the test item, the one before it is for validation."
    return f"Split: {setting.split.get('split')}, order: {setting.split.get('order')}."


def _seeds(setting: Setting) -> str:
    fewest, most = setting.seeds[0], setting.seeds[-1]
    if most == 1:
        return "One seed, so that nothing is known of the spread over seeds."
    count = str(most) if fewest == most else f"{fewest} to {most}"
    return f"Mean ± standard deviation over {count} seeds."
