"""Sharpness of the loss during training, measured every few epochs."""

from __future__ import annotations

from typing import Any

import torch

from recbole_samrec.analysis.hessian import compute_gradient, compute_loss, find_top_eigenvalues
from recbole_samrec.analysis.sharpness import measure_ascent_rise
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.trainer.sampled_loss import require_second_derivative, sampled_loss

TARGETS = 2048
"""Number of training targets of the sample."""
RHO = 0.3
"""Radius of the ascent step where SAM has none."""
PRODUCTS = 40
"""Largest number of Hessian-vector products of a measurement, unless the eigenvalue needs more: at least 73."""


class SharpnessTracker(Callback):
    """Measures the top eigenvalue, the rise of the loss after an ascent step and the gradient every few epochs.

    Training is not affected: neither the random numbers that it draws nor the state of the model change.

    Args:
        every: Number of epochs from one measurement to the next; 0 measures never.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._loss: Any = None
        self.history: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: Any, epoch: int, loss: float, seconds: float) -> None:
        """Measure after an epoch that is due, and log the result."""
        if not self.is_due(epoch):
            return
        try:
            found = self.measure(trainer, epoch)
        except FloatingPointError as error:  # training has its own guard against that
            trainer.logger.warning(f"epoch {epoch} sharpness: not measured, {error}")
            return
        certain = "" if found["converged"] else " (not converged)"
        trainer.logger.info(
            f"epoch {epoch} sharpness: top eigenvalue {found['top_eigenvalue']:.4g}{certain}, rise of the loss by "
            f"{found['ascent_rise']:.4g} at rho {found['rho']:g}, gradient norm {found['gradient_norm']:.4g}"
        )

    def is_due(self, epoch: int) -> bool:
        """Return True for an epoch, counted from 0, that is measured: the first one, and every ``every``-th one."""
        return self._every > 0 and (epoch == 0 or (epoch + 1) % self._every == 0)

    def measure(self, trainer: Any, epoch: int) -> dict[str, Any]:
        """Measure the model that a trainer trains, and add the result to ``history``.

        Args:
            trainer: The trainer, whose ``train_data`` gives the sample.
            epoch: Number of the epoch, from 0.

        Returns:
            ``epoch`` (counted from 0), ``loss``, ``top_eigenvalue``, ``residual`` (relative), ``converged``,
            ``ascent_rise``, ``rho``, ``gradient_norm`` and the number of ``targets``.

        Raises:
            ConfigError: The model's loss has no second derivative, or a wrong one.
            FloatingPointError: A gradient or product is not finite.
        """
        model, training = trainer.model, trainer.model.training
        model.eval()
        try:
            with torch.enable_grad():
                found = self._measure(trainer, epoch)
        finally:
            model.train(training)
        self.history = [entry for entry in self.history if entry["epoch"] < epoch] + [found]
        return found

    def _measure(self, trainer: Any, epoch: int) -> dict[str, Any]:
        model = trainer.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        if self._loss is None:
            sampled = sampled_loss(trainer, trainer.train_data, TARGETS)[:2]
            require_second_derivative(sampled[0], weights, "track_sharpness", type(model).__name__)
            self._loss = sampled
        loss, targets = self._loss
        eigen = find_top_eigenvalues(loss, weights, 1, max_products=PRODUCTS)
        rho = trainer.sam_step.settings.rho or RHO
        return {
            "epoch": epoch,
            "loss": compute_loss(loss),
            "top_eigenvalue": float(eigen.values[0]),
            "residual": float(eigen.residuals[0]),
            "converged": bool(eigen.converged[0]),
            "ascent_rise": float(measure_ascent_rise(loss, weights, [rho])[0]),
            "rho": rho,
            "gradient_norm": float(compute_gradient(loss, weights).norm()),
            "targets": targets,
        }
