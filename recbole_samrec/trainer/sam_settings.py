"""SAM's options from RecBole's configuration."""

from __future__ import annotations

from typing import Any

from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.utils.errors import ConfigError

KEYS = {
    "rho": "sam_rho",
    "variant": "sam_variant",
    "eta": "sam_eta",
    "exclude": "sam_exclude",
    "params": "sam_params",
    "start": "sam_start",
    "schedule": "sam_rho_schedule",
    "rho_from": "sam_rho_from",
    "rho_epochs": "sam_rho_epochs",
    "item_rho": "sam_item_rho",
    "momentum": "sam_momentum",
    "gsam_alpha": "gsam_alpha",
    "fsam_sigma": "fsam_sigma",
    "looksam_k": "looksam_k",
    "looksam_alpha": "looksam_alpha",
    "seed": "seed",
}
"""SAM's options and the settings that they come from."""
WHOLE = ("looksam_k", "seed")
"""Options that are whole numbers."""


def read_sam_settings(config: Any) -> SAMSettings:
    """Read SAM's options; None stands for the default.

    Args:
        config: RecBole's configuration, whose types and ranges were checked when it was built.

    Raises:
        ConfigError: SAM would start in the middle of an epoch, or never.
    """
    given = {name: config[key] for name, key in KEYS.items() if config[key] is not None}
    given |= {name: float(value) for name, value in given.items() if name not in WHOLE and isinstance(value, int)}
    for name in ("exclude", "params"):
        if name in given:
            given[name] = (given[name],) if isinstance(given[name], str) else tuple(given[name])
    if given.get("params") in ((), ("all",), ("norm",), ("embedding",)):
        given["params"] = (*given["params"], "all")[0]
    if config["train_stage"] == "both" and config["sam_stage"] == "pretraining":
        given["rho"] = 0.0  # this is the fine-tuning: the pre-training has its own configuration
    given["start"] = _plain_epochs(config) if given.get("rho") else 0.0
    return SAMSettings(**given)


def _plain_epochs(config: Any) -> float:
    """Return the number of epochs before SAM, which is given as a number or as a fraction of all epochs."""
    start = config["sam_start"] or 0.0
    epochs = config["pretrain_epochs" if "pretrain" in str(config["train_stage"]) else "epochs"]
    if start >= 1 and start % 1:
        raise ConfigError(f"sam_start={start}: must be a whole number of epochs, or a share of them below 1")
    if start >= 1 and epochs is not None and start >= epochs:
        raise ConfigError(f"sam_start={start:.0f}: SAM would never start, there are {epochs} epochs; lower sam_start")
    return start if start >= 1 or not start else start * epochs
