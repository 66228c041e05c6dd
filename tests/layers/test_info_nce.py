"""InfoNCE against its formula, written out in loops, and draws of positives."""

import math

import pytest
import torch

from recbole_samrec.layers.info_nce import SameLabel, info_nce


def by_hand(a, b, temperature, cosine, labels):
    """The mean of -log(exp(s+) / (exp(s+) + sum of exp(s-))) over both views of all sequences."""

    def s(x, y):
        dot = sum(p * q for p, q in zip(x, y, strict=True))
        scale = math.hypot(*x) * math.hypot(*y) if cosine else 1
        return dot / scale / temperature

    a, b = a.tolist(), b.tolist()
    losses = []
    for mine, others in ((a, b), (b, a)):
        for i, view in enumerate(mine):
            positive = math.exp(s(view, others[i]))
            negative = 0.0
            for j in range(len(a)):
                if j != i and (labels is None or labels[i] != labels[j]):
                    negative += math.exp(s(view, mine[j])) + math.exp(s(view, others[j]))
            losses.append(-math.log(positive / (positive + negative)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("labels", [None, [3, 5, 3, 0, 5]])
def test_info_nce__is_its_formula(similarity, temperature, labels):
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 4, dtype=torch.float64)
    given = None if labels is None else torch.tensor(labels)
    loss = info_nce(a, b, temperature=temperature, similarity=similarity, labels=given)
    assert loss.item() == pytest.approx(by_hand(a, b, temperature, similarity == "cosine", labels), rel=1e-12)


def test_info_nce__of_equal_views_is_that_of_chance():
    a = torch.ones(6, 3)
    assert info_nce(a, a).item() == pytest.approx(math.log(11))  # one partner among 2 * 6 - 1 others


def test_info_nce__without_negatives_is_zero():
    a, b = torch.randn(2, 4, 3).requires_grad_().unbind()
    loss = info_nce(a, b, labels=torch.zeros(4, dtype=torch.long))
    assert loss.item() == 0
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(loss, [a, b]))


def test_info_nce__counts_the_partner_if_all_else_is_excluded():
    a, b = torch.eye(4)[:2], torch.eye(4)[2:]
    same = info_nce(a, b, labels=torch.tensor([1, 1]))
    other = info_nce(a, b, labels=torch.tensor([1, 2]))
    assert same.item() == 0 and other.item() == pytest.approx(math.log(3))


def test_info_nce__rejects_an_unknown_similarity():
    with pytest.raises(ValueError, match="similarity=cos: choose dot or cosine"):
        info_nce(torch.ones(2, 2), torch.ones(2, 2), similarity="cos")


def test_same_label__draws_others_of_the_label_uniformly():
    torch.manual_seed(0)
    labels = torch.tensor([7, 2, 7, 0, 2, 7, 7])
    same = SameLabel(labels)
    which = torch.arange(len(labels)).repeat(9000)
    drawn = same.draw(which)
    table = torch.zeros(7, 7).index_put_((which, drawn), torch.tensor(1.0), accumulate=True) / 9000
    expected = (labels[:, None] == labels) & ~torch.eye(7, dtype=torch.bool)
    expected = expected / expected.sum(1, keepdim=True).clamp(min=1)
    expected[3, 3] = 1  # the only one with its label
    torch.testing.assert_close(table, expected.float(), atol=0.03, rtol=0)
