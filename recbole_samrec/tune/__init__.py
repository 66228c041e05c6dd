"""Searches of settings with Ray Tune: as a command, as a function, or in your own tuner."""

from recbole_samrec.tune.api import objective, resume_search, search

__all__ = ["objective", "resume_search", "search"]
