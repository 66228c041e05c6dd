import math

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.tables import (
    COSTS,
    OF_GPU,
    average_costs,
    build_fraction_table,
    build_main_table,
    compare_with_reference,
    compute_gains,
    rank_means,
)
from recbole_samrec.evaluator import statistics
from recbole_samrec.evaluator.user_metrics import ONE_BY_ONE
from tests.helpers.compared import make_clustered, make_run, make_runs


def test_main_table_has_mean_and_sample_deviation_over_seeds():
    runs = [
        make_run(seed=1, rank=(1, 2, 3, 4)),
        make_run(seed=2, rank=(1, 20, 30, 40)),
        make_run("Pop", rank=(6, 7, 8, 99)),
    ]
    table = build_main_table(runs, ["SAMRec", "Pop"])
    assert table["seeds"].tolist() == [2, 1]
    assert table["hr@10_mean"].tolist() == [0.625, 0.75]
    assert table["hr@10_std"]["SAMRec"] == pytest.approx(math.sqrt(2 * 0.375**2 / 1))
    assert np.isnan(table["hr@10_std"]["Pop"])
    assert table["mrr_mean"]["Pop"] == pytest.approx(np.mean([1 / 6, 1 / 7, 1 / 8, 1 / 99]))


def test_main_table_masks_the_history():
    plain, masked = (build_main_table([make_run()], ["SAMRec"], masked=one) for one in (False, True))
    assert (plain["hr@10_mean"]["SAMRec"], masked["hr@10_mean"]["SAMRec"]) == (0.5, 0.75)


def test_main_table_keeps_entries_without_runs():
    table = build_main_table([make_run()], ["SAMRec", "S3Rec"], {"S3Rec": "failed"})
    assert table.loc["S3Rec", ["seeds", "note"]].tolist() == [0, "failed"]
    assert np.isnan(table["hr@10_mean"]["S3Rec"])


def test_main_table_names_the_reference():
    runs = [*make_runs("SAMRec", 22), *make_runs("SASRec", 10)]
    table = build_main_table(runs, ["SAMRec", "SASRec"])
    assert np.isnan(table["reference"]["SAMRec"]) and table["reference"]["SASRec"] == "SAMRec"


def test_rank_means_are_those_of_what_is_shown():
    assert rank_means([0.10004, 0.2, 0.10001, 0.05, float("nan"), 0.2]) == [2, 1, 2, 0, 0, 1]
    assert rank_means([0.1]) == [0]


def test_compute_gains_is_over_the_best_other_entry():
    table = pd.DataFrame({"hr@10_mean": [0.3, 0.2, 0.25]}, index=["SAMRec", "Pop", "SASRec"])
    assert compute_gains(table, "SAMRec", ["hr@10"])["hr@10"] == pytest.approx(20)
    assert np.isnan(compute_gains(table[:1], "SAMRec", ["hr@10"])["hr@10"])


def test_compare_with_reference_is_entry_minus_reference():
    runs = [make_run(seed=1, rank=(1, 30)), make_run(seed=2, rank=(30, 30)), make_run("Pop", rank=(30, 1))]
    line = compare_with_reference(runs, "SAMRec", metrics=["hr@10"]).loc["Pop"]
    assert line["reference"] == "SAMRec"
    assert line["hr@10_difference"] == pytest.approx((1 - 0.5) / 2)  # over users, averaged over each entry's seeds
    assert np.isnan(line["hr@10_p"]) and np.isnan(line["hr@10_low"])  # one seed of Pop, whose model is not recorded


def test_compare_with_reference_leaves_p_uncorrected():
    runs = [*make_runs("SAMRec", 22), *make_runs("SASRec", 21), *make_runs("Pop", 0), *make_runs("Same", 22)]
    table = compare_with_reference(runs, "SAMRec", metrics=["mrr", "hr@10"])
    assert list(table.index) == ["SASRec", "Pop", "Same"]
    assert table[["mrr_p_holm", "hr@10_p_holm"]].isna().all(axis=None)
    assert table["mrr_p"]["Pop"] < 0.05 < table["mrr_p"]["Same"] == 1
    assert (table["mrr_high"][["SASRec", "Pop"]] < 0).all()


def test_compare_with_reference_has_intervals_over_seeds_too():
    runs = [*make_runs("SAMRec", 22, seeds=(1, 2, 5)), *make_runs("SASRec", 21), *make_runs("Pop", 0, seeds=(1,))]
    table = compare_with_reference(runs, "SAMRec", metrics=["mrr"])
    values = {
        entry: np.stack([1 / one.ranks["rank"].to_numpy() for one in runs if one.entry == entry], axis=1)[:, :, None]
        for entry in ("SAMRec", "SASRec")
    }
    low, high = statistics.estimate_over_users_and_seeds(values["SASRec"], values["SAMRec"]).interval()
    ends = ["mrr_low_with_seeds", "mrr_high_with_seeds"]
    assert table.loc["SASRec", ends].astype(float).tolist() == pytest.approx([*low, *high])
    assert table.loc["Pop", [*ends, "mrr_low", "mrr_high", "mrr_mde", "mrr_p"]].isna().all()


