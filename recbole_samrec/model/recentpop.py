"""RecentPop: the most popular items of the last days of the training data."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.data.temporal_split import UNITS
from recbole_samrec.model.counted_base import CountedBase
from recbole_samrec.utils.errors import ConfigError, DataError

UNITS_OF_DAY = {"s": 86400, "ms": 86400 * 10**3, "us": 86400 * 10**6, "ns": 86400 * 10**9, "day": 1}
"""Number of units of each kind in a day."""
LONGEST = 100 * 365
"""Days that training events may span; more are taken for a wrong unit."""
UNIX_UNITS = dict(zip(("s", "ms", "us", "ns"), (lowest for lowest, _ in UNITS.values()), strict=True))
"""The smallest Unix time in each unit."""


class RecentPop(CountedBase):
    """Popularity among the last training events, the same for all users (Ji et al. 2020, arXiv 2005.13829).

    ``recency: window`` counts an item's training events of the last ``recent_days`` before the last training event,
    both ends included; items without one have the score 0, and are ranked in any order. ``recency: decay`` adds
    ``0.5 ** (age / recent_days)`` for every training event, where its age is the time in days to the last training
    event. Each event counts, also repeated ones of a user.

    Departures from the paper: it measures popularity at the time of each test event; here the window ends with the
    training data, so that no event of validation or test counts, and the decay is a half-life. Times are those that
    RecBole's data set holds, which are rounded to single precision: to 128 seconds for Unix times of today.

    Raises:
        ConfigError: The time is not loaded, or does not fit ``time_unit``.
    """

    popularity: Tensor
    reads_times = True
    """Read by the configuration: the column of times is loaded for any split."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        field = dataset.time_field
        if field is None or field not in dataset.inter_feat:
            raise ConfigError(
                f"RecentPop needs the times of events, but {dataset.dataset_name} is loaded without them; add "
                f"{config['TIME_FIELD']} to load_col, or leave load_col out and use eval_args order TO"
            )
        items, times = (dataset.inter_feat[name].cpu().numpy() for name in (dataset.iid_field, field))
        ages = compute_ages(times, config["time_unit"], dataset.dataset_name)
        if config["recency"] == "window" and ages.max() <= config["recent_days"]:
            getLogger().warning(
                f"RecentPop: all training events of {dataset.dataset_name} are within {config['recent_days']:g} days, "
                "so it ranks as Pop does; lower recent_days, or set time_unit to the unit of its times"
            )
        weights = weigh_events(ages, config["recency"], config["recent_days"])
        counts = np.bincount(items, weights, minlength=self.n_items)
        self.register_buffer("popularity", torch.from_numpy(counts).float())

    def predict(self, interaction: Any) -> Tensor:
        """Score the items of pairs of user and item, shape ``[B]``."""
        return self.popularity[interaction[self.ITEM_ID]]

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Score all items for each user, shape ``[B * items]``."""
        return self.popularity.repeat(len(interaction[self.USER_ID]))


def compute_ages(times: np.ndarray, unit: str, name: str) -> np.ndarray:
    """Compute the days from each event to the last one.

    Args:
        times: Times of the training events, shape ``[N]``.
        unit: Their unit, one of :data:`UNITS_OF_DAY`.
        name: Name of the data set, for messages.

    Raises:
        ConfigError: They are Unix times in another unit, or span too many years for the unit to be right.
        DataError: A time is missing.
    """
    times = times.astype(np.float64)
    if not np.isfinite(times).all():
        raise DataError(f"RecentPop: some training events of {name} have no time; fill the column of times")
    if (shown := find_other_unit(times.min(), times.max(), unit)) is not None:
        raise ConfigError(
            f"time_unit={unit}: the training events of {name} end at {times.max():.0f}, which is a Unix time in "
            f"{shown}; set time_unit to {shown}"
        )
    ages = (times.max() - times) / UNITS_OF_DAY[unit]
    if ages.max() > LONGEST:
        raise ConfigError(
            f"time_unit={unit}: the training events of {name} would span {ages.max() / 365:,.0f} years; choose another "
            f"of {', '.join(UNITS_OF_DAY)}"
        )
    return np.asarray(ages)


def find_other_unit(first: float, last: float, unit: str) -> str | None:
    """Find the unit that times are in, if it is not the given one.

    Args:
        first: The first time.
        last: The last time.
        unit: The given unit, one of :data:`UNITS_OF_DAY`.

    Returns:
        A finer unit if the last time is too large for the given one; a coarser one if also the first time is too large
        to be counted from the beginning of the data; else None.
    """
    shown = next((each for each in reversed(UNIX_UNITS) if last >= UNIX_UNITS[each]), unit)
    finer = UNITS_OF_DAY[shown] > UNITS_OF_DAY[unit]
    return shown if finer or (shown != unit and first >= UNIX_UNITS["s"]) else None


def weigh_events(ages: np.ndarray, recency: str, days: float) -> np.ndarray:
    """Compute the weight of each event.

    Args:
        ages: Days to the last event, shape ``[N]``.
        recency: ``window`` or ``decay``.
        days: Days of the window, or half-life.
    """
    return (ages <= days).astype(np.float64) if recency == "window" else 0.5 ** (ages / days)
