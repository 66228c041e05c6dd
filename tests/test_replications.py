"""The committed replications of published numbers: their pages equal the committed ranks, and come close enough."""

import pandas as pd
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.recomputation import METRICS, find_runs, score_all

PAGES = ROOT / "results" / "replication"
RECORDS = ROOT / "results" / "records" / "replication" / "Amazon_Beauty"
COLUMNS = {"": "rank", "-masked": "masked_rank"}
BSAREC = "BSARec (published settings)"
PUBLISHED = 0.0610
"""NDCG@10 of BSARec on Amazon_Beauty with the history masked, mean of five seeds by RecBoard."""


@pytest.mark.parametrize("end", COLUMNS)
def test_page__has_the_figures_of_its_ranks(end):
    page = pd.read_csv(PAGES / f"Amazon_Beauty{end}.csv", index_col="entry")
    (runs,) = find_runs(RECORDS).values()
    assert list(page.index) == [BSAREC] and page.loc[BSAREC, "seeds"] == len(runs) == 3
    for metric in METRICS:
        means = score_all(runs, metric, COLUMNS[end]).mean(axis=0)
        shown = page.loc[BSAREC, [f"{metric}_mean", f"{metric}_std"]].to_list()
        assert shown == pytest.approx([means.mean(), means.std(ddof=1)], abs=1e-9)


def test_bsarec__is_within_five_percent_of_the_published_number():
    ((key, runs),) = find_runs(RECORDS).items()
    assert key == ("loo", "BSARec") and len(runs) == 3
    assert score_all(runs, "ndcg@10", "masked_rank").mean() == pytest.approx(PUBLISHED, rel=0.05)
