"""RowAdam against torch's Adam and against Adam written out for one row."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from recbole_samrec.optim.hook import SAMHook
from recbole_samrec.optim.perturbation import perturb
from recbole_samrec.optim.row_adam import RowAdam
from recbole_samrec.optim.schedule import SAMSettings
from tests.helpers.tensor_sizes import Sizes

SETTINGS = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}


def table(n_rows=6, d=3, dtype=torch.float64):
    weights = torch.randn(n_rows, d, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return nn.Embedding.from_pretrained(weights, freeze=False, sparse=True)


def row_gradient(rows, values):
    """A gradient of :func:`table` with the given rows, uncoalesced."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return torch.sparse_coo_tensor(torch.tensor([rows]).long(), values, (6, 3), check_invariants=True)


def loss_of(embedding, rows, power=2):
    """A loss that reads some rows, possibly one of them twice, with gradients of different sizes."""
    read = embedding(torch.tensor(rows))
    factors = torch.arange(1, read.numel() + 1, dtype=read.dtype).view_as(read)
    return (factors * read**power).sum()


def sparse_step(optimizer, embedding, rows):
    optimizer.zero_grad()
    loss_of(embedding, rows).backward()
    optimizer.step()


class RowByRow:
    """Adam written out in Python numbers for each row separately."""

    def __init__(self, weight, lr, betas, eps):
        self.lr, (self.beta1, self.beta2), self.eps = lr, betas, eps
        self.weight = weight.detach().tolist()
        self.state = {row: (0, [0.0] * weight.shape[1], [0.0] * weight.shape[1]) for row in range(len(weight))}

    def step(self, rows, gradient):
        for row in set(rows):
            count, first, second = self.state[row]
            count += 1
            for i, g in enumerate(gradient[row].tolist()):
                first[i] = self.beta1 * first[i] + (1 - self.beta1) * g
                second[i] = self.beta2 * second[i] + (1 - self.beta2) * g * g
                mean = first[i] / (1 - self.beta1**count)
                square = second[i] / (1 - self.beta2**count)
                self.weight[row][i] -= self.lr * mean / (math.sqrt(square) + self.eps)
            self.state[row] = (count, first, second)


class TestDense:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("weight_decay", [0.0, 0.1])
    def test_is_adam_bit_for_bit(self, weight_decay, dtype):
        torch.manual_seed(0)
        ours = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).to(dtype)
        theirs = copy.deepcopy(ours)
        inputs = torch.randn(10, 5, dtype=dtype)
        optimizers = [
            (ours, RowAdam(ours.parameters(), **SETTINGS, weight_decay=weight_decay)),
            (theirs, torch.optim.Adam(theirs.parameters(), **SETTINGS, weight_decay=weight_decay)),
        ]
        for _ in range(5):
            for model, optimizer in optimizers:
                optimizer.zero_grad()
                model(inputs).square().sum().backward()
                optimizer.step()
        for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, reference)


