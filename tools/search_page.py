"""Write ``results/search.md``: what searches found, what that gained over the defaults, and how much rho matters.

It trains nothing. It reads searches of ``tune``, the runs that ``compare`` made with their best settings and with the
defaults, and the runs that ``compare --rows benchmarks/entries/rho.yaml`` made; the page names the commands of all.
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

from benchmarks.report import markdown
from recbole_samrec.cli.compare import seeds_of
from recbole_samrec.compare.tables import comparisons
from recbole_samrec.compare.tuned_settings import searches_under, tuned_rows
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.jobs import plan
from recbole_samrec.experiments.results import Run, finished_runs
from recbole_samrec.sharpness.figure_layout import legend, offsets, panels, rendered, style, styled
from recbole_samrec.tune.importance import importance
from recbole_samrec.tune.results import TABLE
from recbole_samrec.tune.search_spec import Search, recall
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RHO_ROWS = Path(__file__).parents[1] / "benchmarks" / "entries" / "rho.yaml"
METRICS = ("ndcg@10", "hr@10")
TUNED, DEFAULT = "tuned", "default"
PARTS = {"valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Found:
    """A finished search with all that is said of it.

    Args:
        search: What was searched.
        budget: What it was given, in words.
        record: Its ``search.json``.
        trials: Its table of trials.
        runs: Runs with the settings that it found, and runs with the defaults, whose rows are called so.
    """

    search: Search
    budget: str
    record: Mapping[str, Any]
    trials: pd.DataFrame
    runs: list[Run]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the command line."""
    options = _parser().parse_args(arguments)
    try:
        seeds = seeds_of(options.seeds)
        found = read_searches(options.searches, options.records, options.dataset, seeds)
        radii = read_radii(options.rho, options.dataset, seeds)
        text = page(found, radii, options)
        if len(radii):
            with checkpoint_io.writing(options.out.with_name(f"{options.out.stem}-rho.png")) as file:
                file.write(rendered(draw(radii), "png"))
        with checkpoint_io.writing(options.out) as file:
            file.write(text.encode())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written to {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.search_page", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--dataset", default="ml-100k", help="data set of the searches")
    add("--searches", type=Path, default=Path("results/search"), help="folder with the folders of the searches")
    add("--records", type=Path, default=Path("results"), help="folder of compare with tuned and untuned runs")
    add("--rho", type=Path, default=Path("results/rho"), help="folder of compare with benchmarks/entries/rho.yaml")
    add("--seeds", default="5", help="seeds of the runs, as compare takes them")
    add("--out", type=Path, default=Path("results/search.md"), help="the page that is written")
    return parser


# Reading ---------------------------------------------------------------------------------------------------------


def read_searches(folder: Path, records: Path, dataset: str, seeds: Sequence[int]) -> list[Found]:
    """The finished searches on a data set, with the runs that show what they gained.

    Raises:
        UserError: There is none, or something cannot be read.
    """
    known = [search for search in searches_under([folder]) if search.dataset == dataset and search.complete]
    if not known:
        raise ConfigError(
            f"{folder}: there is no finished search on {dataset}; make one: python -m recbole_samrec tune "
            f"--model=SAMRec --dataset={dataset} --out={folder}/SAMRec-{dataset}"
        )
    rows = read_rows([search.row for search in known])
    best = tuned_rows(known, rows, dataset, {}, str(folder))
    settings = {dataset: {row: one.settings for row, one in best.items()}}
    hashes = {dataset: known[0].sha256}
    default, _ = finished_runs(plan(rows, hashes, seeds, [1.0], records))
    tuned, _ = finished_runs(plan(rows, hashes, seeds, [1.0], records, tuned=settings))
    found = []
    for one in known:
        named = [replace(run, row=name) for name, runs in ((TUNED, tuned), (DEFAULT, default))
                 for run in runs if run.row == one.row]  # fmt: skip
        record = read_yaml(one.folder / "search.json")  # JSON is YAML
        found.append(Found(recall(one.folder), str(one.budget), record, pd.read_csv(one.folder / TABLE), named))
    return found


