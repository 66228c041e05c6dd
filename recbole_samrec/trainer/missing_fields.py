"""One-line errors for columns that a model is trained on and that are missing in its batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from recbole_samrec.utils.errors import ConfigError


@contextlib.contextmanager
def report_missing_field(config: Any) -> Iterator[None]:
    """Convert the error of a model that reads a missing column to one that names the setting.

    Args:
        config: RecBole's configuration.

    Raises:
        ConfigError: The model needs negative items, labels or the column of a file.
    """
    try:
        yield
    except KeyError as error:
        if line := describe_missing_field(config, error.args[0] if error.args else None):
            raise ConfigError(line) from error
        raise


def describe_missing_field(config: Any, field: Any) -> str | None:
    """Describe a column that a model reads and that is missing in its batches; None for unknown columns.

    Args:
        config: RecBole's configuration.
        field: Name of the column.
    """
    model = config["model"]
    if not isinstance(field, str):
        return None
    if field.startswith(config["NEG_PREFIX"]):
        remedy = "leave out train_neg_sample_args=None"
        if config["loss_type"] == "BPR":
            remedy += ", or set loss_type=CE"
        return f"{model} is trained on pairs of an event and a sampled item, and nothing is sampled: {remedy}"
    if field == config["LABEL_FIELD"]:
        return (
            f"{model} is trained on labels, and there are none: leave out train_neg_sample_args=None, or make the "
            f"column {field} from ratings with --threshold=\"{{'rating': 4}}\", and have them loaded by load_col"
        )
    own = (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], config["TIME_FIELD"])
    if field.removesuffix(config["LIST_SUFFIX"]) in own:
        return f"{model} reads the column {field}, which is not loaded: add it to load_col under 'inter'"
    return None
