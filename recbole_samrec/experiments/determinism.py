"""Deterministic models: those that are the same with every seed."""

from __future__ import annotations

from recbole.utils import get_model

DETERMINISTIC = ("Pop", "ItemKNN", "AsymKNN", "EASE", "ADMMSLIM")
"""RecBole's models that draw nothing, neither weights nor samples. SLIMElastic and NCEPLRec do draw."""


def is_deterministic(model: str) -> bool:
    """Return True if a model is the same with every seed; classes of users declare ``deterministic = True``."""
    try:
        return model in DETERMINISTIC or bool(getattr(get_model(model), "deterministic", False))
    except (ImportError, ValueError):  # in a user's file, or with a missing package
        return False
