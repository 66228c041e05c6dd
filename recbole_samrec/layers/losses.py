"""Losses of next-item prediction on plain torch tensors, for large catalogs.

All losses compare states ``[n, d]`` with the embedding rows of an item table ``[N, d]``, whose row 0 is padding:

* :func:`cross_entropy` over all rows, without storing all logits at once;
* :func:`sampled_softmax`, :func:`gbce`, :func:`bce`, :func:`softmax_of_few` and :func:`bpr` over a few rows, whose cost
  does not depend on ``N``.

:func:`draw_negatives` draws the negatives, which are passed as an argument, so that every loss is a deterministic
function of its arguments. Each loss is a mean over the batch's targets; ``denominator`` replaces the number of targets
if several processes share a batch. An empty batch has loss 0 and gradient 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.layers.transformer import KERNEL_ROWS, pad_rows
from recbole_samrec.utils.device_memory import measure_budget

CACHED_ELEMENTS = 2**20
"""Number of logits of a chunk on a CPU, so that they stay in its cache between the three matrix products."""

LARGEST_CHUNK = 2**25
"""Number of logits of the largest chunk on a CPU, 128 MB in single precision."""

CHUNK_SHARE = 1 / 64
"""Share of a GPU's memory for the logits of a chunk: 128 MB on one of 8 GB."""

DENSE_ITEMS = 32
"""Number of items in the catalog for each score, up to which computing all scores takes less time."""

FEWEST_ROWS = 128
"""Least number of states of a chunk, even if their logits leave the cache: each chunk reads and writes the table's
whole gradient."""


def cross_entropy(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    *,
    denominator: float | Tensor | None = None,
    fused: bool = True,
    chunk_elements: int | None = None,
) -> Tensor:
    """Mean cross-entropy of the targets under a softmax over all rows of the table, padding row included.

    The fused form processes the states in chunks. It computes the gradients of a chunk together with its probabilities,
    which takes three matrix products in total and memory for the logits of one chunk. It can be differentiated once;
    second derivatives require ``fused=False``, which stores all logits.

    Under bfloat16 autocast, matrix products are computed in bfloat16, the softmax and all sums in single precision.
    Under float16 autocast, products are also computed in single precision, because probabilities over many items
    underflow in float16.

    Args:
        states: States ``[n, d]``.
        table: Item table ``[N, d]``.
        targets: Rows ``[n]`` of the table, int64.
        denominator: Divisor of the sum of the ``n`` terms, a number or a scalar tensor. Default: ``n``.
        fused: Compute in chunks; False for the plain, twice differentiable form.
        chunk_elements: Number of logits in memory at a time, at least one row. Default: as many as fit in the cache.

    Returns:
        The loss, a scalar.

    Raises:
        RuntimeError: The fused form is differentiated with ``create_graph=True``.
    """
    scale = _scale(len(targets), denominator)
    return _softmax_loss(states, table, targets, None, scale, fused, chunk_elements)


