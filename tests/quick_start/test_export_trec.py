"""Metrics of exported TREC files equal those of the run, computed by a reader in this file and by ranx."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import recbole_samrec
from recbole_samrec.quick_start.export_trec import FILES, export_trec
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main, succeed
from tests.helpers.temporal import tied_events
from tests.helpers.tiny import write_events

QUIET = Console(quiet=True)
SMALL = {"topk": [1, 5, 10], "valid_metric": "NDCG@5", "epochs": 1}
TINY = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 6}
SUCCESSIVE = {"eval_args": {"split": {"GTS": {"quantile": 0.7, "target": "successive"}}}}
RATIO = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "user"}}
RUNS = {
    "leave-one-out": ("SASRec", TINY),
    "several events": ("SASRec", TINY | SUCCESSIVE),
    "general, several events": ("Pop", SUCCESSIVE),
    "general, at once": ("BPR", RATIO),
}
"""Models and settings of runs: a single test event of a user, several one by one, and several at once."""


def train(case):
    """A run with spaces and percent signs in the ids of items, and for Pop many equal scores."""
    frame = tied_events(2, users=60, items=30, days=40)
    frame = frame.assign(user="u" + frame["user"].astype(str), item="5% " + frame["item"].astype(str))
    write_events("dataset", "tied", frame.itertuples(index=False))
    model, settings = RUNS[case]
    return recbole_samrec.run(model, "tied", run_dir="run", console=QUIET, **SMALL, **settings)


def read_files(folder):
    """The items of each query by descending score, and the targets."""
    run = pd.read_csv(folder / FILES[0], sep=" ", names=["query", "q0", "item", "rank", "score", "tag"])
    qrels = pd.read_csv(folder / FILES[1], sep=" ", names=["query", "zero", "item", "relevance"])
    ranked = run.sort_values("score", ascending=False).groupby("query")["item"].agg(list)
    assert run.groupby("query")["rank"].agg(list).map(lambda ranks: ranks == list(range(1, len(ranks) + 1))).all()
    assert (qrels["relevance"] == 1).all() and not run.duplicated(["query", "score"]).any()
    return ranked, qrels.groupby("query")["item"].agg(set)


def measure(ranked, wanted, k):
    """Metrics at K by their definitions, as means over queries."""
    found = {name: [] for name in ("hr", "ndcg", "mrr", "recall", "precision")}
    for query, items in wanted.items():
        hits = np.array([item in items for item in ranked[query][:k]])
        discounts = 1 / np.log2(np.arange(2, k + 2))
        found["hr"].append(hits.any())
        found["ndcg"].append((hits * discounts[: len(hits)]).sum() / discounts[: len(items)].sum())
        found["mrr"].append(1 / (hits.argmax() + 1) if hits.any() else 0)
        found["recall"].append(hits.sum() / len(items))
        found["precision"].append(hits.sum() / k)
    return {f"{name}@{k}": np.mean(values) for name, values in found.items()}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", RUNS)
def test_export_trec__gives_the_metrics_of_the_run(own_folder, case, masked):
    result = train(case)
    found = export_trec("run", "out", mask_history=masked, console=QUIET)
    ranked, wanted = read_files(Path("out"))
    about = json.loads(Path("out", FILES[2]).read_text())
    assert about["metrics"] == found.metrics and about["history_masked"] is masked
    if not masked:
        assert found.metrics == result.record["test"]
    else:
        part = recbole_samrec.evaluate("run", True, console=QUIET).scores[True]["test"]
        assert found.metrics == part
        assert part != result.record["test"] or "at once" in case  # RecBole masks training items of general models
    for k in SMALL["topk"]:
        for name, value in measure(ranked, wanted, k).items():
            assert value == pytest.approx(found.metrics[name], abs=1e-7), name
    assert len(wanted) == found.queries and found.k == 10
    numbered = [query.partition("/")[2] for query in wanted.index]
    assert all(numbered) if "several" in case else not any(numbered)
    if case == "several events":  # queries are the user and event of ranks.npz, whose ranks are those in the files
        with np.load("run/ranks.npz") as arrays:
            ranks = arrays["masked_rank" if masked else "rank"]
            users, events = arrays["user"], arrays["event"]
        names = sorted({query.partition("/")[0] for query in wanted.index})
        for user, event, rank in zip(users, events, ranks, strict=True):
            query = f"{names[user]}/{event}"
            place = next((n for n, item in enumerate(ranked[query], 1) if item in wanted[query]), None)
            assert place == (rank if rank <= 10 else None)


def test_export_trec__masks_the_history(own_folder):
    train("leave-one-out")
    frame = pd.read_csv("dataset/tied/tied.inter", sep="\t").set_axis(["user", "item", "time"], axis=1)
    had = frame.assign(item=frame["item"].str.replace("%", "%25").str.replace(" ", "%20"))
    had = had.groupby("user")["item"].agg(set)
    export_trec("run", "out", mask_history=True, k=29, console=QUIET)
    ranked, wanted = read_files(Path("out"))
    for query, items in ranked.items():
        assert not (set(items) - wanted[query]) & had[query]
        assert wanted[query] <= set(items)  # a target stays, even if the user had it before
    export_trec("run", "out", overwrite=True, k=30, console=QUIET)
    assert read_files(Path("out"))[0].map(len).eq(30).all()


@pytest.mark.slow
def test_export_trec__ranx_finds_the_same_metrics(own_folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes half a minute; ranx is imported by this test only
    ranx = pytest.importorskip("ranx")
    names = {"hit_rate": "hr", "ndcg": "ndcg", "mrr": "mrr", "recall": "recall", "precision": "precision"}
    for case in ("general, at once", "several events"):
        train(case)
        found = export_trec("run", "out", overwrite=True, console=QUIET)
        qrels = ranx.Qrels.from_file(f"out/{FILES[1]}", kind="trec")
        run = ranx.Run.from_file(f"out/{FILES[0]}", kind="trec")
        theirs = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in names for k in (5, 10)])
        for name, value in theirs.items():
            metric, k = name.split("@")
            assert value == pytest.approx(found.metrics[f"{names[metric]}@{k}"], abs=1e-7), (case, name)
        Path("run").rename(f"run of {case}")


def test_export_trec__is_a_command(own_folder):
    train("leave-one-out")
    said = succeed("export", "run", "--format=trec", "--out=out", "--k=3", "--mask_history")
    assert said.out.strip() == f"rankings of up to 3 items for {len(read_files(Path('out'))[1])} queries in out"
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(FILES)
    assert recbole_samrec.export_trec is export_trec
    for arguments, words in {
        ("--format=trec", "--out=out"): "it already contains an export; add --overwrite",
        ("--format=trec", "--out=more", "--k=31"): "--k=31: give a number from 1 to 30",
        ("--out=more", "--k=3"): "--k requires --format=trec",
        ("--format=letor", "--out=more"): "--format",
    }.items():
        said = main("export", "run", *arguments)
        assert said.status == 2 and words in said.err


def test_export_trec__refuses_sampled_candidates(own_folder):
    train("leave-one-out")
    settings = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni100"}}
    recbole_samrec.run("SASRec", "tied", run_dir="sampled", console=QUIET, **SMALL, **TINY, **settings)
    with pytest.raises(ConfigError, match="ranks sampled items"):
        export_trec("sampled", "out", console=QUIET)
