"""What RecBole, torch and pandas say of settings and data that they do not take, in one line for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from recbole_samrec.utils.errors import ConfigError, UserError

RECBOLE_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    ImportError,
    NotImplementedError,
    RuntimeError,
)
"""What RecBole, torch and pandas raise at settings and data that they do not take."""

REMEDIES = {
    "Full sort evaluation": "set 'mode': 'labeled' or 'uni100' in eval_args, or rank with metrics such as NDCG",
    "feat is empty": "the filters leave nothing; loosen user_inter_num_interval, item_inter_num_interval, val_interval",
    "number of attention heads": "change n_heads or hidden_size",
}
"""What to do about messages of RecBole that do not say it."""


@contextmanager
def raise_as_user_error(what: str, config: Any) -> Iterator[None]:
    """Turn what RecBole, torch and pandas raise into an error that is told in one line.

    Raises:
        UserError: In place of any of :data:`RECBOLE_ERRORS`.
    """
    try:
        yield
    except UserError:
        raise
    except RECBOLE_ERRORS as error:
        raise ConfigError(f"{what}: {describe_error(error, config.final_config_dict)}") from error


def describe_error(error: BaseException, settings: Mapping[str, Any]) -> str:
    """An exception's message in one line; a bare key error names the setting that the key came from."""
    words = " ".join(str(error).split())
    remedy = next((remedy for part, remedy in REMEDIES.items() if part in words), None)
    if remedy:
        return f"{words.rstrip('.!')}; {remedy}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"it needs the package {error.name}; install it with: pip install {error.name}"
    if isinstance(error, KeyError):
        words = str(error.args[0]) if error.args else ""
        sources = [f"{key}={value}" for key, value in settings.items() if isinstance(value, str) and value == words]
        return f"{sources[0]} is not known" if sources else f"{words} is missing or not known"
    if not words or isinstance(error, (TypeError, AttributeError, ArithmeticError, AssertionError)):
        return f"{type(error).__name__} {words}".strip() + "; --debug shows where"
    return words
