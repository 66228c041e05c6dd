"""Options of weight averaging: which weights are averaged."""

from __future__ import annotations

from dataclasses import dataclass

FORMS = "'ema' and a decay in (0, 1), such as 'ema 0.999', or 'last' and a number of epochs, such as 'last 5'"
"""The forms of a text that :func:`parse_average` reads."""


@dataclass(frozen=True)
class AverageOptions:
    """Weights that are averaged.

    Args:
        decay: Decay of an exponential moving average over optimizer steps; None for a mean over epochs.
        epochs: Number of the last epochs whose final weights are averaged; None for a moving average.
    """

    decay: float | None = None
    epochs: int | None = None


def parse_average(text: str) -> AverageOptions:
    """Read ``ema 0.999`` or ``last 5``.

    Raises:
        ValueError: The text has neither form.
    """
    kind, number = text.split()
    if kind == "ema" and 0 < (decay := float(number)) < 1:
        return AverageOptions(decay=decay)
    if kind == "last" and number.isdecimal() and (epochs := int(number)) > 0:
        return AverageOptions(epochs=epochs)
    raise ValueError(f"{text}: must be {FORMS}")
