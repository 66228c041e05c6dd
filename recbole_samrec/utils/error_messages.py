"""One-line messages for the errors that RecBole, torch and pandas raise at wrong settings and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from recbole_samrec.utils.errors import ConfigError, UserError
from recbole_samrec.utils.installer import make_install_command

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
"""Errors that RecBole, torch and pandas raise at wrong settings and data."""

REMEDIES = {
    "Full sort evaluation": "set 'mode': 'labeled' or 'uni100' in eval_args, or rank with metrics such as NDCG",
    "feat is empty": "the filters leave nothing; loosen user_inter_num_interval, item_inter_num_interval, val_interval",
    "sampling distribution [none]": "the model is trained with sampled items; leave out train_neg_sample_args=None",
    "number of attention heads": "change n_heads or hidden_size",
}
"""Remedies for messages of RecBole that do not name one."""

DISTRIBUTIONS = {"faiss": "faiss-cpu"}
"""Names under which packages are installed, where they differ from those under which they are imported."""


@contextmanager
def raise_as_user_error(what: str, config: Any) -> Iterator[None]:
    """Convert errors of RecBole, torch and pandas to errors that are shown in one line.

    Raises:
        UserError: In place of any of :data:`RECBOLE_ERRORS`.
    """
    try:
        yield
    except UserError:
        raise
    except RECBOLE_ERRORS as error:
        raise ConfigError(f"{what}: {describe_error(error, config.final_config_dict)}") from error


@contextmanager
def report_missing_package(model: str) -> Iterator[None]:
    """Convert the error of a model that imports a missing package in its training, as some of RecBole's do.

    Raises:
        ConfigError: Names the package and the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"--model={model}: {describe_error(error, {})}") from error


def describe_error(error: BaseException, settings: Mapping[str, Any]) -> str:
    """Describe an exception in one line; for a bare key error, name the setting that the key came from."""
    words = " ".join(str(error).split())
    remedy = next((remedy for part, remedy in REMEDIES.items() if part in words), None)
    if remedy:
        return f"{words.rstrip('.!')}; {remedy}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        distribution = DISTRIBUTIONS.get(error.name, error.name)
        return f"requires the package {error.name}; install it with: {make_install_command(distribution)}"
    if isinstance(error, KeyError):
        words = str(error.args[0]) if error.args else ""
        sources = [f"{key}={value}" for key, value in settings.items() if isinstance(value, str) and value == words]
        return f"{sources[0]} is unknown" if sources else f"{words} is missing or unknown"
    if not words or isinstance(error, (TypeError, AttributeError, ArithmeticError, AssertionError)):
        return f"{type(error).__name__} {words}".strip() + "; --debug shows where"
    return words
