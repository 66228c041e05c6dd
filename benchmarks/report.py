"""The tables of a benchmark and the page that holds them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pandas as pd

from benchmarks import cases
from benchmarks.cases import GROUPS
from benchmarks.records import Measurement

Table = tuple[str, pd.DataFrame, str]
"""Title, cells, and what is to be known about them."""


class Results:
    """What was measured, by part, data set and row.

    Args:
        skipped: What was not measured, and why.
    """

    def __init__(self, skipped: dict[str, str] | None = None) -> None:
        self.skipped = dict(skipped or {})
        self.datasets: list[str] = []
        self._found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def add(self, measurement: Measurement, result: dict[str, Any]) -> None:
        """Take up a result; one that failed counts as skipped."""
        if "failed" in result:
            self.skipped[f"{measurement.row} ({measurement.dataset})"] = result["failed"]
            return
        if measurement.part == "epochs" and measurement.dataset not in self.datasets:
            self.datasets.append(measurement.dataset)
        self._found.setdefault((measurement.part, measurement.dataset, measurement.row), []).append(result)

    def of(self, part: str, dataset: str, row: str) -> list[dict[str, Any]]:
        """The results of a row, one for each repetition."""
        return self._found.get((part, dataset, row), [])

    def rows(self, part: str, dataset: str) -> list[str]:
        """The rows of a table that were measured."""
        return [row for kind, name, row in self._found if (kind, name) == (part, dataset)]

    def median(self, part: str, dataset: str, row: str, value: str | Callable[[dict], float] = "epoch") -> float | None:
        """The median over the repetitions of a figure, or of what a function makes of each result."""
        read = value if callable(value) else lambda result: result[value]
        found = [read(result) for result in self.of(part, dataset, row)]
        return statistics.median(found) if found else None

    def ratio(self, part: str, dataset: str, above: str, below: str, value: str = "epoch") -> float | None:
        """How many times larger a figure of one row is than that of another, medians of both.

        A ``calm_epoch`` of the row above is compared with an ``epoch`` of the row below.
        """
        one = self.median(part, dataset, above, value)
        other = self.median(part, dataset, below, "epoch" if value == "calm_epoch" else value)
        return one / other if one and other else None

    @property
    def imports_mb(self) -> float:
        """Peak memory of the bare imports."""
        return self.median("imports", "none", "imports", "peak_mb") or 0.0

    @property
    def gpu(self) -> str | None:
        """Name of the GPU, if there is one."""
        return next((result["gpu"] for result in self.of("imports", "none", "imports")), None)

    def noted(self, key: str) -> set[str]:
        """What all results say about the code they were measured with, such as its ``revision``."""
        return {str(result.get(key)) for results in self._found.values() for result in results}


def tables(results: Results) -> list[Table]:
    """All tables that something was measured for."""
    found = [table for dataset in results.datasets for table in (epochs(results, "epochs", dataset),)]
    found += [epochs(results, "gpu", "ml-1m"), beside(results), variants(results), share_of_limit(results)]
    found += [time_spent(results), convergence(results), growth(results)]
    return [table for table in found if len(table[1])]


def epochs(results: Results, part: str, dataset: str) -> Table:
    """Seconds and memory of the main comparison on a data set."""
    settings = cases.DATASETS[dataset]
    warm_up, batches = cases.SAMPLE[dataset]
    rows = [_of_epochs(results, part, dataset, row) for row in results.rows(part, dataset)]
    note = (
        f"Length {settings['MAX_ITEM_LIST_LENGTH']}, dropout {settings['hidden_dropout_prob']}, 2048 targets a batch. "
        "RecBole's epoch is estimated: its number of batches times the median seconds of one, from a sample in each "
        f"repetition of {batches} after {warm_up} to warm up."
    )
    place = "" if part == "epochs" else f" on {results.gpu}"
    return f"Training on {dataset}{place}", pd.DataFrame(rows), note


def _of_epochs(results: Results, part: str, dataset: str, row: str) -> dict[str, str]:
    figures = [result["epoch"] for result in results.of(part, dataset, row)]
    peak = results.median(part, dataset, row, "peak_mb")
    return {
        "row": row,
        "s an epoch": number(statistics.median(figures)),
        "lowest to highest": f"{number(min(figures))} to {number(max(figures))}",
        "ms a step": number(1000 * results.median(part, dataset, row, "step")),
        "steps": str(results.of(part, dataset, row)[0]["steps"]),
        "faster than RecBole": times(results.ratio(part, dataset, cases.RECBOLE, row)),
        "without its anomaly detection": times(results.ratio(part, dataset, cases.RECBOLE, row, "calm_epoch")),
        "peak MB": f"{peak:.0f}",
        "above the imports": f"{max(peak - results.imports_mb, 0):.0f}",
    }


def beside(results: Results) -> Table:
    """Other ways to train, against the packed one."""
    rows = []
    for row in results.rows("beside", "ml-100k"):
        result = results.of("beside", "ml-100k", row)[0]
        plain = results.median("epochs", "ml-100k", cases.SASREC)
        remarks = [f"estimated from {result['estimated_from']} batches"] if result["estimated_from"] else []
        remarks += [f"{number(result['startup'])} s to compile first"] if "startup" in result else []
        rows.append(
            {
                "row": row,
                "s an epoch": number(result["epoch"]),
                f"times {cases.SASREC}": times(result["epoch"] / plain if plain else None),
                "peak MB": f"{result['peak_mb']:.0f}",
                "remark": ", ".join(remarks),
            }
        )
    return "Other ways to train, ml-100k", pd.DataFrame(rows), "Measured once each."


def variants(results: Results) -> Table:
    """SAM's relatives against plain Adam."""
    rows = [
        {
            "row": row,
            "s an epoch": number(results.median("variants", "ml-100k", row)),
            "times Adam": times(results.ratio("variants", "ml-100k", row, cases.PLAIN)),
        }
        for row in results.rows("variants", "ml-100k")
    ]
    note = (
        f"SAMRec packed. The late phase is the mean over {cases.LATE_EPOCHS} epochs, four plain ones and one of SAM. "
        "Of the relatives that take two passes one repetition was measured."
    )
    return "SAM's relatives, ml-100k", pd.DataFrame(rows), note


