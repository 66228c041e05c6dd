"""Write ``results/search.md``: the best settings of searches, their gain over the defaults, and the effect of rho.

It trains nothing. It reads searches of ``tune``, the runs that ``compare`` made with their best settings and with the
defaults, and the runs of ``compare --entries benchmarks/entries/rho.yaml``; the page names the commands of all.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.report import format_markdown
from recbole_samrec.cli.arguments import parse_seeds
from recbole_samrec.compare.layout import MINUS, NOTHING, format_interval, show_number, show_p
from recbole_samrec.compare.provenance import SearchBudget
from recbole_samrec.compare.tables import compare_with_reference
from recbole_samrec.compare.tuned_settings import find_searches, tune_entries
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import plan_jobs
from recbole_samrec.experiments.results import Run, read_finished_runs
from recbole_samrec.sharpness.figure_layout import DPI, draw_legend, make_panels, style_entries
from recbole_samrec.tune.importance import importance
from recbole_samrec.tune.results import TABLE
from recbole_samrec.tune.search_spec import SearchSpec, read_search
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError, UserError
from recbole_samrec.utils.exact_floats import exact_floats
from recbole_samrec.utils.plot_style import render_figure, spread_offsets, use_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RHO_ENTRIES = Path(__file__).parents[1] / "benchmarks" / "entries" / "rho.yaml"
METRICS = ("ndcg@10", "hr@10")
TUNED, DEFAULT = "tuned", "default"
PARTS = {"valid": "validation", "test": "test"}
COLUMNS = ("difference", "95 % CI", "MDE", "p", "n")


@dataclass(frozen=True)
class Found:
    """A finished search, and the runs that show its gain.

    Args:
        search: What was searched.
        budget: Its budget.
        record: Its ``search.json``.
        trials: Its table of trials.
        runs: Runs with the settings that it found, and runs with the defaults, which are named so.
    """

    search: SearchSpec
    budget: SearchBudget
    record: Mapping[str, Any]
    trials: pd.DataFrame
    runs: list[Run]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _make_parser().parse_args(arguments)
    try:
        seeds = parse_seeds(options.seeds)
        found = read_searches(options.searches, options.records, options.dataset, seeds)
        radii = read_radii(options.rho, options.dataset, seeds)
        text = render_page(found, radii, options)
        if radii:
            with checkpoint_io.open_atomically(options.out.with_name(f"{options.out.stem}-rho.png")) as file:
                file.write(render_figure(draw_radii(list_scores(radii)), "png", DPI))
        with checkpoint_io.open_atomically(options.out.with_suffix(".csv")) as file:
            file.write(compute_tuning_gains(found).to_csv(index=False).encode())
        with checkpoint_io.open_atomically(options.out) as file:
            file.write(text.encode())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written to {options.out}")
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.search_page", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--dataset", default="ml-100k", help="data set of the searches")
    add("--searches", type=Path, default=Path("results/records/search"), help="folder with the folders of the searches")
    add("--records", type=Path, default=Path("results/records"), help="folder of compare with tuned and untuned runs")
    add(
        "--rho",
        type=Path,
        default=Path("results/records/rho"),
        help="folder of compare with benchmarks/entries/rho.yaml",
    )
    add("--seeds", default="5", help="seeds of the runs, as compare takes them")
    add("--out", type=Path, default=Path("results/search.md"), help="the page that is written")
    return parser


# Reading ---------------------------------------------------------------------------------------------------------


def read_searches(folder: Path, records: Path, dataset: str, seeds: Sequence[int]) -> list[Found]:
    """Read the finished searches on a data set, with the runs that show their gain.

    Raises:
        UserError: There is none, or something cannot be read.
    """
    known = [search for search in find_searches([folder]) if search.dataset == dataset and search.complete]
    if not known:
        raise ConfigError(
            f"{folder}: there is no finished search on {dataset}; make one: python -m recbole_samrec tune "
            f"--model=SAMRec --dataset={dataset} --out={folder}/SAMRec-{dataset}"
        )
    entries = read_entries([search.entry for search in known])
    best = tune_entries(known, entries, dataset, {}, str(folder))
    settings = {dataset: {entry: one.settings for entry, one in best.items()}}
    hashes = {dataset: known[0].sha256}
    default, _ = read_finished_runs(plan_jobs(entries, hashes, seeds, [1.0], records))
    tuned, _ = read_finished_runs(plan_jobs(entries, hashes, seeds, [1.0], records, tuned=settings))
    found = []
    for one in known:
        named = [replace(run, entry=name) for name, runs in ((TUNED, tuned), (DEFAULT, default))
                 for run in runs if run.entry == one.entry]  # fmt: skip
        record = read_yaml(one.folder / "search.json")  # JSON is YAML
        trials = pd.read_csv(one.folder / TABLE, **exact_floats())
        found.append(Found(read_search(one.folder), one.budget, record, trials, named))
    return found


def read_radii(folder: Path, dataset: str, seeds: Sequence[int]) -> list[Run]:
    """Read the finished runs of ``benchmarks/entries/rho.yaml``."""
    names = list(read_yaml(RHO_ENTRIES)["entries"])
    there = sorted((folder / dataset).glob("*/result.json"))
    sha256 = read_yaml(there[0])["data"]["sha256"] if there else ""
    entries = read_entries(names, [RHO_ENTRIES])
    return read_finished_runs(plan_jobs(entries, {dataset: sha256}, seeds, [1.0], folder, tables=[RHO_ENTRIES]))[0]


def list_scores(radii: Sequence[Run]) -> pd.DataFrame:
    """List NDCG@10 of runs with different radii: ``rho``, ``dropout``, ``seed``, ``valid`` and ``test``."""
    lines = []
    for run in radii:
        config = run.result["config"]
        scores = {part: run.result[part][METRICS[0]] for part in PARTS}
        lines.append({"rho": config["sam_rho"], "dropout": config["hidden_dropout_prob"], "seed": run.seed, **scores})
    return pd.DataFrame(lines, columns=["rho", "dropout", "seed", *PARTS])


# Drawing ---------------------------------------------------------------------------------------------------------


def draw_radii(radii: pd.DataFrame) -> Figure:
    """Draw NDCG@10 against rho, one line for each dropout; small points are seeds, bars their standard deviation."""
    shares = sorted(radii["dropout"].unique(), reverse=True)
    rhos = sorted(radii["rho"].unique())
    looks = style_entries(f"dropout {share:g}" for share in shares)
    with use_style():
        figure, axes = make_panels(len(PARTS), 2.9)
        for panel, (part, name) in zip(axes, PARTS.items(), strict=True):
            for share, look, offset in zip(shares, looks.values(), spread_offsets(len(shares), 0.16), strict=True):
                of_share = radii[radii["dropout"] == share]
                means, stds = (of_share.groupby("rho")[part].agg(how).reindex(rhos) for how in ("mean", "std"))
                panel.errorbar(np.arange(len(rhos)) + offset, means, stds.fillna(0), capsize=2, **look)
                at = np.searchsorted(rhos, of_share["rho"]) + offset
                panel.plot(at, of_share[part], ".", color=look["color"], markersize=3, alpha=0.6)
            panel.set_xticks(range(len(rhos)), [f"{rho:g}" for rho in rhos])
            panel.set_xlabel("sam_rho (0 is SASRec)")
            panel.set_ylabel(f"NDCG@10 on {name}")
        draw_legend(figure, looks)
    return figure


# Page ------------------------------------------------------------------------------------------------------------


def render_page(found: Sequence[Found], radii: Sequence[Run], options: argparse.Namespace) -> str:
    """Return the whole page in Markdown."""
    parts = [f"# Search: {options.dataset}", "Made by `python -m tools.search_page`; do not edit."]
    parts.append(f"```bash\n{list_commands(found, radii, options)}\n```")
    parts += ["## Best settings", BEST, format_markdown(list_best(found))]
    parts += [
        "## Gain over the defaults",
        GAIN,
        format_markdown(list_gains(found)),
        DIFFERENCES.format(reference="default"),
    ]
    parts += ["## Importance of the settings", IMPORTANCE, format_markdown(list_importance(found))]
    if radii:
        scores = list_scores(radii)
        parts += ["## Effect of rho", f"![NDCG@10 against rho]({options.out.stem}-rho.png)", RADII]
        parts += [format_markdown(list_radii(scores)), format_markdown(list_radius_differences(radii))]
        parts += [DIFFERENCES.format(reference="same dropout with rho 0")]
    parts += [
        "## Budgets",
        format_markdown(list_budgets(found)),
        "## Search spaces",
        format_markdown(list_spaces(found)),
    ]
    return "\n\n".join(parts) + "\n"


BEST = """\
The best trial of each search, chosen by NDCG@10 on validation. The test set was scored once, with that trial's weights.
A trial's own score is biased: it is the best of many noisy ones."""
GAIN = """\
The best settings and the defaults were both trained again with several seeds. Mean ± sample standard deviation over
seeds."""
DIFFERENCES = """\
Entry minus reference ({reference}) on test, each user's metric averaged over seeds. The 95 % CI and p are those of one
t test over users and seeds; an entry with one seed has neither. MDE (minimal detectable effect) is the true difference
that the test would find (p < 0.05) with 80 % power; n is the number of users. Exploratory: p is not corrected for the
number of comparisons, and no difference is marked."""
IMPORTANCE = """\
The share of the order of the trials' scores that each setting explains, by a random forest on held-out trials; 0 where
it does not matter or the trials are too few. Mean ± standard deviation over folds."""
RADII = """\
SAMRec with all settings but `sam_rho` at their defaults, with the Transformers' dropout and without dropout. Points are
seeds, marks and bars their mean and standard deviation."""


