"""Mixed precision: the dtype of autocast, and scaling of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from recbole_samrec.utils.errors import ConfigError

DTYPES = {
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}
"""Types of ``amp_dtype`` by their names."""


@dataclass(frozen=True)
class Precision:
    """Number formats of a run.

    Args:
        dtype: Type that autocast computes in; None leaves torch's default, which is read in mixed precision only.
        is_scaled: Whether the loss is scaled, so that gradients of half precision do not vanish.
        remark: What a user should know about it; empty without mixed precision.
        is_risky: Whether the remark is a warning.
    """

    dtype: torch.dtype | None
    is_scaled: bool
    remark: str = ""
    is_risky: bool = False


def choose_precision(config: Any, device: torch.device) -> Precision:
    """Choose the number formats of a run from its settings and its device.

    Args:
        config: RecBole's configuration, of which ``enable_amp``, ``amp_dtype``, ``enable_scaler`` and ``fp16_scaler``
            are read.
        device: Device of the run.

    Raises:
        ConfigError: ``amp_dtype`` is not a dtype of autocast.
    """
    dtype, is_scaled = parse_dtype(config["amp_dtype"]), bool(config["enable_scaler"])
    if not config["enable_amp"]:
        return Precision(dtype, is_scaled)
    dtype = dtype or find_native_dtype(device)
    is_half = dtype == torch.float16
    is_scaled = is_scaled or (is_half and config["fp16_scaler"] is not False)
    name = str(dtype).removeprefix("torch.")
    if is_half and not is_scaled:
        words = "gradients below 6e-8 become zero, and some below 6e-5 are inexact; leave fp16_scaler out to scale them"
        return Precision(dtype, False, f"fp16_scaler=False: {words}", is_risky=True)
    return Precision(dtype, is_scaled, f"mixed precision: {name}, {'scaled' if is_scaled else 'unscaled'} gradients")


def parse_dtype(name: str | None) -> torch.dtype | None:
    """Return the dtype for a value of ``amp_dtype``; None without a value.

    Raises:
        ConfigError: It is not ``bfloat16`` or ``float16``.
    """
    if name is not None and name not in DTYPES:
        raise ConfigError(f"amp_dtype={name}: choose bfloat16 or float16")
    return None if name is None else DTYPES[name]


def find_native_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if the GPU supports it without emulation, else float16; on a CPU torch's choice."""
    if device.type != "cuda":
        return torch.get_autocast_dtype(device.type)
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