def share_of_limit(results: Results) -> Table:
    """The time of the matrix products alone, at the rates of the same process, against the time of an epoch."""
    rows = []
    for part, dataset, row, explained in _explained(results):
        limits = explained[0]["limit"]
        rates = ", ".join(f"{kind} {rate:.0f}" for kind, rate in limits["gflops"].items())
        rows.append(
            {
                "set": dataset,
                "row": row,
                "Gflop an epoch": f"{limits['flops'] * explained[0]['passes'] / 1e9:.0f}",
                "Gflop a second by shape": rates,
                "s at those rates": number(results.median(part, dataset, row, _limit_seconds)),
                "s an epoch": number(results.median(part, dataset, row)),
                "share": percent(results.median(part, dataset, row, _share)),
                "events encoded a second": number(results.median(part, dataset, row, _events)),
            }
        )
    note = (
        "What an epoch needs is counted from the shapes of model and windows, as `benchmarks/arithmetic.py` says: "
        "linear layers on the events that windows encode, the last layer and the loss on the targets, attention on "
        "the pairs that see each other; nothing that is computed again. SAM needs all of it twice."
    )
    return "Share of the arithmetic limit", pd.DataFrame(rows), note


def _limit_seconds(result: dict[str, Any]) -> float:
    return result["limit"]["seconds"] * result["passes"]


def _share(result: dict[str, Any]) -> float:
    return _limit_seconds(result) / result["epoch"]


def _events(result: dict[str, Any]) -> float:
    return result["tokens"] * result["passes"] / result["epoch"]


def time_spent(results: Results) -> Table:
    """Where the time of the steps goes."""
    columns = {
        f"{dataset}, {'SAMRec' if row == cases.SAMREC else 'SASRec'}": _spent(results, part, dataset, row)
        for part, dataset, row, _ in _explained(results)
    }
    rows = [
        {"group": group, **{name: percent(spent[group]) for name, spent in columns.items()}}
        for group in GROUPS
        if columns
    ]
    note = (
        "Shares of some steps' time under torch's profiler, which slows small operations most. The products of the "
        "loss count as matrix products; what the second pass of SAM computes again, as what it is."
    )
    return "Where the time of a packed step goes", pd.DataFrame(rows), note


def _explained(results: Results) -> Iterator[tuple[str, str, str, list[dict[str, Any]]]]:
    parts = [("epochs", dataset) for dataset in results.datasets] + [("gpu", "ml-1m")]
    for part, dataset in parts:
        for row in (cases.SAMREC, cases.SASREC):
            if found := results.of(part, dataset, row):
                yield part, dataset, row, found


