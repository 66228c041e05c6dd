"""The fast parts of a training step compute the same as the slow ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_samrec.layers import transformer as fast
from recbole_samrec.layers.losses import cross_entropy


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 1 / 3, 0.9])
def test_dropout__keeps_the_share_and_the_mean(p):
    torch.manual_seed(0)
    n = 1 << 20
    dropped = fast.dropout(torch.ones(n), p)
    level = round(p * 65536) / 65536
    error = 5 * (level * (1 - level) / n) ** 0.5  # five standard deviations
    assert (dropped == 0).float().mean().item() == pytest.approx(level, abs=error)
    assert dropped.mean().item() == pytest.approx(1, abs=error / (1 - level))
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / (1 - level)).item()}


def test_dropout__scales_by_the_probability_that_it_uses():
    torch.manual_seed(0)
    kept = fast.dropout(torch.ones(1000), 0.2).max().item()
    assert kept == torch.tensor(65536 / (65536 - 13107)).item() != 1.25


def test_dropout__draws_elements_rows_and_calls_independently():
    """The correlation of masks at a distance, and of two masks, is that of independent draws."""
    torch.manual_seed(1)
    n, p = 1 << 20, 0.3
    masks = [(fast.dropout(torch.ones(n), p) == 0).double() - p for _ in range(2)]
    bound = 5 * p * (1 - p) / n**0.5
    for distance in (1, 2, 3, 4, 5, 64, 256, 1024):  # 4 numbers come from one word
        assert abs((masks[0][distance:] * masks[0][:-distance]).mean().item()) < bound
    assert abs((masks[0] * masks[1]).mean().item()) < bound
    ones = np.add.reduceat((masks[0] + p).numpy(), np.arange(0, n, 64))
    assert ones.var() == pytest.approx(64 * p * (1 - p), rel=0.05)


def test_dropout__follows_torchs_generator():
    """SAM's second pass uses the first one's mask when the generator is restored."""
    x = torch.randn(7, 13)
    state = torch.get_rng_state()
    first, other = fast.dropout(x, 0.4), fast.dropout(x, 0.4)
    torch.set_rng_state(state)
    assert torch.equal(fast.dropout(x, 0.4), first)
    assert not torch.equal(first, other)


def test_dropout__passes_gradients_where_values_passed():
    x = torch.randn(50, 30, requires_grad=True)
    result = fast.dropout(x, 0.5)
    result.sum().backward()
    assert torch.equal(x.grad, (result != 0) * torch.tensor(2.0))


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 3, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout__of_any_shape_and_type(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    result = fast.dropout(x, 0.5)
    assert result.shape == x.shape and result.dtype == dtype
    assert set(result.flatten().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-7])
def test_dropout__at_the_ends_of_its_range(p):
    x = torch.randn(100)
    torch.testing.assert_close(fast.dropout(x, p), x if p < 0.5 else torch.zeros(100))


def test_draw_dropout_in_bulk__switches_layers_for_training():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.25)))
    before = model.state_dict()
    fast.draw_dropout_in_bulk(model)
    assert [type(m) for m in (model[1], model[2][0])] == [fast.Dropout] * 2 and model[2][0].p == 0.25
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    x = torch.randn(3, 4)
    assert (model[1](x) == 0).any() and torch.equal(model.eval()[1](x), x)


@pytest.mark.parametrize("training", [True, False])
def test_causal_attention__is_softmax_over_the_past(training):
    """With a dropout that drops nothing, both implementations equal the definition."""
    query, key, value = torch.randn(3, 2, 2, 7, 5).unbind(0)
    drop = nn.Identity() if training else nn.Dropout(0.5).eval()
    drop.p, drop.training = (0.5, True) if training else (0.5, False)
    past = torch.ones(7, 7).tril().bool()
    scores = (query @ key.transpose(-1, -2) / 5**0.5).masked_fill(~past, -torch.inf)
    torch.testing.assert_close(fast.causal_attention(query, key, value, drop), scores.softmax(-1) @ value)


def test_choose_activation__computes_recboles_gelu():
    from recbole.model.layers import FeedForward

    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    block = FeedForward(4, 4, 0.0, "gelu", 1e-12)
    torch.testing.assert_close(fast.choose_activation(block)(x), block.gelu(x))
    assert fast.choose_activation(block) is F.gelu
    assert fast.choose_activation(FeedForward(4, 4, 0.0, "swish", 1e-12))(x).equal(block.swish(x))


class Products(TorchDispatchMode):
    """Records the shapes of all matrix products in bfloat16, as pairs of operands."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            a, b = args[-2:]
            if a.dtype == torch.bfloat16:
                self.shapes.add((*a.shape, *b.shape))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def layers():
    from recbole.model.layers import TransformerEncoder

    torch.manual_seed(0)
    return TransformerEncoder(2, 2, 8, 16, 0.0, 0.0, "gelu", 1e-12).layer


