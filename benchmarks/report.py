"""The tables of a benchmark, and their page."""

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
"""Title, cells, and a note."""


class Results:
    """Results of the measurements, by part, data set and entry.

    Args:
        skipped: Names of what is not measured, with the reasons.
    """

    def __init__(self, skipped: dict[str, str] | None = None) -> None:
        self.skipped = dict(skipped or {})
        self.datasets: list[str] = []
        self._found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def add(self, measurement: Measurement, result: dict[str, Any]) -> None:
        """Add a result; a failed one counts as skipped."""
        if "failed" in result:
            self.skipped[f"{measurement.entry} ({measurement.dataset})"] = result["failed"]
            return
        if measurement.part == "epochs" and measurement.dataset not in self.datasets:
            self.datasets.append(measurement.dataset)
        self._found.setdefault((measurement.part, measurement.dataset, measurement.entry), []).append(result)

    def find(self, part: str, dataset: str, entry: str) -> list[dict[str, Any]]:
        """Find the results of an entry, one for each repetition."""
        return self._found.get((part, dataset, entry), [])

    def entries(self, part: str, dataset: str) -> list[str]:
        """List the measured entries of a table."""
        return [entry for kind, name, entry in self._found if (kind, name) == (part, dataset)]

    def median(
        self, part: str, dataset: str, entry: str, value: str | Callable[[dict], float] = "epoch"
    ) -> float | None:
        """Compute the median over the repetitions of a figure, or of a function of each result."""
        read = value if callable(value) else lambda result: result[value]
        found = [read(result) for result in self.find(part, dataset, entry)]
        return statistics.median(found) if found else None

    def ratio(self, part: str, dataset: str, above: str, below: str, value: str = "epoch") -> float | None:
        """Compute the ratio of the medians of a figure of two entries.

        A ``calm_epoch`` of the entry above is compared with an ``epoch`` of the entry below.
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
        return next((result["gpu"] for result in self.find("imports", "none", "imports")), None)

    def collect_notes(self, key: str) -> set[str]:
        """Collect a property of the code of all results, such as its ``revision``."""
        return {str(result.get(key)) for results in self._found.values() for result in results}


def build_tables(results: Results) -> list[Table]:
    """Build all tables that have results."""
    found = [table for dataset in results.datasets for table in (tabulate_epochs(results, "epochs", dataset),)]
    found += [
        tabulate_epochs(results, "gpu", "ml-1m"),
        tabulate_others(results),
        tabulate_variants(results),
        tabulate_share_of_limit(results),
    ]
    found += [tabulate_time_spent(results), tabulate_convergence(results), tabulate_growth(results)]
    return [table for table in found if len(table[1])]


def tabulate_epochs(results: Results, part: str, dataset: str) -> Table:
    """Tabulate seconds and memory of the main comparison on a data set."""
    settings = cases.DATASETS[dataset]
    warm_up, batches = cases.SAMPLE[dataset]
    lines = [_list_epochs(results, part, dataset, entry) for entry in results.entries(part, dataset)]
    note = (
        f"Length {settings['MAX_ITEM_LIST_LENGTH']}, dropout {settings['hidden_dropout_prob']}, 2048 targets a batch. "
        "RecBole's epoch is estimated: its number of batches times the median seconds of one, from a sample in each "
        f"repetition of {batches} after {warm_up} to warm up."
    )
    place = "" if part == "epochs" else f" on {results.gpu}"
    return f"Training on {dataset}{place}", pd.DataFrame(lines), note


def _list_epochs(results: Results, part: str, dataset: str, entry: str) -> dict[str, str]:
    figures = [result["epoch"] for result in results.find(part, dataset, entry)]
    peak = results.median(part, dataset, entry, "peak_mb")
    return {
        "entry": entry,
        "s an epoch": format_number(statistics.median(figures)),
        "lowest to highest": f"{format_number(min(figures))} to {format_number(max(figures))}",
        "ms a step": format_number(1000 * results.median(part, dataset, entry, "step")),
        "steps": str(results.find(part, dataset, entry)[0]["steps"]),
        "faster than RecBole": format_ratio(results.ratio(part, dataset, cases.RECBOLE, entry)),
        "without its anomaly detection": format_ratio(results.ratio(part, dataset, cases.RECBOLE, entry, "calm_epoch")),
        "peak MB": f"{peak:.0f}",
        "above the imports": f"{max(peak - results.imports_mb, 0):.0f}",
    }


def tabulate_others(results: Results) -> Table:
    """Tabulate other ways of training, against packed training."""
    lines = []
    for entry in results.entries("beside", "ml-100k"):
        result = results.find("beside", "ml-100k", entry)[0]
        plain = results.median("epochs", "ml-100k", cases.SASREC)
        remarks = [f"estimated from {result['estimated_from']} batches"] if result["estimated_from"] else []
        remarks += [f"{format_number(result['startup'])} s to compile first"] if "startup" in result else []
        lines.append(
            {
                "entry": entry,
                "s an epoch": format_number(result["epoch"]),
                f"times {cases.SASREC}": format_ratio(result["epoch"] / plain if plain else None),
                "peak MB": f"{result['peak_mb']:.0f}",
                "remark": ", ".join(remarks),
            }
        )
    return "Other ways to train, ml-100k", pd.DataFrame(lines), "Measured once each."


def tabulate_variants(results: Results) -> Table:
    """Tabulate SAM's variants against plain Adam."""
    lines = [
        {
            "entry": entry,
            "s an epoch": format_number(results.median("variants", "ml-100k", entry)),
            "times Adam": format_ratio(results.ratio("variants", "ml-100k", entry, cases.PLAIN)),
        }
        for entry in results.entries("variants", "ml-100k")
    ]
    note = (
        f"SAMRec packed. The late phase is the mean over {cases.LATE_EPOCHS} epochs, four plain ones and one of SAM. "
        "Of the relatives that take two passes one repetition was measured."
    )
    return "SAM's relatives, ml-100k", pd.DataFrame(lines), note


