"""Every mean, interval and p-value of a page, recomputed from the ``ranks.npz`` of its runs with numpy and scipy alone.

Nothing of the package computes here; :mod:`tests.helpers.recomputation` has the statistics.
"""

import io
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from recbole_samrec.compare import api, write
from recbole_samrec.experiments import worker
from tests.helpers.jobs import SMALL, ignore
from tests.helpers.recomputation import METRICS, Inference, correct, find_runs, score_all
from tests.helpers.tiny import write_events

PROTOCOLS = ["loo", "gts-last", "gts-successive"]
ENTRIES = ["SASRec", "GRU4Rec", "Pop"]
PRIMARY, EQUIVALENCE = [("GRU4Rec", "SASRec"), ("Pop", "GRU4Rec")], [("GRU4Rec", "SASRec")]
MARGIN = 0.15
MINUS = "\N{MINUS SIGN}"
DECLARED = f"""
primary: {[list(pair) for pair in PRIMARY]}
equivalence: {[list(pair) for pair in EQUIVALENCE]}
equivalence_margin: {100 * MARGIN:g}
"""


# The comparison -------------------------------------------------------------------------------------------------------


def compare(train: bool) -> None:
    options = {"protocol": PROTOCOLS, "entries": ["declared.yaml"], "mask_history": True, "train": train}
    quiet = {"out": "out", "console": Console(file=io.StringIO()), **SMALL, "epochs": 1}
    api.compare_models(ENTRIES, "tiny", seeds=[1, 2, 3], **options, **quiet)


def replace_ranks(folder: Path, seed: int, shift: float) -> None:
    """Replace the ranks of a run by random ones that differ by user, seed and entry."""
    with np.load(folder / "ranks.npz") as file:
        arrays = dict(file)
    own, easy = np.random.default_rng(seed), np.random.default_rng(0)
    user = arrays["user"]
    scale = easy.normal(1.8, 0.8, user.max() + 1)[user] + shift + 0.15 * own.normal()
    arrays["rank"] = np.exp(np.maximum(0, scale + 0.4 * own.normal(size=len(user)))).astype(np.int32)
    arrays["masked_rank"] = np.maximum(1, arrays["rank"] - own.integers(0, 3, len(user))).astype(np.int32)
    np.savez_compressed(folder / "ranks.npz", **arrays)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder with the runs and pages of a comparison under three protocols, with random ranks."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("comparison")
        patch.chdir(folder)
        patch.setattr(api, "train_all", lambda jobs, *more, **options: [worker.train_job(job, ignore) for job in jobs])
        patch.setattr(write, "render_figure", lambda *_: b"")
        draw = random.Random(0)
        events = [
            (f"u{u}", f"i{draw.randrange(40)}", 60 * n + u) for u in range(60) for n in range(draw.randint(6, 12))
        ]
        write_events("dataset", "tiny", events)
        Path("declared.yaml").write_text(DECLARED)
        with pytest.MonkeyPatch.context() as training:
            training.setattr(api.Conclusion, "write", lambda *_: None)  # there are no pages yet
            compare(train=True)
        runs = find_runs(folder / "out")
        assert set(runs) == {(protocol, entry) for protocol in PROTOCOLS for entry in ENTRIES}
        find_runs.cache_clear()
        shutil.rmtree(runs["gts-last", "GRU4Rec"].pop())  # so that numbers of seeds are unequal
        for number, ((_, entry), folders) in enumerate(runs.items()):
            for seed, run in enumerate(folders):
                drawn = 100 * number + (0 if entry == "Pop" else seed)  # Pop is the same with every seed
                replace_ranks(run, drawn, {"SASRec": 0, "GRU4Rec": 0.05, "Pop": 0.5}[entry])
        compare(train=False)
        yield folder / "out"


