"""Adam for embedding tables of which a step reads only few rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class RowAdam(torch.optim.Optimizer):
    """Adam that updates only the rows with a gradient, where a gradient is sparse.

    Parameters with dense gradients are updated exactly as by ``torch.optim.Adam``. A sparse gradient, such as that of
    ``torch.nn.Embedding(sparse=True)``, updates only its rows, so that the cost of a step does not depend on the number
    of rows. There are two differences from Adam:

    * A row without a gradient keeps its weights and both moments. Adam would decay the moments and continue to move the
      row.
    * Each row counts its own updates for the bias correction. Its moments are averages over its own gradients, so that
      its first update moves it by ``lr``, as in Adam's first step, even late in training. With the global count of
      ``torch.optim.SparseAdam`` it would move 3.2 times as far with the default betas.

    If every row has a gradient in every step, the update is Adam's.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.

    Example::

        import torch
        from recbole_samrec.optim.row_adam import RowAdam

        items = torch.nn.Embedding(1000, 64, sparse=True)
        optimizer = RowAdam(items.parameters(), lr=0.001)
        items(torch.tensor([1, 2, 3])).square().sum().backward()
        optimizer.step()  # updates three rows

    Args:
        params: Parameters or groups of parameters.
        lr: Learning rate.
        betas: Decay rates of the first and the second moment.
        eps: Term added to the denominator.
        weight_decay: L2 penalty, for parameters with dense gradients only.

    Raises:
        ValueError: A setting is out of its range; in a step, a sparse gradient meets weight decay or is sparse in
            more dimensions than its rows, or a parameter's gradient changes between sparse and dense.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value, allowed in (
            ("lr", lr, lr >= 0),
            ("betas", betas, all(0 <= beta < 1 for beta in betas)),
            ("eps", eps, eps >= 0),
            ("weight_decay", weight_decay, weight_decay >= 0),
        ):
            if not allowed:
                raise ValueError(f"RowAdam: {name}={value} is out of its range")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients.

        Args:
            closure: Clears the gradients, computes the loss and its gradients, and returns the loss.

        Returns:
            The closure's return value, or None.
        """
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            gradients = [(p, p.grad) for p in group["params"] if p.grad is not None]
            for parameter, gradient in gradients:
                self._prepare(parameter, gradient, group)
            self._step_dense([(p, g) for p, g in gradients if not g.is_sparse], group)
            for parameter, gradient in gradients:
                if gradient.is_sparse:
                    _step_rows(parameter, gradient.coalesce(), self.state[parameter], group)
        return loss

    def _prepare(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Check that a gradient can be used, and make the state of a parameter that has none yet."""
        state = self.state[parameter]
        if gradient.is_sparse and group["weight_decay"]:
            raise ValueError("weight_decay would have to reach rows without gradient: set it to 0 for sparse gradients")
        if gradient.is_sparse and gradient.sparse_dim() != 1:
            raise ValueError(f"a gradient that is sparse in {gradient.sparse_dim()} dimensions; only rows may be")
        if not state:
            # The name and type under which torch passes counts through load_state_dict unchanged.
            counts = torch.zeros(len(parameter), dtype=torch.int32, device=parameter.device)
            state["step"] = counts if gradient.is_sparse else torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        if gradient.is_sparse != bool(state["step"].dim()):
            raise ValueError("a parameter's gradient must be sparse in every step or in none")

    def _step_dense(self, gradients: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        states = [self.state[p] for p, _ in gradients]
        adam(
            [p for p, _ in gradients],
            [g for _, g in gradients],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def _step_rows(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """Update the rows of a coalesced gradient."""
    (beta1, beta2), rows, values = group["betas"], gradient.indices()[0], gradient.values()
    state["step"] = state["step"].to(parameter.device)  # load_state_dict does not move it
    counts = state["step"].index_select(0, rows).add_(1)
    mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - beta1)
    square = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
    for name, updated in (("step", counts), ("exp_avg", mean), ("exp_avg_sq", square)):
        state[name].index_copy_(0, rows, updated)
    each = counts.double().view(-1, *[1] * (values.dim() - 1))  # 1 - beta2 ** count would lose digits in float32
    size = (group["lr"] / (1 - beta1**each)).to(values.dtype)
    correction = (1 - beta2**each).sqrt().to(values.dtype)
    step = mean.mul_(size).div_(square.sqrt_().div_(correction).add_(group["eps"]))
    parameter.index_copy_(0, rows, parameter.index_select(0, rows).sub_(step))
