"""Options of a global temporal split, the value of ``GTS`` in ``eval_args.split``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Literal

from recbole_samrec.utils.errors import ConfigError

GTS = "GTS"
"""RecBole's ``eval_args.split`` has this key for a global temporal split."""

SHARE = 0.9
"""Default of ``quantile`` and, beside a ``cut``, of ``validation_quantile``."""


@dataclass(frozen=True)
class TemporalOptions:
    """Options of a global temporal split.

    Args:
        quantile: Events up to this quantile of all event times are used for training and validation.
        cut: In place of the quantile, the time at which the test begins: a date in UTC, or a number as in the data.
        target: Test targets of a user: the last, the first or a random event of the test, or all successively.
        validation: ``by_time`` validates on the latest events before the test; ``last_train_item`` on each user's last
            event before the test.
        validation_quantile: Quantile for ``by_time`` among the times of the events before the test.
        split_seed: Seed of random targets.
        unseen_users: ``keep`` or ``drop`` users without a training event that has an earlier one, in validation and
            test.
        unseen_items: ``keep`` or ``drop`` items without training events, in histories, targets and candidates.
        retrain: Train again on all events before the test, for the number of epochs that validation chose.
    """

    quantile: float = SHARE
    cut: float | str | None = None
    target: Literal["last", "first", "random", "successive"] = "last"
    validation: Literal["by_time", "last_train_item"] = "by_time"
    validation_quantile: float = SHARE
    split_seed: int = 2020
    unseen_users: Literal["keep", "drop"] = "keep"
    unseen_items: Literal["drop", "keep"] = "drop"
    retrain: bool = False

    @classmethod
    def from_settings(cls, given: Mapping[str, Any] | None) -> TemporalOptions:
        """Complete given options, which have been checked."""
        given = {key: value for key, value in (given or {}).items() if value is not None}
        given.setdefault("validation_quantile", given.get("quantile", SHARE))
        if "cut" in given and not isinstance(given["cut"], (int, float)):
            given["cut"] = str(given["cut"])
        return cls(**given)

    def describe(self) -> str:
        """Describe the split in a line."""
        bound = f"up to the {self.quantile:g} quantile of all times" if self.cut is None else f"before {self.cut}"
        targets = {
            "last": "each user's last later event",
            "first": "each user's first later event",
            "random": f"one of each user's later events, drawn with split_seed {self.split_seed}",
            "successive": "every later event, each predicted from all events before it",
        }[self.target]
        how = {
            "by_time": f"events after the {self.validation_quantile:g} quantile of the earlier ones",
            "last_train_item": "each user's last earlier event",
        }[self.validation]
        again = ", then trained again on all earlier events" if self.retrain else ""
        return (
            f"global temporal: trained on events {bound}, validated on {how}{again}, tested on {targets}; unseen "
            f"users {_SPELLED[self.unseen_users]}, unseen items {_SPELLED[self.unseen_items]}"
        )


_SPELLED = {"keep": "kept", "drop": "dropped"}
NAMES = tuple(field.name for field in fields(TemporalOptions))
"""Names of the options."""


def read_options(eval_args: Mapping[str, Any] | None) -> TemporalOptions | None:
    """Read the options of a global temporal split from RecBole's ``eval_args``; None for other splits."""
    split = (eval_args or {}).get("split")
    return TemporalOptions.from_settings(split[GTS]) if isinstance(split, Mapping) and GTS in split else None


def complete_split(settings: Mapping[str, Any], with_target: bool = True) -> dict[str, Any]:
    """Complete the options of a global temporal split in settings, so that equal splits are equal.

    Args:
        settings: Settings of a run; those of other splits are returned as they are.
        with_target: False to leave out the options that decide the test targets only, without effect on the training.
    """
    evaluation = settings.get("eval_args")
    if not isinstance(evaluation, Mapping) or (options := read_options(evaluation)) is None:
        return dict(settings)
    dropped = set() if with_target else {"target"}
    if not (with_target and options.target == "random"):
        dropped.add("split_seed")
    complete = {name: value for name, value in asdict(options).items() if name not in dropped}
    return {**settings, "eval_args": {**evaluation, "split": {GTS: complete}}}


def set_option(eval_args: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return ``eval_args`` of a global temporal split with an option set."""
    return {**eval_args, "split": {GTS: {**(eval_args["split"][GTS] or {}), name: value}}}


def parse_cut(cut: float | str | date) -> float | datetime:
    """Parse the time of a cut.

    Returns:
        A number as in the data, or a time in UTC.

    Raises:
        ValueError: It is neither a number nor an ISO date.
    """
    if isinstance(cut, (int, float)) and not isinstance(cut, bool):
        return cut
    text = str(cut).strip()
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def check_temporal(config: Any) -> None:
    """Check the settings that depend on a global temporal split.

    Args:
        config: RecBole's configuration.

    Raises:
        ConfigError: Something cannot be used together with it; names the reason.
    """
    mode = config["eval_args"]["mode"]
    check_kind(config["model"], config["MODEL_TYPE"].name)
    reasons = {
        f"benchmark_filename={config['benchmark_filename']}: benchmark files are split already": (
            config["benchmark_filename"] is not None
        ),
        f"dataloaders_save_path={config['dataloaders_save_path']}: loaders in a file are split already; remove it": (
            bool(config["dataloaders_save_path"])
        ),
        "repeatable=False: it hides the items of a user's other parts, which lie after the target; set it to True": (
            config["repeatable"] is False
        ),
        f"mode={mode}: sampled candidates are not supported; use full": set(mode.values()) != {"full"},
        f"order={config['eval_args']['order']}: the split is by time; use TO": config["eval_args"]["order"] != "TO",
        "exact_time_order=False: rounded times cannot be split exactly; leave it out": (
            config["exact_time_order"] is False
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConfigError(f"eval_args: split GTS cannot be used with {reason}")


def check_kind(model: str, kind: str) -> None:
    """Check that models of a kind can be used with a global temporal split.

    Args:
        model: Name of the model.
        kind: Name of its RecBole ``ModelType``.

    Raises:
        ConfigError: They cannot.
    """
    if kind in _KINDS:
        raise ConfigError(
            f"eval_args: split GTS cannot be used with {model}: it is a {_KINDS[kind]} model, whose data RecBole "
            "prepares in its own way; use a general or a sequential model"
        )


_KINDS = {"KNOWLEDGE": "knowledge", "CONTEXT": "context", "DECISIONTREE": "tree"}
