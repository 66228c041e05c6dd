"""A global temporal split computed by pandas, one user at a time, according to its documentation."""

import numpy as np
import pandas as pd


def tied_events(seed=0, users=40, items=25, days=30, most=12):
    """A frame of random events in random order, most of whose times occur several times, also within a user."""
    draw = np.random.default_rng(seed)
    lines = []
    for user in range(users):
        start = draw.integers(0, days)
        for _ in range(draw.integers(1, most)):
            lines.append((user, draw.integers(0, items), draw.integers(start, days)))
    frame = pd.DataFrame(lines, columns=["user", "item", "time"]).sample(frac=1, random_state=seed)
    return frame.reset_index(drop=True).assign(time=lambda one: 1_500_000_000 + 86_400 * one["time"])


def split_by_pandas(frame, options, drawn=None):
    """Split a frame with the columns user, item and time, in the order of a file.

    Returns:
        ``train``, the rows that are trained on; ``valid`` and ``test``, for each target's row the rows before it, in
        order; ``candidates``, the items that are ranked.
    """
    if options.cut is not None:
        early, late = frame[frame["time"] < options.cut], frame[frame["time"] >= options.cut]
    else:
        bound = frame["time"].quantile(options.quantile)
        early, late = frame[frame["time"] <= bound], frame[frame["time"] > bound]
    counts = early.groupby("user").size()
    several = early["user"].isin(counts[counts > 1].index)
    if options.validation == "by_time":
        held = early[early["time"] > early["time"].quantile(options.validation_quantile)]
    else:
        held = early.sort_values("time", kind="stable").groupby("user").tail(1)
    train = early[several & ~early.index.isin(held.index)]
    candidates = set(train["item"] if options.unseen_items == "drop" else frame["item"])
    known = frame[frame["item"].isin(candidates)]
    if options.unseen_users == "drop":
        events = train.groupby("user").size()
        known = known[known["user"].isin(events[events > 1].index)]
    return {
        "train": sorted(train.index),
        "valid": _find_targets(known[known.index.isin(early.index)], held.index, "last"),
        "test": _find_targets(known, late.index, options.target, drawn),
        "candidates": candidates,
    }


def _find_targets(known, predicted, target, drawn=None):
    found = {}
    for user, events in known.sort_values("time", kind="stable").groupby("user"):
        rows = list(events.index)
        places = [place for place, row in enumerate(rows) if place and row in predicted]
        if places and target == "random":
            places = [places[int(drawn[user] * len(places))]]
        elif places and target != "successive":
            places = [places[0 if target == "first" else -1]]
        found |= {rows[place]: rows[:place] for place in places}
    return found
