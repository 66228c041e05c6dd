import numpy as np
import torch

from recbole_samrec.optim.directions import draw_directions


def flatten(pieces):
    return torch.cat([piece.reshape(-1) for piece in pieces])


def test_draw_directions__is_a_standard_gaussian():
    drawn = flatten(draw_directions([torch.empty(100, 50), torch.empty(500)], 1, 0))
    assert abs(drawn.mean()) < 0.05 and abs(drawn.std() - 1) < 0.05 and abs((drawn**4).mean() - 3) < 0.4


def test_draw_directions__depends_on_seed_and_number_alone():
    shapes = [torch.empty(3, 2), torch.empty(5)]
    torch.manual_seed(1)
    state, first = torch.get_rng_state(), flatten(draw_directions(shapes, 7, 3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(flatten(draw_directions(shapes, 7, 3)), first)
    others = [flatten(draw_directions(shapes, seed, number)) for seed, number in ((7, 4), (8, 3))]
    assert not any(torch.equal(other, first) for other in others)


def test_draw_directions__splits_one_vector():
    (word,) = np.random.SeedSequence([7, 3]).generate_state(1, np.uint64)
    whole = torch.randn(40, generator=torch.Generator().manual_seed(int(word) >> 1))
    pieces = draw_directions([torch.empty(5, 4), torch.empty(20)], 7, 3)
    assert [piece.shape for piece in pieces] == [(5, 4), (20,)] and torch.equal(flatten(pieces), whole)


def test_draw_directions__is_sparse_where_the_gradient_is():
    rows = torch.tensor([[3, 1, 3]])
    gradient = torch.sparse_coo_tensor(rows, torch.ones(3, 2), (5, 2))
    (drawn,) = draw_directions([gradient], 0, 0)
    assert drawn.is_sparse and drawn.shape == (5, 2)
    assert drawn.coalesce().indices().tolist() == [[1, 3]] and (drawn.to_dense()[[1, 3]] != 0).all()


def test_draw_directions__of_halves_is_in_single_precision():
    (drawn,) = draw_directions([torch.empty(3, dtype=torch.bfloat16)], 0, 0)
    assert drawn.dtype == torch.float32
