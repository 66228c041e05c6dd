"""The SAM family's formulas, written out again on flat vectors, and a small network to apply them to."""

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from recbole_samrec.optim.schedule import VARIANTS

RHO, RATE, STEPS, K, SEED = 0.4, 0.1, 8, 3, 7
OPTIONS = {"momentum": 0.7, "gsam_alpha": 0.3, "fsam_sigma": 0.8, "looksam_k": K, "looksam_alpha": 0.6, "seed": SEED}


def network(seed=0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 1)).double()


def make_batches(count=STEPS):
    draw = torch.Generator().manual_seed(1)
    return list(torch.randn(count, 16, 4, generator=draw, dtype=torch.float64))


def loss_of(model, batch):
    return (model(batch[:, :3]).squeeze(1) - batch[:, 3]).square().mean()


# The formulas: each makes a function that gives a step's direction, from the weights and the gradient as a function.


def sam(rho=RHO):
    def direction(w, gradient):
        g = gradient(w)
        return gradient(w + rho * g / g.norm())

    return direction


def asam():
    def direction(w, gradient):
        g, unit = gradient(w), w.abs() + 0.01
        return gradient(w + RHO * unit**2 * g / (unit * g).norm())

    return direction


def gsam():
    def direction(w, gradient):
        g = gradient(w)
        h = gradient(w + RHO * g / g.norm())
        return h - 0.3 * (g - (g @ h) / (h @ h) * h)

    return direction


def fsam():
    m = 0

    def direction(w, gradient):
        nonlocal m
        g = gradient(w)
        m = 0.7 * m + 0.3 * g
        noise = g - 0.8 * m
        return gradient(w + RHO * noise / noise.norm())

    return direction


def msam():
    m = None

    def direction(w, gradient):
        nonlocal m
        g = gradient(w if m is None else w - RHO * m / m.norm())
        m = 0.3 * g if m is None else 0.7 * m + 0.3 * g
        return g

    return direction


def looksam():
    t, v = -1, None

    def direction(w, gradient):
        nonlocal t, v
        t += 1
        g = gradient(w)
        if t % K:
            return g + 0.6 * g.norm() / v.norm() * v
        h = gradient(w + RHO * g / g.norm())
        cosine = (g @ h) / (g.norm() * h.norm())
        v = h - h.norm() * cosine * g / g.norm()
        return h

    return direction


def random():
    t = -1

    def direction(w, gradient):
        nonlocal t
        t += 1
        (word,) = np.random.SeedSequence([SEED, t]).generate_state(1, np.uint64)
        n = torch.randn(len(w), generator=torch.Generator().manual_seed(int(word) >> 1), dtype=w.dtype)
        return gradient(w + RHO * n / n.norm())

    return direction


FORMULAS = dict(zip(VARIANTS, (sam, asam, gsam, fsam, msam, looksam, random), strict=True))


def by_hand(direction, batches, model=None):
    """Gradient descent along the directions of a formula."""
    model = model or network()
    w = parameters_to_vector(model.parameters()).detach()
    for batch in batches:

        def gradient(at, batch=batch):
            vector_to_parameters(at, model.parameters())
            return parameters_to_vector(torch.autograd.grad(loss_of(model, batch), list(model.parameters()))).detach()

        w = w - RATE * direction(w, gradient)
    return w