def read_radii(folder: Path, dataset: str, seeds: Sequence[int]) -> pd.DataFrame:
    """NDCG@10 of the runs of ``benchmarks/entries/rho.yaml``: one per line with ``rho``, ``dropout`` and ``seed``."""
    names = list(read_yaml(RHO_ROWS)["rows"])
    rows = read_rows(names, [RHO_ROWS])
    there = sorted((folder / dataset).glob("*/result.json"))
    sha256 = read_yaml(there[0])["data"]["sha256"] if there else ""
    jobs = plan(rows, {dataset: sha256}, seeds, [1.0], folder, tables=[RHO_ROWS])
    lines = []
    for run in finished_runs(jobs)[0]:
        config = run.result["config"]
        scores = {part: run.result[part][METRICS[0]] for part in PARTS}
        lines.append({"rho": config["sam_rho"], "dropout": config["hidden_dropout_prob"], "seed": run.seed, **scores})
    return pd.DataFrame(lines, columns=["rho", "dropout", "seed", *PARTS])


# Drawing ---------------------------------------------------------------------------------------------------------


def draw(radii: pd.DataFrame) -> Figure:
    """NDCG@10 against rho, one line for each dropout; small points are seeds, bars their standard deviation."""
    shares = sorted(radii["dropout"].unique(), reverse=True)
    rhos = sorted(radii["rho"].unique())
    looks = styled(f"dropout {share:g}" for share in shares)
    with style():
        figure, axes = panels(len(PARTS), 2.9)
        for panel, (part, name) in zip(axes, PARTS.items(), strict=True):
            for share, look, offset in zip(shares, looks.values(), offsets(len(shares), 0.16), strict=True):
                of_share = radii[radii["dropout"] == share]
                means, stds = (of_share.groupby("rho")[part].agg(how).reindex(rhos) for how in ("mean", "std"))
                panel.errorbar(np.arange(len(rhos)) + offset, means, stds.fillna(0), capsize=2, **look)
                at = np.searchsorted(rhos, of_share["rho"]) + offset
                panel.plot(at, of_share[part], ".", color=look["color"], markersize=3, alpha=0.6)
            panel.set_xticks(range(len(rhos)), [f"{rho:g}" for rho in rhos])
            panel.set_xlabel("sam_rho (0 is SASRec)")
            panel.set_ylabel(f"NDCG@10 on {name}")
        legend(figure, looks)
    return figure


# Words -----------------------------------------------------------------------------------------------------------


def page(found: Sequence[Found], radii: pd.DataFrame, options: argparse.Namespace) -> str:
    """The whole page in Markdown."""
    parts = [f"# Search: {options.dataset}", "Made by `python -m tools.search_page`; do not edit."]
    parts.append(f"```bash\n{commands(found, radii, options)}\n```")
    budgets = {one.budget for one in found}
    shared = f"under the same budget, {budgets.pop()}" if len(budgets) == 1 else "under different budgets, see below"
    parts += ["## What was found", FOUND.format(budget=shared), markdown(best_table(found))]
    parts += ["## What it gained over the defaults", GAINED, markdown(gain_table(found))]
    parts += ["\n".join(f"- {sentence}" for one in found for sentence in gain_sentences(one))]
    parts += ["## Which settings mattered", MATTERED, markdown(importance_table(found))]
    if len(radii):
        parts += ["## How much rho matters", f"![NDCG@10 against rho]({options.out.stem}-rho.png)"]
        parts += [RADII, markdown(radius_table(radii)), "\n".join(f"- {line}" for line in radius_sentences(radii))]
    parts += ["## How it was made", "\n".join(f"- {one.search.row}: {facts(one)}" for one in found)]
    return "\n\n".join(parts) + "\n"