def list_commands(found: Sequence[Found], radii: Sequence[Run], options: argparse.Namespace) -> str:
    """List the commands behind the page."""
    lines = [search_command(one.search) for one in found]
    entries = ",".join(one.search.entry for one in found)
    compare = f"python -m recbole_samrec compare --models {shlex.quote(entries)} --datasets {options.dataset}"
    seeds = len({run.seed for one in found for run in one.runs}) or 1
    lines += [f"{compare} --seeds {seeds} --out {options.records} --pages {options.out.parent}"]
    lines += [f"{lines[-1]} --tuned {options.searches}"]
    if radii:
        names = shlex.quote(",".join(read_yaml(RHO_ENTRIES)["entries"]))
        how = f"--datasets {options.dataset} --seeds {len({run.seed for run in radii})} --out {options.rho}"
        lines.append(f"python -m recbole_samrec compare --entries benchmarks/entries/rho.yaml --models {names} {how}")
    return "\n".join(lines)


def search_command(search: SearchSpec) -> str:
    """Return the command of a search."""
    words = [f"--model={search.entry}", f"--dataset={search.dataset}", f"--trials={search.trials}"]
    words += [f"--search={search.strategy.search}"] if search.strategy.search != "random" else []
    words += [f"--scheduler={search.strategy.scheduler}"] if search.strategy.scheduler != "asha" else []
    words += [f"--seeds={','.join(map(str, search.seeds))}"] if len(search.seeds) > 1 else []
    return shlex.join(["python", "-m", "recbole_samrec", "tune", *words, f"--out={search.out}"])