def test_compare_with_reference_ignores_the_other_entries():
    runs = [*make_runs("SAMRec", 22), *make_runs("SASRec", 21), *make_runs("Pop", 0)]
    alone = [one for one in runs if one.entry != "Pop"]
    alone, beside = (compare_with_reference(part, "SAMRec", metrics=["mrr"]) for part in (alone, runs))
    for name in ("difference", "low", "high", "low_with_seeds", "high_with_seeds", "mde", "p"):
        assert alone.loc["SASRec", f"mrr_{name}"] == pytest.approx(beside.loc["SASRec", f"mrr_{name}"])


def test_main_table_compares_variants_with_their_bases():
    runs = [*make_runs("SAMRec", 22), *make_runs("GRU4Rec", 10), *make_runs("GRU4Rec+SAM", 12), *make_runs("Pop", 0)]
    variant_of = {"GRU4Rec+SAM": "GRU4Rec", "SAMRec": "Pop", "Pop": "BPR"}  # the last two: said already, not there
    entries = list(dict.fromkeys(one.entry for one in runs))
    table = build_main_table(runs, entries, variant_of=variant_of)
    (line,) = table[table["variant_of"].notna()].index
    pair = [one for one in runs if one.entry.startswith("GRU4Rec")]
    alone = compare_with_reference(pair, "GRU4Rec").loc["GRU4Rec+SAM"].drop("reference")
    shown = table.loc[line].filter(like="variant_").drop("variant_of").rename(lambda name: name.partition("_")[2])
    assert (line, table["variant_of"][line]) == ("GRU4Rec+SAM", "GRU4Rec")
    pd.testing.assert_series_equal(shown.astype(float), alone.astype(float), check_names=False)
    assert shown["mrr_difference"] > 0


def test_main_table_has_no_variants_of_the_reference():
    runs = [*make_runs("SAMRec", 22), *make_runs("SASRec", 10)]
    table = build_main_table(runs, ["SAMRec", "SASRec"], variant_of={"SAMRec": "SASRec"})
    assert not table.filter(like="variant_").columns.size


def test_average_costs():
    of = {"parameters": 7, "seconds_per_epoch": 2.0, "best_epoch": 4, "peak_memory_mb": 100.0}
    spent = {"gradient_passes": 30.0, "cpu_seconds": 8.0}
    other = make_run(seed=2, **(of | {"best_epoch": 6, "peak_memory_mb": 300.0, "cpu_seconds": 9.0}))
    table = average_costs([make_run(**of, **spent), other, make_run("Pop")])
    assert table.loc["SAMRec", list(set(COSTS) - {"gradient_passes"})].notna().all()
    assert np.isnan(table.loc["SAMRec", "gradient_passes"])  # of one seed only
    other.result["gradient_passes"] = 34.0
    table = average_costs([make_run(**of, **spent), other, make_run("Pop")])
    assert table.loc["SAMRec"].tolist() == [7, 2, 12, 32, 8.5, 300]
    assert table.loc["Pop"].isna().all() and list(table.columns) == list(COSTS)
    on_gpu = make_run(seed=3, **of, peak_device_memory_mb=900.0)
    assert average_costs([make_run(**of), on_gpu, other]).loc["SAMRec", OF_GPU] == 900


def test_fraction_table_is_in_the_order_of_entries_and_shares():
    runs = [make_run(entry, fraction=share) for entry in ("Pop", "SAMRec") for share in (1.0, 0.2)]
    table = build_fraction_table(runs, ["SAMRec", "Pop"])
    expected = [[entry, share] for entry in ("SAMRec", "Pop") for share in (0.2, 1.0)]
    assert table[["entry", "fraction"]].to_numpy().tolist() == expected


def test_differences__are_clustered_by_user():
    """Intervals and tests use the means of three users, not six events."""
    runs = [
        make_clustered("A", ONE_BY_ONE),
        make_clustered("A", ONE_BY_ONE, (2, 4, 5, 1, 9, 3), seed=2),
        make_clustered("B", ONE_BY_ONE, (4, 2, 1, 7, 1, 1)),
        make_clustered("B", ONE_BY_ONE, (1, 1, 30, 6, 5, 2), seed=2),
    ]
    of_user = [np.mean([1 / rank for rank in ranks]) for ranks in ((4, 2, 1), (7, 1), (1,))]
    of_user = np.array(of_user) + [np.mean([1 / rank for rank in ranks]) for ranks in ((1, 1, 30), (6, 5), (2,))]
    of_user -= [np.mean([1 / rank for rank in ranks]) for ranks in ((1, 3, 11), (2, 2), (8,))]
    of_user -= [np.mean([1 / rank for rank in ranks]) for ranks in ((2, 4, 5), (1, 9), (3,))]
    table = compare_with_reference(runs, "A", metrics=["mrr"])
    low, high = statistics.estimate_over_users(of_user[:, None] / 2).interval()
    assert table["mrr_difference"]["B"] == pytest.approx(of_user.mean() / 2)
    assert (table["mrr_low"]["B"], table["mrr_high"]["B"]) == pytest.approx((low[0], high[0]))
    assert build_main_table(runs, ["A", "B"])["mrr_mean"].diff()["B"] == pytest.approx(of_user.mean() / 2)
