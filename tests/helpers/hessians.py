"""Losses with known Hessians."""

import numpy as np
import torch
from torch import nn


def quadratic(eigenvalues, seed=0, rotated=True, dtype=torch.float64):
    """``w @ H @ w / 2`` in two parameters, with a Hessian of given eigenvalues, in random directions or on the axes."""
    random = torch.Generator().manual_seed(seed)
    eigenvalues = torch.as_tensor(eigenvalues, dtype=torch.float64)
    n = len(eigenvalues)
    axes = torch.linalg.qr(torch.randn(n, n, generator=random, dtype=torch.float64))[0] if rotated else torch.eye(n)
    matrix = (axes.double() * eigenvalues @ axes.double().T).to(dtype)
    weights = torch.randn(n, generator=random, dtype=torch.float64).to(dtype)
    parameters = [weights[:3].clone().requires_grad_(), weights[3:].clone().requires_grad_()]

    def loss():
        w = torch.cat(parameters)
        return w @ matrix @ w / 2

    return loss, parameters, matrix


def regression():
    """Linear regression, which is convex; its Hessian is ``2 X^T X / N`` of rank 9 of 30."""
    random = torch.Generator().manual_seed(1)
    inputs, targets = (torch.randn(9, n, generator=random, dtype=torch.float64) for n in (30, 1))
    layer = nn.Linear(30, 1, bias=False).double()
    return lambda: nn.functional.mse_loss(layer(inputs), targets), list(layer.parameters()), 2 * inputs.T @ inputs / 9


def tanh_network(hidden=6):
    """A small network away from any minimum, and its Hessian, which has negative eigenvalues."""
    random = torch.Generator().manual_seed(2)
    inputs, targets = (torch.randn(20, n, generator=random, dtype=torch.float64) for n in (3, 2))
    shapes = [(hidden, 3), (hidden,), (2, hidden), (2,)]
    parameters = [torch.randn(s, generator=random, dtype=torch.float64).requires_grad_() for s in shapes]

    def of(flat):
        pieces = flat.split([p.numel() for p in parameters])
        w1, b1, w2, b2 = (piece.view(p.shape) for piece, p in zip(pieces, parameters, strict=True))
        return ((torch.tanh(inputs @ w1.T + b1) @ w2.T + b2 - targets) ** 2).mean()

    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    hessian = torch.autograd.functional.hessian(of, flat)
    return lambda: of(torch.cat([p.reshape(-1) for p in parameters])), parameters, hessian


def wide():
    """Four hundred eigenvalues from -100 to 1000, most of them close to 0 on either side."""
    return quadratic(np.r_[-np.logspace(-6, 2, 200), np.logspace(-6, 3, 200)])
