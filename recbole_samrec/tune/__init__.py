"""Search for settings with Ray Tune: as a command, as a function, or in a tuner of one's own."""

from recbole_samrec.tune.api import objective, search

__all__ = ["objective", "search"]
