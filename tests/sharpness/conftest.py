"""Made-up measurements and their figures, for the tests of the report."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.sharpness.figures import draw_figures
from tests.helpers.sharpness_runs import NASTY, make_history, make_measured


@pytest.fixture(scope="session")
def runs():
    """Two entries with three seeds each; one top eigenvalue has not converged, one corner is not finite."""
    sharp = [
        make_measured("SASRec", seed, value, metric=0.05, sharpness=make_history())
        for seed, value in enumerate((1.0, 1.2, 1.4))
    ]
    flat = [
        make_measured(NASTY, seed, value, converged=seed != 1, metric=0.06)
        for seed, value in enumerate((0.4, 0.5, 0.6))
    ]
    sharp[0].parts["surface"]["loss"][0, 0] = np.inf
    flat[0].record["sharpness"] = make_history(missed=(4,))
    return sharp + flat


@pytest.fixture(scope="session")
def between(runs):
    way = {
        "first": runs[0].name,
        "second": runs[4].name,
        "position": np.linspace(0, 1, 5),
        "loss": [5, 6, 7, 6, np.inf],
    }
    return pd.DataFrame(way)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def drawn(runs, between, folder):
    return {one.name: one for one in draw_figures(runs, between, folder / "figures")}
