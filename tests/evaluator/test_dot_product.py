"""Vectors are found for scores that are dot products, and for no others."""

import pytest
import torch

from recbole_samrec.evaluator.dot_product import find_dot_product

SAMPLES, ITEMS, SIZE = 7, 31, 5
draw = torch.Generator().manual_seed(1)
USERS, TABLE = torch.randn(SAMPLES, SIZE, generator=draw), torch.randn(ITEMS, SIZE, generator=draw)
BIASES, OTHER = torch.randn(ITEMS, generator=draw), torch.randn(ITEMS, SIZE, generator=draw)

DOTS = {
    "plain": lambda users: users @ TABLE.T,
    "linear": lambda users: torch.nn.functional.linear(users, TABLE, BIASES),
    "temperature": lambda users: users @ TABLE.T / 0.07 + BIASES,
    "negative": lambda users: -(users @ TABLE.T),
    "transposed": lambda users: (TABLE @ users.T).T,
    "einsum": lambda users: torch.einsum("bd,nd->bn", users, TABLE),
    "three axes": lambda users: (users.unsqueeze(1) @ TABLE.T).squeeze(1),
    "sum of two": lambda users: users @ TABLE.T + 0.5 * (users.square() @ OTHER.T),
    "states of a network": lambda users: users.relu().cumsum(1) @ TABLE.relu().T,
    "after another product": lambda users: (torch.softmax(users @ OTHER.T, 1) @ OTHER) @ TABLE.T,
}
OTHERS = {
    "sigmoid": lambda users: (users @ TABLE.T).sigmoid(),
    "distance": lambda users: BIASES - torch.cdist(users, TABLE),
    "product and more": lambda users: users @ TABLE.T + (users.sum(1, keepdim=True) * BIASES).sin(),
    "items of each user": lambda users: torch.einsum("bd,bnd->bn", users, TABLE * users.unsqueeze(1).cos()),
    "no product": lambda users: (users.unsqueeze(1) * TABLE).amax(2),
}


def padded(scores):
    scores = scores.clone()
    scores[:, 0] = -torch.inf
    return scores


@pytest.mark.parametrize("name", DOTS)
def test_find_dot_product__reproduces_scores(name):
    score = DOTS[name]
    found = find_dot_product(lambda: padded(score(USERS)), SAMPLES, ITEMS)
    more = torch.randn(3, SIZE, generator=draw)
    users = found.read_users(lambda: padded(score(more)), 3)
    scores = users @ found.items.T + (0 if found.biases is None else found.biases)
    torch.testing.assert_close(scores[:, 1:], score(more)[:, 1:], rtol=1e-4, atol=1e-4)
    assert (found.biases is None) == (name not in ("linear", "temperature"))


@pytest.mark.parametrize("samples", [2, SAMPLES])
@pytest.mark.parametrize("name", OTHERS)
def test_find_dot_product__finds_none_behind_other_scores(name, samples):
    assert find_dot_product(lambda: padded(OTHERS[name](USERS[:samples])), samples, ITEMS) is None


def test_find_dot_product__of_one_sample_has_no_bias():
    assert find_dot_product(lambda: padded((USERS[:1] @ TABLE.T).sigmoid()), 1, ITEMS) is None
    assert find_dot_product(lambda: padded(USERS[:1] @ TABLE.T), 1, ITEMS).biases is None


def test_read_users__rejects_a_batch_with_other_items():
    tables = iter((TABLE, TABLE, OTHER))
    score = lambda: padded(USERS @ next(tables).T)  # noqa: E731  as of a model whose items depend on the time
    found = find_dot_product(score, SAMPLES, ITEMS)
    assert found.read_users(score, SAMPLES) is not None and found.read_users(score, SAMPLES) is None