def tabulate_share_of_limit(results: Results) -> Table:
    """Tabulate the time of the matrix products, at the speed of the same process, against the time of an epoch."""
    lines = []
    for part, dataset, entry, explained in _find_explained(results):
        limits = explained[0]["limit"]
        rates = ", ".join(f"{kind} {rate:.0f}" for kind, rate in limits["gflops"].items())
        lines.append(
            {
                "set": dataset,
                "entry": entry,
                "Gflop an epoch": f"{limits['flops'] * explained[0]['passes'] / 1e9:.0f}",
                "Gflop a second by shape": rates,
                "s at those rates": format_number(results.median(part, dataset, entry, _limit_seconds)),
                "s an epoch": format_number(results.median(part, dataset, entry)),
                "share": format_percent(results.median(part, dataset, entry, _compute_share)),
                "events encoded a second": format_number(results.median(part, dataset, entry, _compute_events)),
            }
        )
    note = (
        "The operations of an epoch are counted from the shapes of model and windows, see `benchmarks/arithmetic.py`: "
        "linear layers on the events that windows encode, the last layer and the loss on the targets, attention on "
        "the pairs that see each other; nothing that is computed again. SAM needs all of it twice."
    )
    return "Share of the arithmetic limit", pd.DataFrame(lines), note


def _limit_seconds(result: dict[str, Any]) -> float:
    return result["limit"]["seconds"] * result["passes"]


def _compute_share(result: dict[str, Any]) -> float:
    return _limit_seconds(result) / result["epoch"]


def _compute_events(result: dict[str, Any]) -> float:
    return result["tokens"] * result["passes"] / result["epoch"]


def tabulate_time_spent(results: Results) -> Table:
    """Tabulate the shares of a step's time."""
    columns = {
        f"{dataset}, {'SAMRec' if entry == cases.SAMREC else 'SASRec'}": _share_spent(results, part, dataset, entry)
        for part, dataset, entry, _ in _find_explained(results)
    }
    lines = [
        {"group": group, **{name: format_percent(spent[group]) for name, spent in columns.items()}}
        for group in GROUPS
        if columns
    ]
    note = (
        "Shares of some steps' time under torch's profiler, which slows small operations most. The products of the "
        "loss count as matrix products; what the second pass of SAM computes again, as what it is."
    )
    return "Where the time of a packed step goes", pd.DataFrame(lines), note


def _find_explained(results: Results) -> Iterator[tuple[str, str, str, list[dict[str, Any]]]]:
    parts = [("epochs", dataset) for dataset in results.datasets] + [("gpu", "ml-1m")]
    for part, dataset in parts:
        for entry in (cases.SAMREC, cases.SASREC):
            if found := results.find(part, dataset, entry):
                yield part, dataset, entry, found


