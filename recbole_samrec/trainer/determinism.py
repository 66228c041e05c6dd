"""Deterministic algorithms, with which a run on a GPU repeats bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from recbole_samrec.utils.errors import ConfigError

MISSING = " does not have a deterministic implementation"
"""Words with which torch refuses an operation; its name precedes them."""
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
"""Variable that torch names when it refuses a matrix product on a GPU."""


@contextlib.contextmanager
def use_deterministic_algorithms(config: Any) -> Iterator[None]:
    """Use deterministic algorithms in a ``with`` block if the setting ``deterministic`` requests them.

    Args:
        config: RecBole's configuration.

    Raises:
        ConfigError: An operation has no deterministic algorithm on this device.
    """
    if not config["deterministic"]:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if reason := _explain_refusal(str(error)):
            raise ConfigError(f"deterministic=True: {config['model']} cannot be trained: {reason}") from error
        raise
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _explain_refusal(message: str) -> str:
    """Explain an error of torch's about determinism; empty for other errors."""
    operation, found, _ = message.partition(MISSING)
    if found:
        return f"{operation.split()[-1]} has no deterministic algorithm on this device; leave deterministic out"
    if CUBLAS in message:
        return f"set {CUBLAS}=:4096:8 before Python starts, as the process has used the GPU without it"
    return ""
