"""Made-up tables of trials."""

import numpy as np
import pandas as pd

from recbole_samrec.config.parameters import Parameter

RATE, DROPOUT = Parameter("learning_rate", "loguniform"), Parameter("hidden_dropout_prob", "uniform")
LAYERS, ALWAYS = Parameter("n_layers", "choice", (1, 2)), Parameter("loss_type", "choice", ("CE",))

NASTY = "<script>alert(1)</script>"
ACT = Parameter("hidden_act", "choice", ("relu", "gelu"))
LISTS = Parameter("augs", "choice", (["crop"], ["crop", "mask"]))
PARAMETERS = [RATE, DROPOUT, LAYERS, ALWAYS, ACT, LISTS, Parameter(NASTY, "uniform")]


def trials(number: int = 24, seed: int = 0) -> pd.DataFrame:
    """Random trials whose score is the logarithm of the rate."""
    draw = np.random.default_rng(seed)
    rate = 10 ** draw.uniform(-4, -2, number)
    return pd.DataFrame(
        {
            "trial": range(number),
            "status": ["stopped early" if one % 3 == 2 else "finished" for one in range(number)],
            "score": 0.1 + np.log10(rate) / 100,
            "epochs": 5,
            "seconds": 30.0,
            "ended": 30.0 * np.arange(1, number + 1),
            "reason": "",
            "learning_rate": rate,
            "hidden_dropout_prob": draw.uniform(0, 0.5, number),
            "n_layers": draw.integers(1, 3, number),
            "loss_type": "CE",
            "hidden_act": draw.choice(["relu", "gelu"], number),
            "augs": [["crop"] if one else ["crop", "mask"] for one in draw.integers(0, 2, number)],
            NASTY: draw.uniform(0, 1, number),
        }
    )


def failed(table: pd.DataFrame, *numbers: int) -> pd.DataFrame:
    table.loc[list(numbers), "status"] = "failed"
    table.loc[list(numbers), "score"] = np.nan
    table.loc[list(numbers), "reason"] = f"the loss is nan {NASTY}"
    return table
