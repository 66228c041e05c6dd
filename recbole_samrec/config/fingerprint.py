"""Hashes that identify runs by their settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from recbole_samrec.config.schema import collect_model_settings, upgrade_settings
from recbole_samrec.utils.settings import DERIVED, OF_ONE_RUN


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Hash the settings that determine a result; runs with equal results have equal hashes.

    A setting of ours with its default is treated as missing, so that hashes do not change when a later revision adds
    settings. Names of earlier revisions are mapped to present ones.

    Args:
        settings: All settings of a run.
    """
    settings = upgrade_settings(settings)
    ours = collect_model_settings(str(settings.get("model")))
    chosen = {
        key: value
        for key, value in settings.items()
        if key not in OF_ONE_RUN | DERIVED and not (key in ours and value == ours[key].default)
    }
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()[:16]