def list_best(found: Sequence[Found]) -> pd.DataFrame:
    """List the best settings of each search and the best trial's scores."""
    names = dict.fromkeys(name for one in found for name in one.search.space.names)
    lines = []
    for one in found:
        best = one.record["found"]["best"]
        line = {"entry": one.search.entry, "best trial": str(best["trial"])}
        line |= {name: _shown(best["settings"][name]) if name in best["settings"] else "" for name in names}
        line |= {f"NDCG@10, {words}": f"{best[part][METRICS[0]]:.4f}" for part, words in PARTS.items()}
        lines.append(line)
    return pd.DataFrame(lines)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def list_gains(found: Sequence[Found]) -> pd.DataFrame:
    """List scores of the defaults and of the best settings, and their difference on test, formatted for the page."""
    gains = compute_tuning_gains(found).set_index(["entry", "metric"])
    lines = []
    for one in found:
        for metric in METRICS:
            line = {"entry": one.search.entry, "metric": metric.upper()}
            for part, words in PARTS.items():
                for kind in (DEFAULT, TUNED):
                    scores = [run.result[part][metric] for run in one.runs if run.entry == kind]
                    line[f"{words}, {kind}"] = _spread(scores)
            place = (one.search.entry, metric)
            shown = _show_difference(gains.loc[place]) if place in gains.index else dict.fromkeys(COLUMNS, NOTHING)
            lines.append(line | shown)
    return pd.DataFrame(lines)


def compute_tuning_gains(found: Sequence[Found]) -> pd.DataFrame:
    """Compute the gain of the best settings over the defaults on test, where both were trained.

    Returns:
        One line for each search and metric: ``entry``, ``reference``, ``metric``, ``difference`` (tuned minus default),
        ``low`` and ``high`` (95 % interval over users and seeds), ``mde``, ``p`` and ``n`` (users).
    """
    lines = []
    for one in (one for one in found if {run.entry for run in one.runs} == {TUNED, DEFAULT}):
        line = compare_with_reference(one.runs, DEFAULT).loc[TUNED]
        lines += [
            {"entry": one.search.entry, "reference": DEFAULT, "metric": metric, **_difference(line, metric, one.runs)}
            for metric in METRICS
        ]
    return pd.DataFrame(lines, columns=["entry", "reference", "metric", *NUMBERS])


