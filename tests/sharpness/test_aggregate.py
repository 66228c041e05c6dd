import math

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.sharpness.aggregate import (
    average_measures,
    compute_interval,
    list_lines,
    list_meanings,
    list_runs,
)
from recbole_samrec.sharpness.measure import Measured
from recbole_samrec.utils.errors import DataError
from tests.helpers.sharpness_runs import NASTY, make_measured


def line_of(runs, label, measure):
    found = average_measures(runs)
    (line,) = found[(found["entry"] == label) & (found["measure"] == measure)].to_dict("records")
    return line


def test_average_measures_has_means_and_intervals(runs):
    """Traces 100, 120, 140: mean 120, deviation 20; 4.3027 is the 97.5 % quantile of t with two degrees of freedom."""
    line = line_of(runs, "SASRec", "trace")
    half = 4.302652729911275 * 20 / math.sqrt(3)
    assert (line["value"], line["runs"]) == (pytest.approx(120), 3)
    assert (line["low"], line["high"]) == (pytest.approx(120 - half), pytest.approx(120 + half))


def test_average_measures_of_one_run():
    """Of 8 probes with a standard error of 2; 2.3646 is the 97.5 % quantile of t with 7 degrees of freedom, 12.7062
    with one: the two draws at noise 0.2 lose 0.202 and 0.198, so that their standard error is 0.002."""
    runs = [make_measured("SASRec", 1, 1.5)]
    line = line_of(runs, "SASRec", "top eigenvalue")
    assert line["value"] == line["low"] == line["high"] == 6
    line = line_of(runs, "SASRec", "trace")
    assert (line["value"], line["low"], line["high"]) == pytest.approx((150, 150 - 4.729248, 150 + 4.729248))
    line = line_of(runs, "SASRec", "relative loss of NDCG@10 at noise 0.2")
    assert (line["low"], line["high"]) == pytest.approx((0.2 - 0.002 * 12.706205, 0.2 + 0.002 * 12.706205))
    line = line_of(runs, "SASRec", "negative share of the absolute curvature")
    assert line["low"] == line["high"] == 0.3  # a single probe tells nothing of its error


def test_average_measures_is_no_narrower_than_estimates():
    runs = [make_measured("SASRec", seed, 1 + 1e-4 * seed) for seed in range(3)]
    line = line_of(runs, "SASRec", "trace")
    assert line["high"] - line["low"] == pytest.approx(2 * 4.729248)
    assert compute_interval([1.0, 3.0], [0.1, 0.1]) == compute_interval([1.0, 3.0])


def test_average_measures_has_convergence_of_each_measure():
    run = make_measured("SASRec", 1)
    run.parts["curvature"]["negative_converged"] = np.asarray(False)
    assert not line_of([run], "SASRec", "negative share of the absolute curvature")["converged"]
    assert line_of([run], "SASRec", "lowest eigenvalue over the top one")["converged"]
    assert line_of([run], "SASRec", "top eigenvalue")["converged"]


def test_list_runs_takes_measures_at_their_levels(runs):
    expected = {
        "top eigenvalue": 4.0,
        "rise after SAM's step at rho 0.1": 0.1,
        "worst rise in random directions at rho 1": 1.0,
        "mean rise in random directions at rho 1": 0.5,
        "rise beyond the slope at rho 0.1": 0.08,
        "negative share of the absolute curvature": 0.3,
        "lowest eigenvalue over the top one": -0.5,
        "rise after the adaptive step at rho 1": 1.0,
        "worst adaptive rise at rho 1": 2.0,
        "NDCG@10 on test": 0.05,
        "relative loss of NDCG@10 at noise 0.2": 0.2,  # 0.202 and 0.198 in the two draws
        "relative loss of NDCG@10 with 40 % of the events dropped": 0.4,
    }
    first = list_runs(runs).iloc[0]
    assert {name: first[name] for name in expected} == pytest.approx(expected)


def test_list_lines_has_every_point_of_every_run(runs):
    lines = list_lines(runs)
    assert list(lines) == ["run", "entry", "seed", "position", "loss"]
    assert list(lines["run"].unique()) == [run.name for run in runs]
    last = lines[lines["run"] == runs[-1].name]
    np.testing.assert_array_equal(last["position"], runs[-1].parts["line"]["x"])
    np.testing.assert_array_equal(last["loss"], runs[-1].parts["line"]["loss"])


def test_average_measures_needs_every_seed_to_converge(runs):
    assert line_of(runs, "SASRec", "top eigenvalue")["converged"]
    assert not line_of(runs, NASTY, "top eigenvalue")["converged"]
    assert line_of(runs, NASTY, "trace")["converged"]


def test_list_meanings_has_every_kind(runs):
    kinds = [meaning.kind for meaning in list_meanings(runs).values()]
    assert list(dict.fromkeys(kinds)) == ["sharpness", "adaptive sharpness", "accuracy", "robustness"]
    assert set(list_meanings(runs)) <= set(average_measures(runs)["measure"])


def test_list_meanings_of_other_metrics():
    """Of an error metric, more is worse, and so is a rise under noise."""
    run = make_measured("BPR", 1)
    noise = pd.DataFrame({"level": [0.0, 0.1], "draw": [0, 0], "rmse": [2.0, 3.0]})
    record = {**run.record, "test": {"rmse": 2.0}, "config": {"valid_metric": "RMSE"}}
    run = Measured(run.name, run.label, 1, run.parts, noise, pd.DataFrame(), record, run.targets)
    assert list_runs([run])["relative loss of RMSE at noise 0.1"].item() == pytest.approx(0.5)
    assert list_meanings([run])["RMSE on test"].smaller_is_better
    with pytest.raises(DataError, match="no test metric in common"):
        average_measures([run, make_measured("SASRec", 1)])


def test_average_measures_has_the_rise_beyond_the_slope():
    """The rise at rho 0.1 is 0.1, of which rho times the gradient's norm is 0.02 here and 0.09 there."""
    curved, straight = make_measured("SASRec", 1), make_measured("SAMRec", 1)
    straight.parts["sharpness"]["gradient"] = np.asarray(0.9)
    runs = [curved, straight]
    for run, beyond in ((curved, 0.08), (straight, 0.01)):
        assert line_of(runs, run.label, "rise beyond the slope at rho 0.1")["value"] == pytest.approx(beyond)
    shares = list_runs(runs)["share of the slope in the rise after SAM's step at rho 0.1"]
    assert shares.tolist() == pytest.approx([0.2, 0.9])
    assert list_meanings(runs)["rise beyond the slope at rho 0.1"].kind == "sharpness"