def sampled_softmax(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    negatives: Tensor,
    frequencies: Tensor | None = None,
    *,
    sparse: bool = False,
    denominator: float | Tensor | None = None,
    fused: bool = True,
    chunk_elements: int | None = None,
) -> Tensor:
    """Cross-entropy with the normalizer of the softmax estimated from negatives that the whole batch shares.

    For a target ``t`` with state ``h`` and scores ``s_c = h . table[c]`` the loss is::

        -s_t + log(exp(s_t) + sum over draws c != t of exp(s_c) / E(c)),    E(c) = k / (N - 1) + (n - 1) p(c)

    The draws are the ``k`` negatives, uniform over the items 1 to N - 1 with replacement, and, where ``frequencies``
    are given, the targets of the other ``n - 1`` rows, which follow the items' frequencies ``p``. ``E(c)`` is the
    expected number of draws of item ``c`` from the mixture of both, so that each score is corrected by its logarithm
    (logQ correction) and the sum over the draws is an unbiased estimate of the sum over all items but the target. Draws
    of the state's own target are excluded. The target itself is always included rather than drawn, so its score is not
    corrected. As the number of negatives grows, the loss converges to the cross-entropy over the items without padding.

    ``p`` is estimated from the training data, not from the batch: all items that occur once in a batch would have equal
    counts whatever their frequency, so that batch counts would correct nothing. Looking up ``p`` of the candidates
    costs no more than looking up their rows.

    Sources: Bengio and Senecal 2008, doi 10.1109/TNN.2007.912312 (importance sampling of the softmax's sum); Yi et
    al. 2019, doi 10.1145/3298689.3346996 (in-batch negatives corrected by frequency); Yang et al. 2020, doi
    10.1145/3366424.3386195 (mixing them with uniform ones); Khrylchenko et al., arXiv 2507.09331 (why the target is
    not corrected; its weight for each row is not used).

    Args:
        states: States ``[n, d]``.
        table: Item table ``[N, d]``.
        targets: Items ``[n]``, int64, none of them 0.
        negatives: Uniformly drawn items ``[k]``, from :func:`draw_negatives`; at least one.
        frequencies: Share ``[N]`` of each item among all training targets, summing to 1; None to use no in-batch
            negatives.
        sparse: Give the table a sparse gradient, with the rows of the candidates only.
        denominator: As in :func:`cross_entropy`.
        fused: As in :func:`cross_entropy`.
        chunk_elements: As in :func:`cross_entropy`.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: There are no negatives.
    """
    if not len(negatives):
        raise ValueError("sampled_softmax needs at least one uniform negative")
    n, n_items = len(targets), len(table) - 1
    candidates, place = _find_distinct(torch.cat([targets, negatives]), n_items)
    drawn: Tensor = place[n:]
    expected: float | Tensor = len(negatives) / n_items
    if frequencies is not None:
        drawn, expected = place, expected + (n - 1) * frequencies[candidates]
    counts = torch.zeros(len(candidates), dtype=torch.float64, device=states.device)
    log_weights = torch.log(counts.index_add_(0, drawn, torch.ones_like(drawn, dtype=counts.dtype)) / expected)
    rows = F.embedding(candidates, table, sparse=sparse)
    return _softmax_loss(states, rows, place[:n], log_weights, _scale(n, denominator), fused, chunk_elements)