def _share_spent(results: Results, part: str, dataset: str, entry: str) -> dict[str, float]:
    def share(group: str) -> float:
        return results.median(part, dataset, entry, lambda result: result["breakdown"][group])

    return {group: share(group) for group in GROUPS}


def tabulate_convergence(results: Results) -> Table:
    """Tabulate the seconds to a given validation score."""
    reference = results.find("convergence", "ml-100k", cases.SASREC)
    if not reference:
        return "", pd.DataFrame(), ""
    best = max(reference[0]["scores"])
    target, lines = cases.SHARE_OF_BEST * best, []
    for entry in cases.CONVERGENCE:
        for result in results.find("convergence", "ml-100k", entry):
            epoch = find_first_reaching(result["scores"], target)
            lines.append(
                {
                    "entry": entry,
                    "epochs": str(epoch) if epoch else "not reached",
                    "s": format_number(result["seconds"][epoch - 1]) if epoch else "",
                    "best NDCG@10": f"{max(result['scores']):.4f}",
                    "s to the end": format_number(result["seconds"][-1]),
                }
            )
    one = results.median("epochs", "ml-100k", cases.RECBOLE)
    epoch = find_first_reaching(reference[0]["scores"], target)
    if one:
        lines.append({"entry": cases.RECBOLE, "epochs": str(epoch), "s": format_number(one * epoch)})
    note = (
        f"The target is a validation NDCG@10 of {target:.4f}: {100 * cases.SHARE_OF_BEST:.0f} % of the best that the "
        "packed SASRec reaches before 10 epochs in a row bring no gain. Seconds count training and validation; one "
        "seed. RecBole's SASRec was not trained to the end: it has the same loss and gradients as the packed one, as "
        "the tests prove, so its line is the packed one's number of epochs times RecBole's estimated epoch, without "
        "validation."
    )
    return "Seconds to a validation NDCG@10, ml-100k", pd.DataFrame(lines).fillna(""), note


def find_first_reaching(scores: list[float], target: float) -> int | None:
    """Return the number of the first epoch, from 1, whose score reaches the target; None if none does."""
    return next((epoch for epoch, score in enumerate(scores, 1) if score >= target), None)


def tabulate_growth(results: Results) -> Table:
    """Tabulate time and memory for growing numbers of interactions and items."""
    lines = []
    for entry in results.entries("growth", "synthetic"):
        (result,) = results.find("growth", "synthetic", entry)
        loss, _, size = entry.partition(", ")
        interactions, items = map(int, size.split(" x "))
        above = result["peak_mb"] - results.imports_mb
        lines.append(
            {
                "interactions": f"{interactions:,}",
                "items": f"{items:,}",
                "loss": loss,
                "ms a step": format_number(1000 * result["step"]),
                "s an epoch": format_number(result["epoch"]),
                "µs an interaction": format_number(1e6 * result["epoch"] / interactions),
                "peak MB": f"{result['peak_mb']:.0f}",
                "bytes an interaction": f"{above * 2**20 / interactions:.0f}",
                "measured": f"{result['estimated_from']} steps" if result["estimated_from"] else "the whole epoch",
            }
        )
    note = (
        "SAMRec packed, two passes, length 50, on sequences drawn at random in memory (`benchmarks/synthetic.py`). SSM "
        "takes 256 shared and the in-batch negatives with `embedding_update: sparse`; CE takes all items. The memory "
        "of the imports is not included in the bytes; the table of items and Adam's state for it are."
    )
    return "Growth", pd.DataFrame(lines), note


def judge_targets(results: Results) -> pd.DataFrame:
    """Compare the targets with the results; where one is missed, the profile explains it."""
    lines = []
    for what, figure, met, shown, profile in _list_targets(results):
        verdict = "not measured" if figure is None else "met" if met(figure) else "not met"
        lines.append(
            {
                "target": what,
                "figure": "" if figure is None else shown(figure),
                "verdict": verdict,
                "what explains it": profile if verdict == "not met" else "",
            }
        )
    return pd.DataFrame(lines)