def test_transformer_states__in_bfloat16_reuse_kernels(layers):
    """Compiling a kernel for a shape takes longer than its product."""
    x, table = torch.randn(4, 50, 8), torch.randn(300, 8, requires_grad=True)
    seen = []
    for n in (65, 100, 128):
        with Products() as products:
            with torch.autocast("cpu", torch.bfloat16):
                states = fast.transformer_states(x, layers, torch.arange(n))
                loss = cross_entropy(states, table, torch.arange(n), chunk_elements=300 * 50)
            loss.backward()
        seen.append(products.shapes)
    assert len(seen[0]) > 8 and seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("n", [1, 64, 65])
def test_pad_rows__changes_no_state_and_no_gradient(layers, n):
    x, outer = torch.randn(2, 50, 8, requires_grad=True), torch.randn(n, 8)
    where = torch.randperm(100)[:n]
    wanted = fast.transformer_states(x, layers, torch.arange(100)).flatten(0, -2)[where]
    with torch.autocast("cpu", torch.bfloat16):
        states = fast.transformer_states(x, layers, where)
    assert states.shape == (n, 8)
    torch.testing.assert_close(states, wanted, rtol=0.05, atol=0.05)
    inputs = [x, *layers.parameters()]
    found, right = (torch.autograd.grad((one * outer).sum(), inputs, allow_unused=True) for one in (states, wanted))
    for mine, other in zip(found, right, strict=True):
        assert (mine - other).norm() < 0.05 * other.norm() + 0.05


class SameDraw(torch.nn.Module):
    """Dropout of attention weights that always uses the same mask."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, weights):
        return weights * self.mask


@pytest.mark.parametrize("both_sides", [True, False])
def test_transformer_end_states__equal_those_of_all_positions(layers, both_sides):
    for parameter in layers.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    lengths = torch.tensor([1, 6, 3])
    x, outer = torch.randn(3, 6, 8, requires_grad=True), torch.randn(3, 8)
    attend = fast.make_padded_attention(torch.arange(6) >= lengths[:, None]) if both_sides else fast.causal_attention
    ends = torch.arange(3) * 6 + lengths - 1
    inputs = [x, *layers.parameters()]
    states = fast.transformer_end_states(x, layers, lengths, attend), fast.transformer_states(x, layers, ends, attend)
    torch.testing.assert_close(*states)
    for mine, other in zip(*(torch.autograd.grad((one * outer).sum(), inputs) for one in states), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_attend_from_one__drops_attention_weights(layers):
    attention = layers[0].multi_head_attention
    attention.attn_dropout = SameDraw(torch.randint(0, 3, (2, 2, 6)).float())
    x = torch.randn(2, 6, 8)
    maps = (attention.query, attention.key, attention.value)
    query, key, value = (one(x).view(2, 6, 2, 4).transpose(1, 2) for one in maps)
    weights = (query[:, :, -1:] @ key.transpose(2, 3) / 2).softmax(-1) * attention.attn_dropout.mask.unsqueeze(2)
    right = (weights @ value).reshape(2, 8)
    found = fast.attend_from_one(x[:, -1], x, torch.zeros(2, 6, dtype=torch.bool), attention)
    torch.testing.assert_close(found, right)


def test_compute_by_length__pads_to_the_longest_of_a_group():
    lengths = torch.randint(1, 40, (150,))
    rows = torch.arange(150)[:, None].repeat(1, 50)
    shapes = []

    def states(group, sizes):
        assert torch.equal(lengths[group[:, 0]], sizes) and group.size(1) == sizes.max()
        shapes.append(tuple(group.shape))
        return group[:, :1]

    assert torch.equal(fast.compute_by_length(states, rows, lengths), rows[:, :1])
    assert [shape[0] for shape in shapes] == fast.choose_groups(sorted(lengths.tolist())) and len(shapes) > 1
    assert shapes == sorted(shapes, key=lambda shape: shape[1])


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([40] * 150, [64, 86]),
        ([3] * 500, [500]),
        ([32] * 200, [128, 72]),
        ([200] * 100, [64, 36]),
        ([2] * 64 + [10] * 64, [128]),
        ([2] * 64 + [11] * 64, [64, 64]),
    ],
    ids=["long", "short", "many positions", "too long", "little padding", "much padding"],
)
def test_choose_groups__joins_short_sequences_of_similar_length(lengths, sizes):
    assert fast.choose_groups(lengths) == sizes


def test_compute_by_length__of_nothing_is_empty():
    states = fast.compute_by_length(lambda rows, lengths: rows[:, :1].float(), torch.ones(0, 5), torch.ones(0))
    assert states.shape == (0, 1)