def _find_distinct(items: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Find the distinct items, ascending, and the place of each item among them.

    Their number depends on the items, and a GPU would have to be waited for to know it. There the result is as long as
    it can be: after the distinct items follows the first of them again, at places that no item has, so that each is
    drawn 0 times and has the weight 0.

    Args:
        items: Items ``[n]``, at least one.
        most: Number of items there are.

    Returns:
        Items ``[m]``, and places ``[n]`` from 0 to m - 1.
    """
    if items.is_cpu:
        candidates, places = torch.unique(items, return_inverse=True)
        return candidates, places
    return _find_distinct_without_waiting(items, most)


def _find_distinct_without_waiting(items: Tensor, most: int) -> tuple[Tensor, Tensor]:
    ordered, order = items.sort()
    ranks = torch.cat([torch.zeros_like(ordered[:1]), (ordered[1:] != ordered[:-1]).cumsum(0)])
    distinct = ordered[:1].repeat(min(len(items), most)).scatter_(0, ranks, ordered)
    return distinct, torch.empty_like(ranks).scatter_(0, order, ranks)


def gbce(
    positive: Tensor, negative: Tensor, n_items: int, t: float, *, denominator: float | Tensor | None = None
) -> Tensor:
    """Generalized binary cross-entropy of gSASRec: the positive's probability is raised to the power beta.

    With ``k`` negatives for a target, the sampling rate ``alpha = k / (n_items - 1)`` and the calibration ``t``::

        beta = alpha (t (1 - 1 / alpha) + 1 / alpha)
        loss = -(log sigmoid(s+)^beta + sum over the negatives of log(1 - sigmoid(s-))) / (k + 1)

    ``t = 0`` is binary cross-entropy; with ``t = 1`` the sigmoid is a calibrated probability. The paper draws separate
    negatives for every target and recommends ``t = 0.75`` and ``k = 256``.

    Source: Petrov and Macdonald, arXiv 2308.07192, section 5.

    Args:
        positive: Scores ``[n]`` of the targets.
        negative: Scores ``[n, k]`` of uniformly drawn negatives; -inf excludes a negative.
        n_items: Number of items, padding not counted; at least 2.
        t: Calibration, from 0 to 1.
        denominator: As in :func:`cross_entropy`.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: ``t`` is out of its range.
    """
    if not 0 <= t <= 1:
        raise ValueError(f"gbce: t must be between 0 and 1, not {t}")
    k = negative.shape[1]
    alpha = k / (n_items - 1)
    beta = alpha * t - t + 1  # the formula above, expanded so that k = 0 does not divide by zero
    terms = beta * F.softplus(-_widen(positive)) + F.softplus(_widen(negative)).sum(1)
    return terms.sum() * (_scale(len(positive), denominator) / (k + 1))


def compute_gbce_base(k: int, n_items: int, t: float) -> float:
    """The best constant score under gBCE, for a model that cannot distinguish items yet: ``log(beta / k)``.

    Adding this constant to all scores does not change rankings. Without it, a model that shares one table between input
    and output has to learn the constant by moving all items in the same direction, until its layers can no longer
    distinguish them.

    Args:
        k: Number of negatives for a target.
        n_items: Number of items, padding not counted; at least 2.
        t: Calibration, from 0 to 1.

    Returns:
        The score.
    """
    beta = k / (n_items - 1) * t - t + 1
    return math.log(max(beta, 1e-6) / max(k, 1))


def bpr(positive: Tensor, negative: Tensor, *, denominator: float | Tensor | None = None) -> Tensor:
    """Bayesian personalized ranking: ``-log(1e-10 + sigmoid(positive - negative))``, the value of RecBole's BPRLoss.

    The constant limits the loss to 23: a pair whose scores are wrong by more than that has no gradient.

    Source: Rendle et al., arXiv 1205.2618, section 4.

    Args:
        positive: Scores ``[n]`` of the targets.
        negative: Scores ``[n]`` of one negative each.
        denominator: As in :func:`cross_entropy`.

    Returns:
        The loss, a scalar.
    """
    terms = -torch.log(1e-10 + torch.sigmoid(_widen(positive) - _widen(negative)))
    return terms.sum() * _scale(len(positive), denominator)


def bce(positive: Tensor, negative: Tensor, *, denominator: float | Tensor | None = None) -> Tensor:
    """Binary cross-entropy of a target and its negatives: ``-log sigmoid(s+) - sum of log(1 - sigmoid(s-))``.

    Source: Kang and McAuley, arXiv 1808.09781, equation 6, where each target has one negative.

    Args:
        positive: Scores ``[n]`` of the targets.
        negative: Scores ``[n, k]`` of their negatives.
        denominator: As in :func:`cross_entropy`.

    Returns:
        The loss, a scalar.
    """
    terms = F.softplus(-_widen(positive)) + F.softplus(_widen(negative)).sum(1)
    return terms.sum() * _scale(len(positive), denominator)


def softmax_of_few(positive: Tensor, negative: Tensor, *, denominator: float | Tensor | None = None) -> Tensor:
    """Cross-entropy of a target under a softmax over it and its negatives: ``-log(exp(s+) / (exp(s+) + sum exp(s-)))``.

    The scores are not corrected by how often an item is drawn, unlike those of :func:`sampled_softmax`.

    Args:
        positive: Scores ``[n]`` of the targets.
        negative: Scores ``[n, k]`` of their negatives; -inf excludes a negative.
        denominator: As in :func:`cross_entropy`.

    Returns:
        The loss, a scalar.
    """
    scores = torch.cat([_widen(positive).unsqueeze(1), _widen(negative)], dim=1)
    terms = scores.logsumexp(1) - scores[:, 0]
    return terms.sum() * _scale(len(positive), denominator)


def score_items(states: Tensor, table: Tensor, items: Tensor, *, sparse: bool = False) -> Tensor:
    """Compute the scores of items that differ from state to state.

    The rows of each state's items are gathered from the table. For a small catalog, a matrix product of all states and
    all items takes less time and memory, so the scores are selected from it.

    Args:
        states: States ``[n, d]``.
        table: Item table ``[N, d]``.
        items: Rows of the table, ``[n]`` or ``[n, k]``.
        sparse: Give the table a sparse gradient, with the rows of the items only.

    Returns:
        Inner products in the shape of ``items``.
    """
    if items.dim() == 2 and not sparse and len(table) <= DENSE_ITEMS * items.shape[1]:
        return (states @ table.T).gather(1, items)
    rows = F.embedding(items, table, sparse=sparse)
    if items.dim() == 1:
        return (states * rows).sum(1)
    return torch.bmm(rows, states.unsqueeze(2)).squeeze(2)


def score_shared_items(
    states: Tensor, table: Tensor, negatives: Tensor, targets: Tensor, *, sparse: bool = False
) -> Tensor:
    """Compute the scores of negatives that the whole batch shares.

    Args:
        states: States ``[n, d]``.
        table: Item table ``[N, d]``.
        negatives: Rows ``[k]`` of the table.
        targets: Items ``[n]``; a negative that is the state's own target scores -inf, which excludes it from a loss.
        sparse: Give the table a sparse gradient, with the rows of the negatives only.

    Returns:
        Inner products ``[n, k]``.
    """
    scores = states @ F.embedding(negatives, table, sparse=sparse).T
    return scores.masked_fill(targets.unsqueeze(1) == negatives, -math.inf)


def draw_negatives(
    n_rows: int,
    shape: Sequence[int],
    *,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw items uniformly, with replacement, never the padding item 0.

    Args:
        n_rows: Number of rows of the item table, including padding.
        shape: Shape of the result.
        targets: Items that must not be drawn at their position, of a shape that can be expanded to ``shape``: for
            ``[n, k]`` negatives of ``[n]`` targets, ``targets.unsqueeze(1)``. The draw is uniform over the others.
        generator: Source of the draws; torch's global one by default.
        device: The device to draw on; by default that of ``targets`` or the generator.

    Returns:
        Items from 1 to ``n_rows - 1``, int64.

    Raises:
        ValueError: The table has no item to draw.
    """
    choices = n_rows - 1 - (targets is not None)
    if choices < 1:
        raise ValueError(f"a table of {n_rows} rows, row 0 for padding, has no item to draw as a negative")
    if device is None and targets is not None:
        device = targets.device
    elif device is None and generator is not None:
        device = generator.device
    drawn = torch.randint(1, choices + 1, tuple(shape), generator=generator, device=device)
    return drawn if targets is None else drawn + (drawn >= targets)


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _scale(n: int, denominator: float | Tensor | None) -> float | Tensor:
    """Return the factor that turns the sum of ``n`` terms into the loss."""
    if denominator is None:
        return 1 / max(n, 1)
    return 1 / (denominator.detach() if isinstance(denominator, Tensor) else denominator)


def _softmax_loss(
    states: Tensor,
    rows: Tensor,
    targets: Tensor,
    log_weights: Tensor | None,
    scale: float | Tensor,
    fused: bool,
    chunk_elements: int | None,
) -> Tensor:
    """Sum cross-entropies and scale them; log weights are added to all scores but those of a state's own target."""
    if not fused:
        return _plain(states, rows, targets, log_weights) * scale
    chunk = _chunk_rows(len(states), len(rows), chunk_elements, states.device)
    if torch.is_grad_enabled() and (states.requires_grad or rows.requires_grad):
        loss: Tensor = _Fused.apply(states, rows, targets, log_weights, scale, chunk)  # type: ignore[no-untyped-call]
        return loss
    return _sweep(states, rows, targets, log_weights, scale, chunk, False, False)[0]


def _plain(states: Tensor, rows: Tensor, targets: Tensor, log_weights: Tensor | None) -> Tensor:
    logits = _widen(states @ rows.T)
    if log_weights is not None:
        own = targets.unsqueeze(1)
        logits = (logits + log_weights.to(logits.dtype)).scatter(1, own, logits.gather(1, own))
    return F.cross_entropy(logits, targets, reduction="sum")


def _chunk_rows(n: int, width: int, chunk_elements: int | None, device: torch.device) -> int:
    """Return the number of states that are scored against all rows at a time."""
    if chunk_elements is None and device.type == "cpu":
        rows = max(CACHED_ELEMENTS // width, min(FEWEST_ROWS, LARGEST_CHUNK // width))
    elif chunk_elements is None:
        rows = (measure_budget(device, CHUNK_SHARE) or 4 * LARGEST_CHUNK) // (4 * width)
    else:
        rows = chunk_elements // width
    return max(1, min(rows, n))


class _Fused(torch.autograd.Function):
    """The loss and, in the same sweep, its gradients; backward only multiplies.

    The gradients stay in at least single precision until a loss scale has multiplied them; autograd then passes them
    on in the types of the tensors.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        rows: Tensor,
        targets: Tensor,
        log_weights: Tensor | None,
        scale: float | Tensor,
        chunk: int,
    ) -> Tensor:
        loss, *gradients = _sweep(states, rows, targets, log_weights, scale, chunk, *ctx.needs_input_grad[:2])
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # autograd sees constants: second derivatives would silently lack a term
            raise RuntimeError(
                "the fused loss can be differentiated only once: use fused=False to differentiate it again"
            )
        gradients = ctx.saved_tensors
        if outer.device.type != "cpu" or outer != 1:  # reading the number from a GPU would wait for it
            gradients = [None if g is None else g * outer for g in gradients]
        return (*gradients, None, None, None, None)


def _sweep(
    states: Tensor,
    rows: Tensor,
    targets: Tensor,
    log_weights: Tensor | None,
    scale: float | Tensor,
    chunk: int,
    for_states: bool,
    for_rows: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Compute the loss and the requested gradients, one chunk of states after the other in the same buffer."""
    narrow, wanted = _product_dtype(states, rows), len(states)
    wide = torch.float32 if narrow == torch.bfloat16 else narrow
    with torch.no_grad(), torch.autocast(states.device.type, enabled=False):
        if narrow == torch.bfloat16 and states.is_cpu:
            # Rows of zeros are added, which do not affect the table's gradient; their losses and gradients are dropped.
            states, targets = pad_rows(states), pad_rows(targets)
            chunk += -chunk % KERNEL_ROWS
        left, right = states.to(narrow), rows.to(narrow)
        scaled = left * scale if for_rows else left
        of_states = torch.empty_like(states, dtype=wide) if for_states else None
        of_rows = torch.zeros_like(rows, dtype=wide) if for_rows else None
        losses = torch.empty(len(states), dtype=wide, device=states.device)
        logits = torch.empty(chunk, len(rows), dtype=wide, device=states.device)
        products = logits if wide == narrow else torch.empty_like(logits, dtype=narrow)
        log_weights = None if log_weights is None else log_weights.to(wide)
        for start in range(0, len(states), chunk):
            part = slice(start, start + chunk)
            size = len(left[part])
            own = targets[part].unsqueeze(1)
            torch.mm(left[part], right.T, out=products[:size])
            losses[part], errors = _losses_and_errors(_into(logits[:size], products[:size]), own, log_weights)
            errors = _into(products[:size], errors)
            if of_states is not None:
                _add_product(of_states[part], errors, right, beta=0)
            if of_rows is not None:
                _add_product(of_rows, errors.T, scaled[part], beta=1)
        if of_states is not None:
            of_states = of_states[:wanted].mul_(scale)
        return losses[:wanted].sum() * scale, of_states, of_rows


def _losses_and_errors(logits: Tensor, own: Tensor, log_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute each row's loss and its derivative by the logits, softmax minus one at the target, in place."""
    of_target = logits.gather(1, own)
    if log_weights is not None:
        logits.add_(log_weights).scatter_(1, own, of_target)
    highest = logits.amax(1)
    probabilities = torch.softmax(logits, 1, out=logits if logits.is_cpu else None)
    # The most likely item has a probability of at least 1 / N: its logarithm is exact if the target's underflows.
    losses = highest - probabilities.amax(1).log() - of_target.squeeze(1)
    return losses, probabilities.scatter_add_(1, own, torch.full_like(of_target, -1))


def _into(target: Tensor, source: Tensor) -> Tensor:
    """Return the source in the dtype of the target; it is converted into the target's memory if its dtype differs."""
    return source if source.dtype == target.dtype else target.copy_(source)


def _add_product(target: Tensor, a: Tensor, b: Tensor, beta: int) -> None:
    """Compute ``target = beta target + a b``; sums of products in a narrower dtype are kept in the target's dtype."""
    if a.dtype == target.dtype:
        torch.addmm(target, a, b, beta=beta, out=target)
    elif beta:
        target.add_(a @ b)
    else:
        target.copy_(a @ b)


def _product_dtype(states: Tensor, rows: Tensor) -> torch.dtype:
    dtype, kind = torch.promote_types(states.dtype, rows.dtype), states.device.type
    if torch.is_autocast_enabled(kind) and dtype != torch.float64:
        return torch.bfloat16 if torch.get_autocast_dtype(kind) == torch.bfloat16 else torch.float32
    return torch.float32 if dtype == torch.float16 else dtype
