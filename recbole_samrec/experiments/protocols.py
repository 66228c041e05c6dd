"""Protocols of a comparison: how events are split and which of them are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recbole.utils import ModelType, get_model

from recbole_samrec.data.temporal_options import GTS, read_options, set_option
from recbole_samrec.quick_start.build_trainer import serves_unseen_users
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest

_FULL = {"order": "TO", "group_by": "user", "mode": {"valid": "full", "test": "full"}}
LEAVE_ONE_OUT = "loo"
ALIKE = 4
"""Number of events of a user from which leave-one-out holds out the same events for all models."""
PROTOCOLS: dict[str, dict[str, Any]] = {
    LEAVE_ONE_OUT: {"split": {"LS": "valid_and_test"}, **_FULL},
    **{
        f"gts-{target}": {"split": {GTS: {"quantile": 0.9, "target": target, "validation": "by_time"}}, **_FULL}
        for target in ("last", "first", "random", "successive")
    },
}
"""``eval_args`` by the name of a protocol."""


def check_protocols(names: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Check the names of protocols, and that no setting requests another one.

    Args:
        names: The names; none to compare under the settings' own ``eval_args``.
        settings: Settings of the user for all entries.

    Raises:
        ConfigError: A name is unknown or given twice, or there are ``eval_args`` among the settings.
    """
    for name in names:
        if name not in PROTOCOLS:
            raise ConfigError(f"--protocol={name}: unknown protocol; {suggest_nearest(name, PROTOCOLS)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--protocol={','.join(names)}: a protocol is listed twice; list each once")
    if names and "eval_args" in settings:
        raise ConfigError("--protocol and eval_args both choose a split; remove one of them")
    return list(names)


def align_unseen_users(settings: Mapping[str, dict[str, Any]]) -> list[str]:
    """Drop the users without training events for all entries if the model of one cannot serve them.

    Args:
        settings: Settings of each entry on a data set, changed in place.

    Returns:
        The entries that cannot serve them, where such users were to be kept.
    """
    keeping = [one for one in settings.values() if _keeps_unseen(one.get("eval_args"))]
    unable = [name for name, one in settings.items() if one in keeping and not _serves(one["model"])]
    for one in keeping if unable else ():
        one["eval_args"] = set_option(one["eval_args"], "unseen_users", "drop")
    return unable


def _keeps_unseen(eval_args: Any) -> bool:
    options = read_options(eval_args) if isinstance(eval_args, Mapping) else None
    return options is not None and options.unseen_users == "keep"


def _serves(model: str) -> bool:
    return serves_unseen_users(get_model(model))


def describe_unable(unable: Iterable[str], dataset: str) -> str:
    """Describe the reason for dropping users without training events."""
    return (
        f"{dataset}: users without training events are dropped for all entries, as {', '.join(unable)} cannot rank for "
        "them"
    )


def list_general(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the entries with general models and a leave-one-out split, if other entries have sequential models.

    On data whose users have few events, RecBole holds out other events for them than for sequential models.

    Args:
        settings: The complete settings of each entry on a data set.
    """
    kinds = {name: get_model(one["model"]).type == ModelType.SEQUENTIAL for name, one in settings.items()}
    if not any(kinds.values()):
        return []
    return [name for name, is_sequential in kinds.items() if not is_sequential and _leaves_one_out(settings[name])]


def _leaves_one_out(settings: Mapping[str, Any]) -> bool:
    split = (settings.get("eval_args") or {}).get("split") or {}
    return "LS" in split and not settings.get("benchmark_filename")  # such files are split already


def describe_aligned(general: Iterable[str], dataset: str) -> str:
    """Describe the reason for holding out the same events for general models as for sequential ones."""
    return (
        f"{dataset}: some users have fewer than {ALIKE} events, of which leave-one-out holds out others for general "
        f"models; {', '.join(general)} get the targets of sequential models (sequential_targets)"
    )
