"""Protocols of a comparison: how events are split and which of them are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recbole.utils import get_model

from recbole_samrec.data.temporal_options import GTS, read_options, set_option
from recbole_samrec.quick_start.build_trainer import serves_unseen_users
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest

_FULL = {"order": "TO", "group_by": "user", "mode": {"valid": "full", "test": "full"}}
LEAVE_ONE_OUT = "loo"
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
            raise ConfigError(f"--protocol={name}: there is no such protocol; {suggest_nearest(name, PROTOCOLS)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--protocol={','.join(names)}: it names a protocol twice")
    if names and "eval_args" in settings:
        raise ConfigError("--protocol and eval_args both choose a split; leave one of them out")
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
