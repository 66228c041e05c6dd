"""What a table says of itself: data, protocol, seeds, tests and marks, in plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recbole_samrec.evaluator.statistics import flips
from recbole_samrec.experiments.results import Run, pretraining_within
from recbole_samrec.quick_start.environment import DIRTY

MARK = "†"
LEVEL = 0.05
"""Below this corrected p-value a figure is marked."""
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO"}
KINDS = {"": "", "-groups": " by group", "-fractions": " by share of training users"}
"""Ends of the names of a page's files, and of its title."""
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
        origins: Where settings come from that are no defaults.
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
    origins: str = ""

    @classmethod
    def of(cls, runs: Sequence[Run], masked: bool = False, tuned: str = "", origins: str = "") -> Setting:
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
            origins=origins,
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
    hours = _seconds(runs) / 3600
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
    if any(one.endswith(DIRTY) for one in revisions):
        listed += f" ({DIRTY}: with changes that were not committed)"
    return f"{number}{where}, {hours:.1f} hours one after the other. {listed}.".replace(" .", "")


def _seconds(runs: Sequence[Run]) -> float:
    """Seconds that went into runs, each pre-training once, also where a run took its weights from another one."""
    totals, spent, counted = 0.0, {}, set()
    for run in runs:
        totals += run.result.get("seconds_total") or 0.0
        if before := run.result.get("pretraining"):
            spent[before["sha256"]] = before["seconds"]
        if within := pretraining_within(run.result):
            counted.add(within["sha256"])
    return totals + sum(seconds for weights, seconds in spent.items() if weights not in counted)


def title(setting: Setting, kind: str = "") -> str:
    """What a page of a kind is about; ``kind`` is that of ``KINDS``."""
    masked = ", history left out" if setting.masked else ""
    return f"{setting.dataset}{', tuned' if setting.tuned else ''}{masked}{KINDS[kind]}"


def spread(setting: Setting) -> str:
    """What the bars of a plot are, as its title says it."""
    fewest, most = setting.seeds[0], setting.seeds[-1]
    if most == 1:
        return "one seed"
    single = "; no bar: one seed, or all alike" if fewest == 1 else ""
    return f"mean ± standard deviation over seeds{single}"


def accuracy(setting: Setting, reference: str, compared: int, with_seeds: int) -> str:
    """Caption of the main table.

    Args:
        setting: What the rows have in common.
        reference: The row that the others are compared with.
        compared: Number of these.
        with_seeds: How many of them have, as the reference has, more than one seed.
    """
    marks = "Best bold, second underlined; MRR is not cut off."
    if not compared:
        return marks
    marks += f" Gain: {reference} over the best row without SAM."
    if not with_seeds:
        return f"{marks} No difference is marked as significant: with one seed nothing is known of other seeds."
    rest = " A row with one seed is never marked." if with_seeds < compared else ""
    return (
        f"{marks} {MARK}: differs from {reference} with p < {LEVEL} in {_test(setting)} on each user's metric averaged "
        f"over seeds, after {_with_others(compared)}, and by a 95 % interval over users and seeds that leaves out 0."
        f"{rest}"
    )


def cost(setting: Setting) -> str:
    """Caption of the table of costs."""
    devices = f" on {', '.join(setting.devices)}" if setting.devices else ""
    return (
        "Parameters, median seconds an epoch and seconds to the best epoch with pre-training, as means over seeds, and "
        f"the most memory of any seed{devices}. Seconds are of training alone, without validation and start-up. A run "
        "beside others is slower: unless each had the machine to itself, seconds do not say which row is faster."
    )


def significance(setting: Setting, reference: str, compared: int, with_seeds: int) -> str:
    """Caption of the table of differences; see :func:`accuracy` for the arguments."""
    return f"{reference} minus each other row, {_columns(setting, _with_others(compared), with_seeds == compared)}"


def variants(setting: Setting, compared: int, with_seeds: int) -> str:
    """Caption of the table of variants.

    Args:
        setting: What the rows have in common.
        compared: Number of variants.
        with_seeds: How many of them have, as the rows that they vary have, more than one seed.
    """
    corrected = _holm(f"the {f'{compared} comparisons' if compared > 1 else 'one comparison'} of this table")
    return f"Each variant minus the row that it varies, {_columns(setting, corrected, with_seeds == compared)}"


def _columns(setting: Setting, corrected: str, all_with_seeds: bool) -> str:
    """What the columns of a table of differences are."""
    missing = "" if all_with_seeds else " With one seed in a row there is none of the second kind."
    return (
        "each user's metric averaged over seeds. The 95 % interval over users is for other users of the models as "
        "trained, that over users and seeds also for models trained with other seeds (Student's t, not corrected)."
        f"{missing} p: of {_test(setting)}, over users only; p (Holm): after {corrected}."
    )


def _test(setting: Setting) -> str:
    return f"a two-sided paired randomisation test ({flips(setting.events):,} random assignments of signs)"


def _with_others(compared: int) -> str:
    others = f"the {compared} other rows" if compared > 1 else "the other row"
    return _holm(f"the comparisons with {others}")


def _holm(comparisons: str) -> str:
    return f"Holm's correction for {comparisons}, not for several metrics"


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
    left_out = "left out. Validation, by which training stopped, ranked the history too"
    history = left_out if setting.masked else "among them"
    tuned = setting.tuned or (
        "No row was tuned by a search: those of one family share architecture, dropout, learning rate and batch."
    )
    sentences = [
        f"{setting.dataset}: {', '.join([*counts, f'{setting.events:,} test events'])}.{share}",
        f"{_split(setting)} Full ranking of the test item among all items, the user's history {history}.",
        tuned,
        setting.origins,
        _seeds(setting),
    ]
    return " ".join(filter(None, sentences))


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