FOUND = """\
The searches were made {budget}. The test set was scored once, with the best trial's weights."""
GAINED = """\
The best settings were trained anew with several seeds, and so were the defaults. A trial's own score is no measure of
its settings: it is the best of many noisy ones, and the same settings score less with other seeds. Mean ± standard
deviation over seeds; the difference on test with its 95 % interval over users and seeds (over users where there is one
seed), and the p-value of a paired randomisation test on users, each averaged over seeds."""
MATTERED = """\
The share of the order of the trials' scores that each setting explains, by a random forest on trials that it has not
seen; 0 where it does not matter or 30 trials cannot tell. Mean ± standard deviation over folds."""
RADII = """\
SAMRec with everything but `sam_rho` as by default, once with the dropout that the Transformers share and once without
any. Points are seeds, marks and bars their mean and standard deviation."""


def commands(found: Sequence[Found], radii: pd.DataFrame, options: argparse.Namespace) -> str:
    """The commands that made what the page shows."""
    lines = [search_command(one.search) for one in found]
    rows = ",".join(one.search.row for one in found)
    compare = f"python -m recbole_samrec compare --models {shlex.quote(rows)} --datasets {options.dataset}"
    seeds = len({run.seed for one in found for run in one.runs}) or 1
    lines += [f"{compare} --seeds {seeds} --out {options.records}"]
    lines += [f"{lines[-1]} --tuned {options.searches}"]
    if len(radii):
        names = shlex.quote(",".join(read_yaml(RHO_ROWS)["rows"]))
        how = f"--datasets {options.dataset} --seeds {radii['seed'].nunique()} --out {options.rho}"
        lines.append(f"python -m recbole_samrec compare --rows benchmarks/entries/rho.yaml --models {names} {how}")
    return "\n".join(lines)


def search_command(search: Search) -> str:
    """The command of a search."""
    words = [f"--model={search.row}", f"--dataset={search.dataset}", f"--trials={search.trials}"]
    words += [f"--search={search.strategy.search}"] if search.strategy.search != "random" else []
    words += [f"--scheduler={search.strategy.scheduler}"] if search.strategy.scheduler != "asha" else []
    words += [f"--seeds={','.join(map(str, search.seeds))}"] if len(search.seeds) > 1 else []
    return shlex.join(["python", "-m", "recbole_samrec", "tune", *words, f"--out={search.out}"])


def best_table(found: Sequence[Found]) -> pd.DataFrame:
    """The best settings of each search and the best trial's scores."""
    names = dict.fromkeys(name for one in found for name in one.search.space.names)
    lines = []
    for one in found:
        best = one.record["found"]["best"]
        line = {"model": one.search.row, "best trial": str(best["trial"])}
        line |= {name: _shown(best["settings"][name]) if name in best["settings"] else "" for name in names}
        line |= {f"NDCG@10, {words}": f"{best[part][METRICS[0]]:.4f}" for part, words in PARTS.items()}
        lines.append(line)
    return pd.DataFrame(lines)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def gain_table(found: Sequence[Found]) -> pd.DataFrame:
    """Defaults and best settings over seeds, on validation and on test."""
    lines = []
    for one in found:
        for metric in METRICS:
            line = {"model": one.search.row, "metric": metric.upper()}
            for part, words in PARTS.items():
                for kind in (DEFAULT, TUNED):
                    scores = [run.result[part][metric] for run in one.runs if run.row == kind]
                    line[f"{words}, {kind}"] = _spread(scores)
            line["difference on test"] = _difference(one, metric)
            lines.append(line)
    return pd.DataFrame(lines)


def _spread(scores: Sequence[float]) -> str:
    if len(scores) < 2:
        return f"{scores[0]:.4f}" if scores else "not trained"
    return f"{np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f}"


def gain_of(one: Found, metric: str) -> pd.Series | None:
    """Tuned minus default on test, or None if either was not trained.

    ``low`` and ``high`` are the 95 % interval over users and seeds, over users alone where there is one seed.
    """
    if {run.row for run in one.runs} != {TUNED, DEFAULT}:
        return None
    line = comparisons(one.runs, TUNED).loc[DEFAULT]
    seeds = "_with_seeds" if pd.notna(line[f"{metric}_low_with_seeds"]) else ""
    names = {"difference": "difference", "low": f"low{seeds}", "high": f"high{seeds}", "p": "p"}
    return pd.Series({ours: line[f"{metric}_{theirs}"] for ours, theirs in names.items()})


