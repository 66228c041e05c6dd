"""How sharp the solution is while a model is trained, measured every some epochs."""

from __future__ import annotations

from typing import Any

import torch

from recbole_samrec.analysis.hessian import gradient, loss_value, top_eigenvalues
from recbole_samrec.analysis.sharpness import ascent_rise
from recbole_samrec.trainer.sampled_loss import require_second_derivative, sampled_loss

TARGETS = 2048
"""Training targets on which it is measured."""
RHO = 0.3
"""Radius of the ascent step, where SAM has none of its own."""
PRODUCTS = 40
"""Most Hessian-vector products of a measurement, where the search for an eigenvalue does not need more: at least 73."""


class SharpnessTracker:
    """Measures the top eigenvalue, the rise of the loss after an ascent step and the gradient every some epochs.

    Nothing of it touches the training: neither what is drawn nor what the model holds.

    Args:
        trainer: The trainer.
        every: Epochs from one measurement to the next.
    """

    def __init__(self, trainer: Any, every: int) -> None:
        self._trainer, self._every = trainer, every
        self._loss: Any = None
        self.history: list[dict[str, Any]] = []

    def due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is one after which it is measured: the first and every so many."""
        return self._every > 0 and (epoch == 0 or (epoch + 1) % self._every == 0)

    def measure(self, epoch: int, train: Any) -> dict[str, Any]:
        """Measure after an epoch of training on a loader, and keep it.

        Returns:
            ``epoch`` (counted from 0), ``loss``, ``top_eigenvalue``, ``residual`` (relative), ``converged``,
            ``ascent_rise``, ``rho``, ``gradient_norm`` and the number of ``targets``.

        Raises:
            ConfigError: The model's loss has no second derivative, or a wrong one.
            FloatingPointError: A gradient or product is not finite.
        """
        model, training = self._trainer.model, self._trainer.model.training
        model.eval()
        try:
            with torch.enable_grad():
                found = self._measured(epoch, train)
        finally:
            model.train(training)
        self.history = [entry for entry in self.history if entry["epoch"] < epoch] + [found]
        return found

    def _measured(self, epoch: int, train: Any) -> dict[str, Any]:
        model = self._trainer.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        if self._loss is None:
            sampled = sampled_loss(self._trainer, train, TARGETS)[:2]
            require_second_derivative(sampled[0], weights, "track_sharpness", type(model).__name__)
            self._loss = sampled
        loss, targets = self._loss
        eigen = top_eigenvalues(loss, weights, 1, max_products=PRODUCTS)
        rho = self._trainer.sam_step.settings.rho or RHO
        return {
            "epoch": epoch,
            "loss": loss_value(loss),
            "top_eigenvalue": float(eigen.values[0]),
            "residual": float(eigen.residuals[0]),
            "converged": bool(eigen.converged[0]),
            "ascent_rise": float(ascent_rise(loss, weights, [rho])[0]),
            "rho": rho,
            "gradient_norm": float(gradient(loss, weights).norm()),
            "targets": targets,
        }