def infer(out: Path, protocol: str, metric: str, column: str, entry: str, other: str) -> Inference:
    runs = find_runs(out)
    values = (score_all(runs[protocol, name], metric, column) for name in (entry, other))
    return Inference(*values, (entry == "Pop", other == "Pop"))


# Pages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_page__has_the_figures_of_its_ranks(out, protocol, masked):
    column = "masked_rank" if masked else "rank"
    page = pd.read_csv(out / f"tiny-{protocol}{'-masked' if masked else ''}.csv", index_col="entry")
    runs = find_runs(out)
    assert list(page.index) == ENTRIES
    assert page.loc["GRU4Rec", "seeds"] == (2 if protocol == "gts-last" else 3)
    for metric in METRICS:
        for entry in ENTRIES:
            means = score_all(runs[protocol, entry], metric, column).mean(axis=0)
            assert page.loc[entry, [f"{metric}_mean", f"{metric}_std"]].to_list() == pytest.approx(
                [means.mean(), means.std(ddof=1)], abs=1e-12
            )
        for entry in ENTRIES[1:]:
            test = infer(out, protocol, metric, column, entry, "SASRec")
            expected = test.expected()
            found = {name: page.loc[entry, f"{metric}_{name}"] for name in expected}
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-12), (metric, entry)


def test_page__has_the_declared_tests_of_its_ranks(out):
    page = pd.read_csv(out / "primary.csv").set_index(["test", "protocol", "entry", "reference"])
    tests = {
        (protocol, *pair): infer(out, protocol, "ndcg@10", "rank", *pair) for protocol in PROTOCOLS for pair in PRIMARY
    }
    corrected = correct([test.p() for test in tests.values()])
    for ((protocol, *pair), test), p_holm in zip(tests.items(), corrected, strict=True):
        line = page.loc[("difference", protocol, *pair)]
        expected = [test.difference, *test.interval(), test.detectable(), test.p(), p_holm]
        assert line[["difference", "low", "high", "mde", "p", "p_holm"]].to_list() == pytest.approx(expected, rel=1e-6)
        assert (line["mark"] == "†") == (p_holm < 0.05) and line["users"] == test.users
        if pair[1] == "SASRec":
            main = pd.read_csv(out / f"tiny-{protocol}.csv", index_col="entry")
            assert main.loc[pair[0], "ndcg@10_p_holm"] == pytest.approx(p_holm)
    assert 0 < sum(p < 0.05 for p in corrected) < len(corrected)


def test_page__has_the_equivalences_of_its_ranks(out):
    page = pd.read_csv(out / "primary.csv").set_index(["test", "protocol", "entry", "reference"])
    runs, expected = find_runs(out), {}
    for protocol in PROTOCOLS:
        for entry, other in EQUIVALENCE:
            test = infer(out, protocol, "ndcg@10", "rank", entry, other)
            margin = MARGIN * score_all(runs[protocol, other], "ndcg@10", "rank").mean()
            expected[protocol, entry, other] = (
                test.difference,
                margin,
                *test.interval(0.9),
                test.equivalence_p(margin),
            )
    corrected = correct([p for *_, p in expected.values()])
    for (place, figures), p_holm in zip(expected.items(), corrected, strict=True):
        line = page.loc[("equivalence", *place)]
        found = line[["difference", "margin", "low_90", "high_90", "p", "p_holm"]].to_list()
        assert found == pytest.approx([*figures, p_holm], rel=1e-6)
        assert (line["mark"] == "≈") == (p_holm < 0.05)


def test_page__shows_the_figures_of_its_csv(out):
    text = (out / "primary.md").read_text(encoding="utf-8")
    for line in pd.read_csv(out / "primary.csv").to_dict("records"):
        ends = ("low", "high") if line["test"] == "difference" else ("low_90", "high_90")
        shown = f"| {line['difference']:+.4f} | {line[ends[0]]:+.4f} to {line[ends[1]]:+.4f} |".replace("-", MINUS)
        assert shown in text