def _spent(results: Results, part: str, dataset: str, row: str) -> dict[str, float]:
    def share(group: str) -> float:
        return results.median(part, dataset, row, lambda result: result["breakdown"][group])

    return {group: share(group) for group in GROUPS}


def convergence(results: Results) -> Table:
    """Seconds to a given validation score."""
    reference = results.of("convergence", "ml-100k", cases.SASREC)
    if not reference:
        return "", pd.DataFrame(), ""
    best = max(reference[0]["scores"])
    target, rows = cases.SHARE_OF_BEST * best, []
    for row in cases.CONVERGENCE:
        for result in results.of("convergence", "ml-100k", row):
            epoch = first_reaching(result["scores"], target)
            rows.append(
                {
                    "row": row,
                    "epochs": str(epoch) if epoch else "not reached",
                    "s": number(result["seconds"][epoch - 1]) if epoch else "",
                    "best NDCG@10": f"{max(result['scores']):.4f}",
                    "s to the end": number(result["seconds"][-1]),
                }
            )
    one = results.median("epochs", "ml-100k", cases.RECBOLE)
    epoch = first_reaching(reference[0]["scores"], target)
    if one:
        rows.append({"row": cases.RECBOLE, "epochs": str(epoch), "s": number(one * epoch)})
    note = (
        f"The target is a validation NDCG@10 of {target:.4f}: {100 * cases.SHARE_OF_BEST:.0f} % of the best that the "
        "packed SASRec reaches before 10 epochs in a row bring no gain. Seconds count training and validation; one "
        "seed. RecBole's SASRec was not trained to the end: it has the same loss and gradients as the packed one, as "
        "the tests prove, so its line is the packed one's number of epochs times RecBole's estimated epoch, without "
        "validation."
    )
    return "Seconds to a validation NDCG@10, ml-100k", pd.DataFrame(rows).fillna(""), note


def first_reaching(scores: list[float], target: float) -> int | None:
    """The number of the first epoch, from 1, whose score reaches the target; None if none does."""
    return next((epoch for epoch, score in enumerate(scores, 1) if score >= target), None)


def growth(results: Results) -> Table:
    """Time and memory as data and items grow."""
    rows = []
    for row in results.rows("growth", "synthetic"):
        (result,) = results.of("growth", "synthetic", row)
        loss, _, size = row.partition(", ")
        interactions, items = map(int, size.split(" x "))
        above = result["peak_mb"] - results.imports_mb
        rows.append(
            {
                "interactions": f"{interactions:,}",
                "items": f"{items:,}",
                "loss": loss,
                "ms a step": number(1000 * result["step"]),
                "s an epoch": number(result["epoch"]),
                "µs an interaction": number(1e6 * result["epoch"] / interactions),
                "peak MB": f"{result['peak_mb']:.0f}",
                "bytes an interaction": f"{above * 2**20 / interactions:.0f}",
                "measured": f"{result['estimated_from']} steps" if result["estimated_from"] else "the whole epoch",
            }
        )
    note = (
        "SAMRec packed, two passes, length 50, on sequences drawn at random in memory (`benchmarks/synthetic.py`). SSM "
        "takes 256 shared and the in-batch negatives with `embedding_update: sparse`; CE takes all items. The memory "
        "of the imports is left out of the bytes; the table of items and Adam's state for it are in them."
    )
    return "Growth", pd.DataFrame(rows), note


def targets(results: Results) -> pd.DataFrame:
    """What was to be reached, what was, and the profile where it was not."""
    rows = []
    for what, figure, met, shown, profile in _targets(results):
        verdict = "not measured" if figure is None else "met" if met(figure) else "not met"
        rows.append(
            {
                "target": what,
                "figure": "" if figure is None else shown(figure),
                "verdict": verdict,
                "what explains it": profile if verdict == "not met" else "",
            }
        )
    return pd.DataFrame(rows)


