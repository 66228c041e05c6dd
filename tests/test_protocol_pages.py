"""The committed pages of several protocols: every mean, interval and p-value equals that of the committed ranks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from tests.helpers.paths import ROOT
from tests.helpers.recomputation import METRICS, Inference, find_runs, score_all

RESULTS = ROOT / "results"
RECORDS = RESULTS / "records" / "protocols"
COLUMNS = {"": "rank", "-masked": "masked_rank"}
DETERMINISTIC = {"Pop", "RecentPop"}


def list_pages() -> list[tuple[str, str]]:
    """Data set and protocol of each page."""
    agreement = pd.read_csv(RESULTS / "protocols.csv")
    names = agreement.melt("dataset", ["protocol", "other"])[["dataset", "value"]].drop_duplicates()
    return sorted(names.itertuples(index=False, name=None))


@pytest.mark.parametrize("end", COLUMNS)
@pytest.mark.parametrize(("dataset", "protocol"), list_pages())
def test_page__has_the_figures_of_its_ranks(dataset, protocol, end):
    page = pd.read_csv(RESULTS / f"{dataset}-{protocol}{end}.csv", index_col="entry")
    runs = find_runs(RECORDS / dataset)
    page = page[page["seeds"] > 0]
    reference = page.index[0]
    assert {entry for name, entry in runs if name == protocol} == set(page.index)
    for metric in METRICS:
        scores = {entry: score_all(runs[protocol, entry], metric, COLUMNS[end]) for entry in page.index}
        for entry, values in scores.items():
            means = values.mean(axis=0)
            assert page.loc[entry, "seeds"] == len(means) == 3
            shown = page.loc[entry, [f"{metric}_mean", f"{metric}_std"]].to_list()
            assert shown == pytest.approx([means.mean(), means.std(ddof=1)], abs=1e-9)
            if entry != reference:
                fixed = (entry in DETERMINISTIC, reference in DETERMINISTIC)
                expected = Inference(values, scores[reference], fixed).expected()
                found = {name: page.loc[entry, f"{metric}_{name}"] for name in expected}
                assert found == pytest.approx(expected, rel=1e-5, abs=1e-9), (metric, entry)


@pytest.mark.parametrize("end", COLUMNS)
def test_agreement__is_kendalls_tau_of_the_means(end):
    for line in pd.read_csv(RESULTS / f"protocols{end}.csv").to_dict("records"):
        runs, metric = find_runs(RECORDS / line["dataset"]), line["metric"]
        entries = [entry for name, entry in runs if name == line["protocol"] and (line["other"], entry) in runs]
        means = [
            [score_all(runs[protocol, entry], metric, COLUMNS[end]).mean() for entry in entries]
            for protocol in (line["protocol"], line["other"])
        ]
        assert len(entries) == line["entries"] and np.isfinite(line["tau"])
        assert line["tau"] == pytest.approx(kendalltau(*means, variant="b").statistic, abs=1e-9)
        assert line["low"] <= line["tau"] <= line["high"]
