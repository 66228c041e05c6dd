"""Made-up measurements of sharpness, for tests of their tables and figures."""

import math

import numpy as np
import pandas as pd

from recbole_samrec.sharpness.figures import CHANGES
from recbole_samrec.sharpness.measure import QUICK, Measured

NASTY = "<script>alert(1)</script> $x_1$"
RHOS, ADAPTIVE_RHOS, STEPS = np.array(QUICK.rhos), np.array(QUICK.adaptive_rhos), np.linspace(-1, 1, 5)
NO_WAYS = pd.DataFrame(columns=["first", "second", "position", "loss"])


def make_table(levels, metric, draws=2, **columns):
    """A metric that decreases by the level's share, in the first draw slightly more and in the second slightly less."""
    lines = [
        {**columns, "level": level, "draw": draw, "ndcg@10": metric * (1 - level + 0.01 * (2 * draw - 1) * level)}
        for level in levels
        for draw in range(draws if level else 1)
    ]
    return pd.DataFrame(lines)


def make_measured(label, seed, sharp=1.0, *, converged=True, reads=True, model="SAMRec", metric=0.05, **record):
    """A run whose measures of sharpness are all proportional to ``sharp``; its surface is a bowl."""
    grid, bowl = np.linspace(-1, 5, 101), STEPS[:, None] ** 2 + STEPS**2
    curvature = {
        "loss": 5.0, "values": sharp * np.array([4.0, 2.0, 1.0]), "residuals": np.full(3, 1e-6),
        "converged": np.array([converged, True, True]), "trace": np.array([100 * sharp, 2.0, 8]), "grid": grid,
        "density": np.exp(-(grid**2) / sharp), "negative": np.array([0.3, math.nan, 1]), "negative_converged": True,
        "lowest": np.array([-0.5, 0.01]), "lowest_converged": True, "products": 73,
    }  # fmt: skip
    sharpness = {
        "rhos": RHOS, "adaptive_rhos": ADAPTIVE_RHOS, "ascent": sharp * RHOS, "random_worst": sharp * RHOS**2,
        "adaptive_ascent": sharp * ADAPTIVE_RHOS, "adaptive_worst": 2 * sharp * ADAPTIVE_RHOS, "gradient": sharp / 5,
        "adaptive_gradient": sharp / 10, "targets": 320, "loss": 5.1, "random_mean": sharp * RHOS**2 / 2,
        "random_error": sharp * RHOS**2 / 10,
    }  # fmt: skip
    parts = {
        "curvature": {name: np.asarray(value) for name, value in curvature.items()},
        "sharpness": {name: np.asarray(value) for name, value in sharpness.items()},
        "line": {"x": STEPS, "loss": 5 + sharp * STEPS**2},
        "surface": {"x": STEPS, "y": STEPS, "loss": 5 + sharp * bowl},
    }
    changes = [make_table((0.0, 0.2, 0.4), metric, change=change) for change in CHANGES] if reads else [pd.DataFrame()]
    config = {"model": model, "loss_type": "CE", "training": "packed", "valid_metric": "NDCG@10"}
    whole = {
        "model": model,
        "config": config,
        "test": {"ndcg@10": metric},
        "parameters": 1000,
        "best_epoch": 3,
        **record,
    }
    name = f"{label}, seed {seed}"
    return Measured(
        name, label, seed, parts, make_table((0.0, 0.1, 0.2, 0.4), metric), pd.concat(changes), whole, (64, 640)
    )


def make_history(missed=()):
    return [
        {"epoch": epoch, "top_eigenvalue": 1.0 + epoch, "converged": epoch not in missed, "ascent_rise": 0.1,
         "rho": 0.3, "gradient_norm": 0.5}
        for epoch in (0, 4)
    ]  # fmt: skip