def _difference(one: Found, metric: str) -> str:
    gain = gain_of(one, metric)
    if gain is None:
        return ""
    words = f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}), p {_p(gain['p'])}"
    return words.replace("-", "\N{MINUS SIGN}")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def gain_sentences(one: Found) -> list[str]:
    """What the best trial promised, and what its settings gave."""
    metric, row = METRICS[0], one.search.row
    best = one.record["found"]["best"]
    tuned, default = ([run.result["valid"][metric] for run in one.runs if run.row == kind] for kind in (TUNED, DEFAULT))
    gain = gain_of(one, metric)
    if gain is None:
        return [f"{row}: what the search gained is known when its best settings and the defaults have been trained."]
    promised = f"{row}: the best trial had NDCG@10 {best['valid'][metric]:.4f} on validation; its settings have "
    promised += f"{np.mean(tuned):.4f} over {len(tuned)} seeds, the defaults {np.mean(default):.4f}."
    if gain["p"] >= 0.05 or gain["low"] <= 0 <= gain["high"]:
        verdict = "on test the difference is within what other users or seeds could have made"
    else:
        verdict = f"on test the search {'gained' if gain['difference'] > 0 else 'lost'}"
    return [f"{promised} {verdict.capitalize()} ({_difference(one, metric)})."]


def importance_table(found: Sequence[Found]) -> pd.DataFrame:
    """How much each setting explains, a line a setting and a column a search."""
    columns = {}
    for one in found:
        shares = importance(one.trials, one.search.space.parameters).set_index("parameter")
        columns[one.search.row] = {name: f"{100 * line['importance']:.0f} ± {100 * line['spread']:.0f} %"
                                   for name, line in shares.iterrows()}  # fmt: skip
    table = pd.DataFrame(columns).fillna("")
    return table.rename_axis("setting").reset_index()


def radius_table(radii: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread for each radius and dropout."""
    lines = []
    for rho in sorted(radii["rho"].unique()):
        line = {"sam_rho": f"{rho:g}"}
        for share in sorted(radii["dropout"].unique(), reverse=True):
            cell = radii[(radii["rho"] == rho) & (radii["dropout"] == share)]
            line |= {f"{words}, dropout {share:g}": _spread(cell[part].tolist()) for part, words in PARTS.items()}
        lines.append(line)
    return pd.DataFrame(lines)


def radius_sentences(radii: pd.DataFrame) -> list[str]:
    """For each dropout the radius that is best on validation, and what it does on both parts against none."""
    sentences = []
    for share in sorted(radii["dropout"].unique(), reverse=True):
        means = radii[radii["dropout"] == share].groupby("rho")[list(PARTS)].mean()
        spread = radii[radii["dropout"] == share].groupby("rho")["valid"].std().max()
        if 0 not in means.index or len(means) < 2:
            continue
        best = means["valid"].idxmax()
        if best == 0:
            sentences.append(f"Dropout {share:g}: no radius does better on validation than none (rho 0).")
            continue
        gains = {part: means.loc[best, part] - means.loc[0, part] for part in PARTS}
        size = "more" if gains["valid"] > spread else "less"
        signed = {part: f"{gain:+.4f}".replace("-", "\N{MINUS SIGN}") for part, gain in gains.items()}
        sentences.append(
            f"Dropout {share:g}: rho {best:g} is best on validation, {signed['valid']} against rho 0, which is {size} "
            f"than the largest standard deviation over seeds ({spread:.4f}); on test it is {signed['test']}."
        )
    return sentences


def facts(one: Found) -> str:
    """Budget, time and what became of the trials."""
    ended = ", ".join(f"{count} {status}" for status, count in sorted(one.record["found"]["statuses"].items()))
    space = "; ".join(f"{parameter.name} {parameter.describe()}" for parameter in one.search.space.parameters)
    return f"{one.budget}: {ended}; {one.record['found']['hours']:.1f} hours. Searched: {space}."


if __name__ == "__main__":
    sys.exit(main())