def _targets(results: Results) -> Iterator[tuple[str, float | None, Callable, Callable, str]]:
    for dataset, wanted in (("ml-100k", 40), ("ml-1m", 150)):
        ratio = results.ratio("epochs", dataset, cases.RECBOLE, cases.SAMREC)
        calm = results.ratio("epochs", dataset, cases.RECBOLE, cases.SAMREC, "calm_epoch")
        what = f"SAMRec's epoch of two passes at least {wanted} times faster on {dataset} than RecBole's of one"

        def shown(found: float, calm: float | None = calm) -> str:
            return f"{times(found)} ({times(calm)} without its anomaly detection)"

        yield what, ratio, lambda found, wanted=wanted: found >= wanted, shown, _profile(results, "epochs", dataset)
    share = results.ratio("epochs", "ml-1m", cases.SAMREC, cases.RECBOLE, "peak_mb")
    memory = f"the imports alone take {results.imports_mb:.0f} MB"
    yield "peak memory at most a tenth of RecBole's on ml-1m", share, lambda found: found <= 0.1, percent, memory
    reached = results.median("epochs", "Amazon_Beauty", cases.SAMREC, _share)
    profile = _profile(results, "epochs", "Amazon_Beauty")
    what = "at least half of the arithmetic limit on Amazon_Beauty with CE"
    yield what, reached, lambda found: found >= 0.5, percent, profile
    for name in cases.NEAR:
        ratio = results.ratio("variants", "ml-100k", name, cases.PLAIN)
        profile = _profile(results, "variants", "ml-100k", name)
        yield f"{name}: at most 1.3 times plain Adam's epoch", ratio, lambda found: found <= 1.3, times, profile
    row = cases.growth_name("SSM", *cases.LARGEST)
    used, epoch = (results.median("growth", "synthetic", row, key) for key in ("peak_mb", "epoch"))
    what = "an epoch of 10^7 interactions x 10^6 items with SSM within 24 GB"
    yield what, used, lambda mb: mb <= 24 * 1024, lambda mb: f"{mb / 1024:.1f} GB, {number(epoch)} s", ""


def _profile(results: Results, part: str, dataset: str, row: str = cases.SAMREC) -> str:
    """The largest groups of a row's profile in words."""
    if not results.of(part, dataset, row):
        return ""
    spent = sorted(_spent(results, part, dataset, row).items(), key=lambda pair: -pair[1])
    return ", ".join(f"{group} {percent(share)}" for group, share in spent if share >= 0.05)


FAIRNESS = """\
RecBole's rows are RecBole 1.2.1 alone: its data set of all prefixes, its loader, its `SASRec.calculate_loss` and its
`Trainer`, with torch's own dropout and no row cut short. RecBole cannot be imported on today's Python without the
patches of `recbole_samrec/compat`. Only one of them touches its step: importing RecBole's models turns torch's anomaly
detection on by accident, which the patch turns off. RecBole's own figures are with it on, as RecBole is; the column
"without its anomaly detection" compares with what the patch makes of it. All rows of a table have the same data,
length, targets a batch, dropout and threads; they took turns, each in a process of its own. Seconds are medians over
the repetitions, peak memory is the process's (`ru_maxrss`), of which the imports alone take {imports:.0f} MB."""


def page(results: Results, command: str, machine: str) -> str:
    """The whole page in Markdown.

    Args:
        results: What was measured.
        command: The command that measured it.
        machine: What it was measured on.
    """
    versions = next(iter(results.of("imports", "none", "imports")), {}).get("versions", {})
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    revisions = ", ".join(sorted(results.noted("revision")))
    parts = ["# Speed and memory", "Made by the program; do not edit.", f"```bash\n{command}\n```"]
    parts.append(f"{date.today()}; {machine}; {shown}; revision {revisions}.")
    parts += ["## Targets", markdown(targets(results))]
    parts += ["## How it was measured", FAIRNESS.format(imports=results.imports_mb)]
    for title, frame, note in tables(results):
        parts += [f"## {title}", note, markdown(frame)]
    unmeasured = dict(results.skipped)
    if not results.gpu:
        unmeasured["rows on a GPU"] = "there is none in this machine"
    parts += ["## Not measured", "\n".join(f"- {what}: {why}" for what, why in unmeasured.items())]
    return "\n\n".join(parts if unmeasured else parts[:-2]) + "\n"


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown, the first column left-aligned."""
    head = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*head, *frame.to_numpy().tolist()])


def number(value: float) -> str:
    """A figure with three digits that count, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """A ratio."""
    return "" if ratio is None else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


def percent(share: float) -> str:
    """A share."""
    return f"{100 * share:.1f} %"
