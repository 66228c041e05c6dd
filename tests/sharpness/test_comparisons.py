import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recbole_samrec.evaluator.marks import NOT_COMPARABLE, NOT_CONVERGED, SIGNIFICANT, UNCORRECTED
from recbole_samrec.evaluator.statistics import holm
from recbole_samrec.sharpness.comparisons import CONVERGED, Meaning, compare_entries, subtract_means

MEANINGS = {
    "top eigenvalue": Meaning("sharpness"),
    "adaptive rise": Meaning("adaptive sharpness"),
    "NDCG@10": Meaning("accuracy", smaller_is_better=False),
    "relative loss": Meaning("robustness"),
}
SASREC = {"top eigenvalue": (4, 4.2, 3.9), "adaptive rise": (1, 1.2, 0.8), "NDCG@10": (0.05, 0.052, 0.051)}
SASREC |= {"relative loss": (0.1, 0.3, 0.2)}
FLAT = {"top eigenvalue": (1, 1.1, 0.95)}
LOSSES = dict.fromkeys(("SAMRec", "SASRec"), "cross-entropy")


def table(**entries):
    """Runs with the measures of SASRec except those that an entry changes."""
    lines = [
        {"entry": entry, **{measure: values[seed] for measure, values in {**SASREC, **other}.items()}}
        for entry, other in {"SASRec": {}, **entries}.items()
        for seed in range(3)
    ]
    return pd.DataFrame(lines)


def compare(runs, **more):
    options = {"meanings": MEANINGS, "losses": LOSSES, "reference": "SASRec", **more}
    return compare_entries(runs, **options)


def test_compare_entries_is_entry_minus_reference():
    found = compare(table(SAMRec=FLAT)).set_index("measure")
    assert list(found.index) == list(MEANINGS) and set(found["entry"]) == {"SAMRec"}
    assert found["difference"]["top eigenvalue"] == pytest.approx(
        np.mean(FLAT["top eigenvalue"]) - np.mean((4, 4.2, 3.9))
    )
    assert found["better"].tolist() == ["lower", "lower", "higher", "lower"]
    assert (found[["runs", "reference_runs"]] == 3).all(axis=None) and set(found["reference"]) == {"SASRec"}


def test_compare_entries_corrects_p_and_marks():
    found = compare(table(SAMRec=FLAT))
    assert found["p_holm"].tolist() == pytest.approx(holm(found["p"].to_numpy()).tolist())
    assert found["mark"].tolist() == [SIGNIFICANT, "", "", ""]
    near = {"top eigenvalue": (3.4, 3.6, 3.5)}
    found = compare(table(SAMRec=near, CL4SRec=near), losses={**LOSSES, "CL4SRec": "cross-entropy"})
    line = found.iloc[0]
    assert line["p"] < 0.05 < line["p_holm"] and line["mark"] == UNCORRECTED


def test_compare_entries_skips_sharpness_of_other_losses():
    found = compare(table(CL4SRec=FLAT), losses={"SASRec": "cross-entropy", "CL4SRec": "its own"}).set_index("measure")
    assert found["mark"].tolist() == [NOT_COMPARABLE] * 2 + [""] * 2
    assert found["difference"].isna().tolist() == [True, True, False, False]


def test_compare_entries_skips_what_did_not_converge():
    runs = table(SAMRec=FLAT)
    runs[CONVERGED + "top eigenvalue"] = [True] * 5 + [False]
    line = compare(runs).iloc[0]
    assert (
        line["mark"] == NOT_CONVERGED and line["difference"] < 0 and math.isnan(line["p"]) and math.isnan(line["low"])
    )


def test_compare_entries_skips_what_was_not_measured():
    runs = table(SAMRec=FLAT, BPR={"adaptive rise": [math.nan] * 3})
    found = compare(runs, losses={**LOSSES, "BPR": "cross-entropy"})
    assert len(found) == 7 and "adaptive rise" not in set(found.loc[found["entry"] == "BPR", "measure"])


def test_compare_entries_of_single_runs_has_no_intervals():
    found = compare(table(SAMRec=FLAT).drop_duplicates("entry"))
    assert found["difference"].notna().all() and (found["mark"] == "").all()
    assert found[["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_compare_entries_needs_its_reference():
    with pytest.raises(ValueError, match="BPR is not among the entries: SASRec, SAMRec"):
        compare(table(SAMRec=FLAT), reference="BPR")
    assert compare(table()).empty


def test_subtract_means_equals_welchs_test_of_scipy():
    mine, other = (1.0, 1.4, 0.9, 1.1), (2.0, 3.5, 2.4)
    found, expected = subtract_means(mine, other), stats.ttest_ind(mine, other, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))


def test_subtract_means_of_equal_and_infinite_values():
    assert subtract_means((2.0, 2.0), (2.0, 2.0)) == (0, 0, 0, 1)
    assert all(map(math.isnan, subtract_means((1.0, math.inf), (1.0, 2.0))))


def test_meaning_rejects_another_kind():
    with pytest.raises(ValueError, match="'flatness' is not a kind of measure"):
        Meaning("flatness")
