"""Contrastive learning: the loss of two views of each sequence, and pairs of sequences with the same next item."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.utils.random import draw_below


def info_nce(
    a: Tensor, b: Tensor, *, temperature: float = 1.0, similarity: str = "dot", labels: Tensor | None = None
) -> Tensor:
    """Compute InfoNCE in the form NT-Xent: the cross-entropy of each view's partner among all other views.

    For each of the ``2B`` views the loss is ``-log(exp(s(v, v+)/T) / (exp(s(v, v+)/T) + sum over v- of exp(s(v,
    v-)/T)))``; ``v+`` is the other view of the same sequence and ``v-`` are the ``2 (B - 1)`` views of the others.
    Sources: SimCLR, Chen et al., arXiv 2002.05709, equation 1; CL4SRec, Xie et al., arXiv 2010.14395, section 3.2.

    Args:
        a: One view of each sequence, shape ``[B, d]``.
        b: The other view, shape ``[B, d]``.
        temperature: Divisor of similarities, above 0.
        similarity: ``dot`` for inner products, ``cosine`` for those of the vectors scaled to length 1.
        labels: The next item of each sequence, shape ``[B]``; sequences with the same label are not each other's
            negatives. With None all other sequences are negatives.

    Returns:
        The mean over the ``2B`` views, a scalar.

    Raises:
        ValueError: The similarity is neither of the two.
    """
    if similarity not in ("dot", "cosine"):
        raise ValueError(f"similarity={similarity}: choose dot or cosine")
    views = torch.cat([a, b])
    if similarity == "cosine":
        views = F.normalize(views, dim=1)
    view = torch.arange(len(views), device=views.device)
    partner = view.roll(len(a))
    labels = view % len(a) if labels is None else labels.repeat(2)
    excluded = (labels == labels.unsqueeze(1)) & (view != partner.unsqueeze(1))
    logits = (views @ views.T / temperature).masked_fill(excluded, -math.inf)
    return F.cross_entropy(logits, partner)


class SameLabel:
    """Finds another example with the same label for each example.

    Args:
        labels: Integers from 0, shape ``[N]``.
    """

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.by_label = labels.argsort(stable=True)
        self.counts = torch.bincount(labels)
        self.firsts = self.counts.cumsum(0) - self.counts
        self.ranks = torch.empty_like(labels)
        self.ranks[self.by_label] = torch.arange(len(labels), device=labels.device)
        self.ranks -= self.firsts[labels]

    def draw(self, which: Tensor) -> Tensor:
        """Draw uniformly for each example another one with the same label, or the example itself if it is the only one.

        Args:
            which: Indices of examples, shape ``[n]``.

        Returns:
            Indices of examples, shape ``[n]``.
        """
        label = self.labels[which]
        count = self.counts[label]
        step = 1 + draw_below((count - 1).clamp(min=1))
        return self.by_label[self.firsts[label] + (self.ranks[which] + step) % count]
