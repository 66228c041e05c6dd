"""The page on the agreement of protocols contains the taus of its means."""

from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from recbole_samrec.compare.agreement import build_agreement_table, build_mean_table, write_agreement
from tests.helpers.compared import make_runs

ENTRIES = ["A", "B", "C"]


def under(protocol, better, users=60):
    """Runs of three entries that differ by given amounts."""
    config = {"config": {"eval_args": {"split": {"GTS": {"target": protocol}} if protocol != "loo" else {"LS": "x"}}}}
    return [
        replace(run, protocol=protocol, result={**run.result, **config})
        for entry, places in zip(ENTRIES, better, strict=True)
        for run in make_runs(entry, places, users)
    ]


def test_build_agreement_table__has_taus_of_the_means():
    runs = [*under("loo", (24, 26, 28)), *under("last", (28, 24, 26), 40), *under("successive", (28, 26, 24), 40)]
    names = ["loo", "last", "successive"]
    table = build_agreement_table(runs, ENTRIES, names, draws=50)
    means = build_mean_table(runs, ENTRIES, names)
    for line in table.itertuples():
        one, other = (
            means[(means["protocol"] == name) & (means["metric"] == line.metric)]["mean"]
            for name in (line.protocol, line.other)
        )
        assert line.tau == pytest.approx(stats.kendalltau(one, other).statistic) and line.entries == 3
        assert -1 <= line.low <= line.tau <= line.high <= 1
    at_ten = table[table["metric"] == "ndcg@10"].set_index(["protocol", "other"])["tau"]
    assert at_ten.round(4).to_dict() == {
        ("loo", "last"): -0.3333,
        ("loo", "successive"): -1.0,
        ("last", "successive"): 0.3333,
    }


def test_build_agreement_table__needs_two_entries_in_both():
    runs = [*under("loo", (24, 26, 28)), *(run for run in under("last", (28, 24, 26)) if run.entry == "A")]
    assert build_agreement_table(runs, ENTRIES, ["loo", "last"], draws=5).empty


def test_write_agreement__writes_a_page_and_its_numbers(tmp_path):
    runs = [*under("loo", (24, 26, 28)), *under("last", (28, 24, 26))]
    links = [("tiny_set, last", "tiny_set-last.md")]
    how = {"masked": True, "command": "compare", "draws": 20, "links": links}
    path = write_agreement(runs, ENTRIES, ["loo", "last"], tmp_path, **how)
    text = path.read_text(encoding="utf-8")
    assert path.name == "protocols-masked.md" and "history masked" in text and "Leave-one-out leaks" in text
    assert "Related pages: [tiny\\_set, last](tiny_set-last.md)." in text
    assert "| tiny\\_set | NDCG@10 | loo and last | 3 |" in text and "mean NDCG@10" in text
    assert list(pd.read_csv(path.with_suffix(".csv"))["entries"]) == [3, 3, 3]