class TestSparse:
    def test_is_adam_written_out_for_each_row(self):
        embedding = table()
        reference = RowByRow(embedding.weight, **SETTINGS)
        optimizer = RowAdam(embedding.parameters(), **SETTINGS)
        for rows in ([1, 4], [4], [2, 1, 4], [5, 5, 1], [1], [2, 5]):
            sparse_step(optimizer, embedding, rows)
            reference.step(rows, embedding.weight.grad.to_dense())
            expected = torch.tensor(reference.weight, dtype=torch.float64)
            torch.testing.assert_close(embedding.weight.detach(), expected, rtol=1e-13, atol=1e-15)

    def test_rows_without_gradient_keep_their_bits(self):
        embedding = table(dtype=torch.float32)
        optimizer = RowAdam(embedding.parameters(), **SETTINGS)
        sparse_step(optimizer, embedding, [0, 1, 2, 3, 4, 5])
        state = optimizer.state[embedding.weight]
        before = [t.detach().clone() for t in (embedding.weight, *state.values())]
        sparse_step(optimizer, embedding, [1, 4])
        for old, new in zip(before, (embedding.weight, *state.values()), strict=True):
            assert torch.equal(old[[0, 2, 3, 5]], new[[0, 2, 3, 5]])
            assert (old[[1, 4]] != new[[1, 4]]).all()

    @pytest.mark.parametrize("earlier", [[], [[3], [5]]])
    def test_a_rows_first_step_is_adams_first_step(self, earlier):
        embedding = table(dtype=torch.float32)
        optimizer = RowAdam(embedding.parameters(), **SETTINGS)
        for rows in earlier:
            sparse_step(optimizer, embedding, rows)
        dense = nn.Parameter(embedding.weight.detach().clone())
        adam = torch.optim.Adam([dense], **SETTINGS)
        sparse_step(optimizer, embedding, [1, 4])
        dense.grad = embedding.weight.grad.to_dense()
        adam.step()
        torch.testing.assert_close(embedding.weight[[1, 4]], dense[[1, 4]])

    def test_all_rows_in_every_step_is_adam(self):
        embedding = table()
        dense = nn.Parameter(embedding.weight.detach().clone())
        optimizer, adam = RowAdam(embedding.parameters(), **SETTINGS), torch.optim.Adam([dense], **SETTINGS)
        for _ in range(5):
            sparse_step(optimizer, embedding, [0, 1, 2, 3, 4, 5])
            dense.grad = embedding.weight.grad.to_dense()
            adam.step()
        torch.testing.assert_close(embedding.weight.detach(), dense.detach(), rtol=1e-13, atol=1e-15)

    def test_a_row_read_twice_takes_one_step_by_the_sum(self):
        twice, once = table(), table()
        for embedding, rows, values in (
            (twice, [2, 2], [[1.0, 2, 3], [4, 5, -6]]),
            (once, [2], [[5.0, 7, -3]]),
        ):
            embedding.weight.grad = row_gradient(rows, values)
            RowAdam(embedding.parameters(), **SETTINGS).step()
        assert torch.equal(twice.weight, once.weight)

    def test_a_gradient_without_rows_changes_nothing(self):
        embedding = table()
        before = embedding.weight.detach().clone()
        optimizer = RowAdam(embedding.parameters(), **SETTINGS)
        embedding.weight.grad = row_gradient([], torch.empty(0, 3))
        optimizer.step()
        assert torch.equal(embedding.weight, before)

    def test_no_step_makes_a_tensor_as_large_as_the_table(self):
        embedding = table(1_000, 8, torch.float32)
        optimizer = RowAdam(embedding.parameters(), **SETTINGS)
        sparse_step(optimizer, embedding, [1, 2])  # makes the moments
        optimizer.zero_grad()
        loss_of(embedding, [3, 4, 4]).backward()
        with Sizes(embedding.weight, *optimizer.state[embedding.weight].values()) as sizes:
            optimizer.step()
        assert sizes.largest == 2 * 8  # the two rows


