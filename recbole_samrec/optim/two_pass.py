"""The core of a step with SAM, shared by RecBole's hook and :class:`recbole_samrec.optim.sam.SAM`.

The code that computes the first gradient calls :meth:`TwoPass.begin` before and :meth:`TwoPass.finish` after it.
Afterwards the weights are restored bit for bit, and ``.grad`` is the gradient to step with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from recbole_samrec.optim.perturbation import compute_norm
from recbole_samrec.optim.state_snapshot import Replay
from recbole_samrec.optim.variants import SAMVariant
from recbole_samrec.utils.errors import ConfigError


class TwoPass:
    """One optimizer's part of a step with SAM.

    Args:
        parameters: All parameters of the optimizer.
        variant: The variant of SAM, or None if SAM moves none of them.
        replay: Gives the second pass the random draws and the model state of the first one; optimizers of one model
            share it.
        clip: Arguments of ``clip_grad_norm_``, which sees the gradient to step with only, or None.
        key: The name of the setting that chooses the variant, for messages.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        variant: SAMVariant | None,
        replay: Replay,
        clip: dict[str, Any] | None = None,
        key: str = "variant",
    ) -> None:
        self.parameters, self.variant, self.replay, self.clip, self.key = list(parameters), variant, replay, clip, key

    def needs_second(self) -> bool:
        """Return True if the next step takes a second gradient."""
        return self.variant is not None and self.variant.needs_second()

    def begin(self, rho: float) -> None:
        """Move the weights before the first gradient is taken, if the variant does so.

        Args:
            rho: Radius, above 0. The random draws must have been recorded where a second gradient is needed.
        """
        if self.variant is not None:
            self.variant.displace(rho)

    def finish(self, rho: float, second: Callable[[], object], check: bool = True) -> bool:
        """Replace the gradients by those of the step, clipped.

        Args:
            rho: Radius, at least 0.
            second: Replaces all gradients by those at the weights as they are when it is called.
            check: Check both gradients for inf and nan, at the end, which waits for the device once. A bad first
                gradient does not move the weights.

        Returns:
            Whether to step: False if a gradient held an inf or a nan; the gradients are then None.
        """
        self.settle()
        variant = self.variant if rho else None
        norms = [self._compute_norm()] if check else []
        if variant is not None:
            self.require_dense_gradients()
            variant.replace(rho, lambda: self._repeat(second))
            norms += [self._compute_norm()] if check else []
        good = _are_finite(norms)
        if variant is not None:
            variant.end(good)
        self._clip_or_clear(good)
        return good

    def accept_gradients(self, check: bool) -> bool:
        """Clip the gradients, the end of a step whose two gradients the caller computed.

        Args:
            check: Check them for inf and nan.

        Returns:
            Whether to step, as :meth:`finish` does.
        """
        good = self.has_finite_gradients() if check else True
        self._clip_or_clear(good)
        return good

    def _repeat(self, second: Callable[[], object]) -> None:
        with self.replay.second_pass():
            second()

    def settle(self) -> None:
        """Restore weights that are moved from a loss to its step."""
        if self.variant is not None:
            self.variant.settle()

    def has_finite_gradients(self) -> bool:
        """Return True if no gradient contains an inf or nan; this waits for the device."""
        return _are_finite([self._compute_norm()])

    def _compute_norm(self) -> Tensor | None:
        """Compute the norm of all gradients; sparse ones are coalesced once for all later uses."""
        for parameter in self.parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return compute_norm(gradients) if gradients else None

    def require_dense_gradients(self) -> None:
        """Check that no gradient is sparse, if the variant keeps vectors as long as all weights.

        Raises:
            ConfigError: The variant does so, and a gradient is sparse.
        """
        if self.variant is None or not self.variant.keeps_vectors:
            return
        if any(p.grad.is_sparse for p in self.parameters if p.grad is not None):
            raise ConfigError(
                f"{self.key}={self.variant.settings.variant}: it keeps a vector as long as all weights, which sparse "
                "gradients are there to avoid; choose sam, asam or gsam"
            )

    def _clip_or_clear(self, good: bool) -> None:
        """Clip good gradients; remove bad ones, since optimizers skip parameters without a gradient."""
        if not good:
            for parameter in self.parameters:
                parameter.grad = None
        elif self.clip:
            nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], **self.clip)


def _are_finite(norms: Sequence[Tensor | None]) -> bool:
    """Return True if no norm is inf or nan, waiting for the device only once."""
    known = [norm for norm in norms if norm is not None]
    return not known or math.isfinite(sum(known[1:], known[0]).item())