def _list_targets(results: Results) -> Iterator[tuple[str, float | None, Callable, Callable, str]]:
    for dataset, wanted in (("ml-100k", 40), ("ml-1m", 150)):
        ratio = results.ratio("epochs", dataset, cases.RECBOLE, cases.SAMREC)
        calm = results.ratio("epochs", dataset, cases.RECBOLE, cases.SAMREC, "calm_epoch")
        what = f"SAMRec's epoch of two passes at least {wanted} times faster on {dataset} than RecBole's of one"

        def shown(found: float, calm: float | None = calm) -> str:
            return f"{format_ratio(found)} ({format_ratio(calm)} without its anomaly detection)"

        yield (
            what,
            ratio,
            lambda found, wanted=wanted: found >= wanted,
            shown,
            _describe_profile(results, "epochs", dataset),
        )
    share = results.ratio("epochs", "ml-1m", cases.SAMREC, cases.RECBOLE, "peak_mb")
    memory = f"the imports alone take {results.imports_mb:.0f} MB"
    yield "peak memory at most a tenth of RecBole's on ml-1m", share, lambda found: found <= 0.1, format_percent, memory
    reached = results.median("epochs", "Amazon_Beauty", cases.SAMREC, _compute_share)
    profile = _describe_profile(results, "epochs", "Amazon_Beauty")
    what = "at least half of the arithmetic limit on Amazon_Beauty with CE"
    yield what, reached, lambda found: found >= 0.5, format_percent, profile
    for name in cases.NEAR:
        ratio = results.ratio("variants", "ml-100k", name, cases.PLAIN)
        profile = _describe_profile(results, "variants", "ml-100k", name)
        yield f"{name}: at most 1.3 times plain Adam's epoch", ratio, lambda found: found <= 1.3, format_ratio, profile
    entry = cases.growth_name("SSM", *cases.LARGEST)
    used, epoch = (results.median("growth", "synthetic", entry, key) for key in ("peak_mb", "epoch"))
    what = "an epoch of 10^7 interactions x 10^6 items with SSM within 24 GB"
    yield what, used, lambda mb: mb <= 24 * 1024, lambda mb: f"{mb / 1024:.1f} GB, {format_number(epoch)} s", ""


def _describe_profile(results: Results, part: str, dataset: str, entry: str = cases.SAMREC) -> str:
    """Describe the largest groups of an entry's profile."""
    if not results.find(part, dataset, entry):
        return ""
    spent = sorted(_share_spent(results, part, dataset, entry).items(), key=lambda pair: -pair[1])
    return ", ".join(f"{group} {format_percent(share)}" for group, share in spent if share >= 0.05)


FAIRNESS = """\
RecBole's entries are RecBole 1.2.1 alone: its data set of all prefixes, its loader, its `SASRec.calculate_loss` and its
`Trainer`, with torch's dropout and no sample cut short. RecBole cannot be imported on today's Python without the
patches of `recbole_samrec/compat`. Only one of them affects its step: importing RecBole's models turns torch's anomaly
detection on by accident, which the patch turns off. RecBole's own figures are measured with it on, as in RecBole; the
column "without its anomaly detection" compares with patched RecBole. All entries of a table have the same data, length,
targets per batch, dropout and threads; they took turns, each in a separate process. Seconds are medians over the
repetitions; peak memory is that of the process (`ru_maxrss`), of which the imports alone take {imports:.0f} MB."""


def render_page(results: Results, command: str, machine: str) -> str:
    """Render the whole page in Markdown.

    Args:
        results: The results.
        command: The command of the measurement.
        machine: Description of the machine.
    """
    versions = next(iter(results.find("imports", "none", "imports")), {}).get("versions", {})
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    revisions = ", ".join(sorted(results.collect_notes("revision")))
    parts = ["# Speed and memory", "Made by the program; do not edit.", f"```bash\n{command}\n```"]
    parts.append(f"{date.today()}; {machine}; {shown}; revision {revisions}.")
    parts += ["## Targets", format_markdown(judge_targets(results))]
    parts += ["## How it was measured", FAIRNESS.format(imports=results.imports_mb)]
    for title, frame, note in build_tables(results):
        parts += [f"## {title}", note, format_markdown(frame)]
    unmeasured = dict(results.skipped)
    if not results.gpu:
        unmeasured["entries on a GPU"] = "this machine has none"
    parts += ["## Not measured", "\n".join(f"- {what}: {why}" for what, why in unmeasured.items())]
    return "\n\n".join(parts if unmeasured else parts[:-2]) + "\n"


def format_markdown(frame: pd.DataFrame) -> str:
    """Format a table as Markdown, the first column left-aligned."""
    head = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*head, *frame.to_numpy().tolist()])


def format_number(value: float) -> str:
    """Format a figure with three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_ratio(ratio: float | None) -> str:
    """Format a ratio."""
    return "" if ratio is None else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


def format_percent(share: float) -> str:
    """Format a share."""
    return f"{100 * share:.1f} %"