class TestOptimizer:
    def both_kinds(self):
        torch.manual_seed(0)
        embedding, linear = table(dtype=torch.float32), nn.Linear(3, 1)
        return embedding, linear, RowAdam([*embedding.parameters(), *linear.parameters()], **SETTINGS)

    def step(self, embedding, linear, optimizer, rows):
        optimizer.zero_grad()
        linear(embedding(torch.tensor(rows))).square().sum().backward()
        optimizer.step()

    def test_goes_on_from_its_state_bit_for_bit(self, tmp_path):
        embedding, linear, optimizer = self.both_kinds()
        for rows in ([1, 2], [2, 5]):
            self.step(embedding, linear, optimizer, rows)
        torch.save([m.state_dict() for m in (embedding, linear, optimizer)], tmp_path / "state")
        other = self.both_kinds()
        for module, state in zip(other, torch.load(tmp_path / "state"), strict=True):
            module.load_state_dict(state)
        for mine, theirs in zip(tree_leaves(optimizer.state_dict()), tree_leaves(other[2].state_dict()), strict=True):
            same = torch.equal(mine, theirs) and mine.dtype == theirs.dtype if torch.is_tensor(mine) else mine == theirs
            assert same
        self.step(embedding, linear, optimizer, [1, 5, 0])
        self.step(*other, [1, 5, 0])
        assert torch.equal(embedding.weight, other[0].weight)
        assert torch.equal(linear.weight, other[1].weight)

    def test_hooks_fire_once_a_step(self):
        embedding, linear, optimizer = self.both_kinds()
        fired = []
        optimizer.register_step_pre_hook(lambda *_: fired.append("before"))
        optimizer.register_step_post_hook(lambda *_: fired.append("after"))
        self.step(embedding, linear, optimizer, [1])
        assert fired == ["before", "after"]

    def test_takes_sams_gradient(self):
        embedding, expected = table(), table()
        loss_of(expected, [1, 4], power=3).backward()
        with perturb(expected.parameters(), rho=0.5):
            expected.zero_grad()
            loss_of(expected, [1, 4], power=3).backward()
        RowAdam(expected.parameters(), **SETTINGS).step()

        optimizer, sam = RowAdam(embedding.parameters(), **SETTINGS), SAMHook(embedding, SAMSettings(rho=0.5))
        sam.attach(optimizer)
        sam.begin_epoch(0, 1, lambda: torch.ones(6))
        sam.recorded(lambda rows: loss_of(embedding, rows, power=3))([1, 4]).backward()
        optimizer.step()
        assert torch.equal(embedding.weight, expected.weight)

    def test_a_scheduler_sets_its_learning_rate(self):
        embedding = table()
        optimizer = RowAdam(embedding.parameters(), lr=1.0)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
        for row, lr in ((1, 1.0), (2, 0.1), (3, 0.01)):
            before = embedding.weight.detach().clone()
            sparse_step(optimizer, embedding, [row])
            scheduler.step()
            moved = (embedding.weight - before).abs()[row]  # a first step is as long as the learning rate
            torch.testing.assert_close(moved, torch.full_like(moved, lr), rtol=1e-6, atol=0)

    def test_returns_the_closures_loss(self):
        embedding = table()
        optimizer = RowAdam(embedding.parameters())

        def closure():
            optimizer.zero_grad()
            loss = loss_of(embedding, [1])
            loss.backward()
            return loss

        expected = loss_of(embedding, [1])
        assert optimizer.step(closure) == expected
        assert embedding.weight.grad is not None

    def test_refuses_weight_decay_of_rows(self):
        embedding = table()
        optimizer = RowAdam(embedding.parameters(), weight_decay=0.1)
        with pytest.raises(ValueError, match="weight_decay"):
            sparse_step(optimizer, embedding, [1])

    def test_refuses_a_gradient_now_sparse_now_dense(self):
        embedding = table()
        optimizer = RowAdam(embedding.parameters())
        sparse_step(optimizer, embedding, [1])
        embedding.weight.grad = torch.ones_like(embedding.weight)
        with pytest.raises(ValueError, match="sparse in every step"):
            optimizer.step()

    def test_refuses_more_sparse_dimensions_than_rows(self):
        embedding = table()
        embedding.weight.grad = torch.eye(6, 3).double().to_sparse()
        with pytest.raises(ValueError, match="sparse in 2 dimensions"):
            RowAdam(embedding.parameters()).step()

    @pytest.mark.parametrize("setting", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"eps": -1.0}, {"weight_decay": -1.0}])
    def test_refuses_settings_out_of_range(self, setting):
        with pytest.raises(ValueError, match=f"{next(iter(setting))}=.* out of its range"):
            RowAdam(table().parameters(), **setting)