NUMBERS = ("difference", "low", "high", "mde", "p", "n")


def _difference(line: pd.Series, metric: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Return a difference with its interval over users and seeds."""
    names = ("difference", "low_with_seeds", "high_with_seeds", "mde", "p")
    return dict(zip(NUMBERS, [*(line[f"{metric}_{name}"] for name in names), len(runs[0].ranks)], strict=True))


def _show_difference(line: pd.Series) -> dict[str, str]:
    difference = show_number(line["difference"], "+.4f")
    numbers = format_interval(line["low"], line["high"]), show_number(line["mde"], ".4f"), show_p(line["p"])
    return dict(zip(COLUMNS, (difference, *numbers, f"{line['n']:,}"), strict=True))


def _spread(scores: Sequence[float]) -> str:
    if len(scores) < 2:
        return f"{scores[0]:.4f}" if scores else "not trained"
    return f"{np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f}"


def list_importance(found: Sequence[Found]) -> pd.DataFrame:
    """List the importance of each setting, one line per setting and one column per search."""
    columns = {}
    for one in found:
        shares = importance(one.trials, one.search.space.parameters).set_index("parameter")
        columns[one.search.entry] = {name: f"{100 * line['importance']:.0f} ± {100 * line['spread']:.0f} %"
                                   for name, line in shares.iterrows()}  # fmt: skip
    table = pd.DataFrame(columns).fillna("")
    return table.rename_axis("setting").reset_index()


def list_radii(scores: pd.DataFrame) -> pd.DataFrame:
    """List mean and spread of NDCG@10 for each radius and dropout."""
    lines = []
    for rho in sorted(scores["rho"].unique()):
        line = {"sam_rho": f"{rho:g}"}
        for share in sorted(scores["dropout"].unique(), reverse=True):
            cell = scores[(scores["rho"] == rho) & (scores["dropout"] == share)]
            line |= {f"{words}, dropout {share:g}": _spread(cell[part].tolist()) for part, words in PARTS.items()}
        lines.append(line)
    return pd.DataFrame(lines)


def list_radius_differences(radii: Sequence[Run]) -> pd.DataFrame:
    """List the change of each radius on test against rho 0 with the same dropout, formatted for the page."""
    shares = {run.entry: run.result["config"]["hidden_dropout_prob"] for run in radii}
    plain = {shares[run.entry]: run.entry for run in radii if not run.result["config"]["sam_rho"]}
    lines = []
    for share, reference in sorted(plain.items(), reverse=True):
        runs = [run for run in radii if shares[run.entry] == share]
        table = compare_with_reference(runs, reference, metrics=METRICS)
        lines += [
            {
                "entry": f"{entry} {MINUS} {reference}",
                "metric": metric,
                "dropout": share,
                **_difference(line, metric, runs),
            }
            for metric in METRICS
            for entry, line in table.iterrows()
        ]
    table = pd.DataFrame(lines, columns=["entry", "metric", "dropout", *NUMBERS])
    return pd.DataFrame(
        {f"entry {MINUS} reference": line["entry"], "metric": line["metric"].upper(), **_show_difference(line)}
        for _, line in table.iterrows()
    )


def list_budgets(found: Sequence[Found]) -> pd.DataFrame:
    """List the budget, the outcomes of the trials and the hours of each search."""
    statuses = sorted({status for one in found for status in one.record["found"]["statuses"]})
    return pd.DataFrame(
        {
            "entry": one.search.entry,
            **{name: str(getattr(one.budget, name)) for name in ("trials", "search", "scheduler", "grace", "epochs")},
            "seeds": ", ".join(map(str, one.budget.seeds)),
            "metric": one.budget.metric,
            **{status: str(one.record["found"]["statuses"].get(status, 0)) for status in statuses},
            "hours": f"{one.record['found']['hours']:.1f}",
        }
        for one in found
    )


def list_spaces(found: Sequence[Found]) -> pd.DataFrame:
    """List the settings that each search varied."""
    return pd.DataFrame(
        {"entry": one.search.entry, "setting": parameter.name, "values": parameter.describe()}
        for one in found
        for parameter in one.search.space.parameters
    )


if __name__ == "__main__":
    sys.exit(main())
