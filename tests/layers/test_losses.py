"""Each loss against its definition written out, value and gradients."""

import functools
import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from recbole_samrec.layers import losses as loss
from recbole_samrec.layers.losses import (
    _chunk_rows,
    bpr,
    compute_gbce_base,
    cross_entropy,
    draw_negatives,
    gbce,
    sampled_softmax,
    score_items,
    score_shared_items,
)
from tests.helpers.tensor_sizes import Sizes

DOUBLE = torch.float64


def problem(n=7, n_rows=11, d=4, dtype=DOUBLE, scale=1.0, seed=0):
    """States, table and targets; the targets contain repetitions and lack item 0."""
    draw = torch.Generator().manual_seed(seed)
    states = torch.randn(n, d, generator=draw, dtype=dtype) * scale
    table = torch.randn(n_rows, d, generator=draw, dtype=dtype)
    targets = torch.randint(1, n_rows, (n,), generator=draw)
    return states.requires_grad_(), table.requires_grad_(), targets


def gradients(loss, *inputs):
    return [g.to_dense() for g in torch.autograd.grad(loss, inputs)]


def written_out(states, table, targets):
    """Mean of -log softmax, one row and one exponential at a time."""
    terms = []
    for state, target in zip(states, targets.tolist(), strict=True):
        scores = [state @ row for row in table]
        highest = max(score.item() for score in scores)
        terms.append(highest + torch.log(sum(torch.exp(s - highest) for s in scores)) - scores[target])
    return sum(terms) / len(terms)


class TestCrossEntropy:
    @pytest.mark.parametrize("chunk_elements", [None, 1, 11, 25, 34, 10**6])
    @pytest.mark.parametrize("n", [1, 7])
    def test_is_its_definition_whatever_the_chunks(self, n, chunk_elements):
        states, table, targets = problem(n)
        expected = written_out(states, table, targets)
        loss = cross_entropy(states, table, targets, chunk_elements=chunk_elements)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(
            gradients(loss, states, table), gradients(expected, states, table), rtol=1e-12, atol=1e-14
        )

    def test_equals_the_plain_form_and_torch(self):
        states, table, targets = problem(50, 301, 8)
        expected = F.cross_entropy(states @ table.T, targets)
        wanted = gradients(expected, states, table)
        for fused in (True, False):
            loss = cross_entropy(states, table, targets, fused=fused, chunk_elements=1000)
            torch.testing.assert_close(loss, expected)
            torch.testing.assert_close(gradients(loss, states, table), wanted)

    def test_is_the_same_without_gradients_or_with_one_of_them(self):
        states, table, targets = problem()
        expected = gradients(cross_entropy(states, table, targets), states, table)
        loss = cross_entropy(states, table, targets)
        with torch.no_grad():
            assert torch.equal(cross_entropy(states, table, targets), loss)
        assert not cross_entropy(states.detach(), table.detach(), targets).requires_grad
        only = torch.autograd.grad(cross_entropy(states, table.detach(), targets), states)
        torch.testing.assert_close(only[0], expected[0])
        only = torch.autograd.grad(cross_entropy(states.detach(), table, targets), table)
        torch.testing.assert_close(only[0], expected[1])

    def test_an_outer_factor_scales_the_gradient(self):
        states, table, targets = problem()
        once = gradients(cross_entropy(states, table, targets), states, table)
        thrice = gradients(3 * cross_entropy(states, table, targets), states, table)
        torch.testing.assert_close(thrice, [3 * g for g in once])

    @pytest.mark.parametrize("denominator", [5.0, torch.tensor(5)])
    @pytest.mark.parametrize("fused", [True, False])
    def test_parts_with_a_shared_denominator_add_up(self, fused, denominator):
        states, table, targets = problem(5)
        whole = cross_entropy(states, table, targets)
        share = functools.partial(cross_entropy, denominator=denominator, fused=fused)
        parts = share(states[:2], table, targets[:2]) + share(states[2:], table, targets[2:])
        torch.testing.assert_close(parts, whole)
        torch.testing.assert_close(gradients(parts, states, table), gradients(whole, states, table))

    @pytest.mark.parametrize("fused", [True, False])
    def test_an_empty_batch_costs_nothing_and_pulls_nowhere(self, fused):
        states, table, targets = problem()
        loss = cross_entropy(states[:0], table, targets[:0], fused=fused)
        assert loss.item() == 0
        assert all(g.count_nonzero() == 0 for g in gradients(loss, states, table))

    def test_large_logits_neither_overflow_nor_lose_the_loss(self):
        states = torch.tensor([[1000.0], [-1000.0]], requires_grad=True)
        table = torch.tensor([[0.0], [1.0], [2.0]], requires_grad=True)
        loss = cross_entropy(states, table, torch.tensor([1, 1]))
        assert loss.item() == 1000  # both rows rank another item 1000 above the target
        of_states, of_table = gradients(loss, states, table)
        assert of_states.flatten().tolist() == [0.5, -0.5]
        assert of_table.flatten().tolist() == [-500, 0, 500]

    @pytest.mark.parametrize("n", [1, 61, 64, 200])
    def test_under_autocast_is_near_the_loss_of_single_precision(self, n):
        states, table, targets = problem(n, 200, 16, torch.float32)
        exact = cross_entropy(states, table, targets)
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(states, table, targets, chunk_elements=200 * 13)
            plain = cross_entropy(states, table, targets, fused=False)
        assert loss.dtype == plain.dtype == torch.float32
        torch.testing.assert_close(loss, plain, rtol=1e-6, atol=1e-6)  # products alike, the rest in single precision
        torch.testing.assert_close(loss, exact, rtol=1e-2, atol=1e-2)
        for got, wanted in zip(gradients(loss, states, table), gradients(exact, states, table), strict=True):
            assert got.dtype == torch.float32
            assert (got - wanted).norm() < 0.01 * wanted.norm()

    def test_gradients_come_in_the_type_of_their_tensors(self):
        states, table, targets = problem(dtype=torch.float32)
        half = states.detach().half().requires_grad_()
        of_states, of_table = gradients(cross_entropy(half, table, targets), half, table)
        assert (of_states.dtype, of_table.dtype) == (torch.float16, torch.float32)

    def test_a_loss_scale_saves_half_precision_from_underflow(self):
        states, table, targets = problem(dtype=torch.float32)
        half = states.detach().half().requires_grad_()
        wanted = gradients(cross_entropy(half, table, targets, denominator=1.0), half)
        small = cross_entropy(half, table, targets, denominator=1e9)
        torch.testing.assert_close(gradients(1e9 * small, half), wanted)

    def test_is_differentiated_once_fused_and_twice_plain(self):
        states, table, targets = problem()
        with pytest.raises(RuntimeError, match="only once: use fused=False"):
            torch.autograd.grad(cross_entropy(states, table, targets), states, create_graph=True)
        assert torch.autograd.gradgradcheck(
            lambda s, t: cross_entropy(s, t, targets, fused=False), (states, table), atol=1e-6
        )

    def test_retained_graph_gives_the_same_gradient_again(self):
        states, table, targets = problem()
        once = gradients(cross_entropy(states, table, targets), states, table)
        loss = cross_entropy(states, table, targets)
        for _ in range(3):
            loss.backward(retain_graph=True)
        torch.testing.assert_close([states.grad, table.grad], [3 * g for g in once])

    def test_memory_is_a_chunk_of_logits(self):
        states, table, targets = problem(256, 300, 4, torch.float32)
        with Sizes() as sizes:
            cross_entropy(states, table, targets, chunk_elements=10 * 300).backward()
        assert sizes.largest == 10 * 300

    def test_a_backward_from_one_copies_no_gradient(self):
        states, table, targets = problem(32, 300, 4, torch.float32)
        loss = cross_entropy(states, table, targets)
        computed = [g.data_ptr() for g in loss.grad_fn.saved_tensors]
        loss.backward()
        assert [states.grad.data_ptr(), table.grad.data_ptr()] == computed

    @pytest.mark.parametrize("n_rows", [2, 1_683, 12_102, 100_000, 10**6, 10**7])
    def test_chunks_are_bounded_by_default(self, n_rows):
        rows = _chunk_rows(2_048, n_rows, None, torch.device("cpu"))
        assert 1 <= rows <= 2_048
        assert 4 * rows * n_rows <= 128 * 2**20
        assert rows >= 128 or n_rows >= 10**6

    def test_chunks_follow_the_memory_of_a_gpu(self, monkeypatch):
        asked = []
        monkeypatch.setattr(loss, "measure_budget", lambda device, share: asked.append(share) or 2**30)
        assert _chunk_rows(2_048, 10**6, None, torch.device("cuda")) == 268 and asked == [1 / 64]
        assert _chunk_rows(2_048, 10**6, 3 * 10**6, torch.device("cuda")) == 3


def written_out_sampled(states, table, targets, negatives, frequencies):
    """The formula of the docstring, draw by draw."""
    n, k, n_items = len(targets), len(negatives), len(table) - 1
    terms = []
    for i, target in enumerate(targets.tolist()):
        draws = negatives.tolist()
        if frequencies is not None:
            draws += [targets[j].item() for j in range(n) if j != i]
        total = torch.exp(states[i] @ table[target])
        for item in draws:
            expected = k / n_items + (0 if frequencies is None else (n - 1) * frequencies[item])
            if item != target:
                total = total + torch.exp(states[i] @ table[item]) / expected
        terms.append(torch.log(total) - states[i] @ table[target])
    return sum(terms) / n


def shares(n_rows):
    """Frequencies of items; the padding item has none."""
    weights = torch.arange(n_rows, dtype=DOUBLE)
    return weights / weights.sum()


class TestSampledSoftmax:
    @pytest.mark.parametrize("fused", [True, False])
    @pytest.mark.parametrize("in_batch", [True, False])
    @pytest.mark.parametrize("n", [1, 7])
    def test_is_its_definition(self, n, in_batch, fused):
        states, table, targets = problem(n)
        frequencies = shares(11) if in_batch else None
        negatives = torch.tensor([3, 9, 3, targets[0].item(), 1])  # one twice, one an accidental hit
        expected = written_out_sampled(states, table, targets, negatives, frequencies)
        loss = sampled_softmax(states, table, targets, negatives, frequencies, fused=fused, chunk_elements=16)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradients(loss, states, table), gradients(expected, states, table))

    @pytest.mark.parametrize("fused", [True, False])
    def test_sparse_gradients_equal_dense_ones(self, fused):
        states, table, targets = problem()
        negatives = torch.tensor([3, 9, 3, 5])
        dense = gradients(sampled_softmax(states, table, targets, negatives, shares(11)), table)
        loss = sampled_softmax(states, table, targets, negatives, shares(11), sparse=True, fused=fused)
        (gradient,) = torch.autograd.grad(loss, table)
        assert gradient.is_sparse
        assert set(gradient.coalesce().indices()[0].tolist()) == {3, 5, 9, *targets.tolist()}
        torch.testing.assert_close(gradient.to_dense(), dense[0])

    def test_the_softmaxs_sum_is_unbiased(self):
        """The mean over every possible draw, two negatives and another row's target, is the sum over all items."""
        table, state = problem(1, 5)[1], problem(1, 5, seed=1)[0]
        states = torch.cat([state, torch.zeros_like(state)])  # the other row scores 0 everywhere: its loss is known
        target, p, mean = 2, shares(5), 0
        for first, second, other in itertools.product(range(1, 5), repeat=3):
            both = sampled_softmax(
                states, table, torch.tensor([target, other]), torch.tensor([first, second]), p, denominator=1
            )
            others = 1 + sum(1 / (2 / 4 + p[c]) for c in (first, second, target) if c != other)
            mean = mean + p[other] / 16 * torch.exp(both) / others
        scores = torch.exp(table @ state[0])
        torch.testing.assert_close(mean, scores[1:].sum() / scores[target])

    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("fused", [False, True])
    def test_without_waiting_for_a_gpu_is_the_same(self, fused, sparse, monkeypatch):
        """On a GPU the list of candidates has its maximum length, and the items that fill it have no weight."""
        for negatives in (torch.tensor([1, 1, 4]), torch.arange(1, 11), torch.tensor([7] * 30)):
            states, table, targets = problem()
            make = functools.partial(sampled_softmax, states, table, targets, negatives, shares(11), sparse=sparse)
            here = make(fused=fused)
            with monkeypatch.context() as patch:
                patch.setattr(loss, "_find_distinct", loss._find_distinct_without_waiting)
                there = make(fused=fused)
            torch.testing.assert_close(there, here)
            torch.testing.assert_close(gradients(there, states, table), gradients(here, states, table))

    @pytest.mark.parametrize("k", [10, 20])
    def test_equally_frequent_negatives_give_the_softmax_over_items(self, k):
        states, table, targets = problem()
        negatives = torch.arange(1, 11).repeat(k // 10)
        expected = F.cross_entropy(states @ table[1:].T, targets - 1)
        torch.testing.assert_close(sampled_softmax(states, table, targets, negatives), expected)

    def test_in_batch_targets_count_beside_the_uniform_ones(self):
        """Ten different targets and each item once as negative: two draws of each other item, 1.9 expected."""
        states, table, _ = problem(10)
        items = torch.arange(1, 11)
        frequencies = torch.full((11,), 0.1, dtype=DOUBLE)
        weights = torch.full((10, 10), math.log(2 / 1.9), dtype=DOUBLE).fill_diagonal_(0)
        expected = F.cross_entropy(states @ table[1:].T + weights, items - 1)
        torch.testing.assert_close(sampled_softmax(states, table, items, items, frequencies), expected)

    def test_no_tensor_grows_with_the_catalogue(self):
        largest = []
        for n_rows in (1_000, 100_000):
            states, table, _ = problem(8, n_rows, 4, torch.float32)
            targets, negatives, frequencies = (
                torch.arange(30, 38),
                torch.arange(1, 33),
                torch.full((n_rows,), 1 / n_rows),
            )
            with Sizes(table) as sizes:
                sampled_softmax(states, table, targets, negatives, frequencies, sparse=True).backward()
            largest.append(sizes.largest)
        assert largest[0] == largest[1] < 1_000

    def test_an_empty_batch_costs_nothing_and_pulls_nowhere(self):
        states, table, targets = problem()
        loss = sampled_softmax(states[:0], table, targets[:0], torch.tensor([1, 2]), shares(11))
        assert loss.item() == 0
        assert all(g.count_nonzero() == 0 for g in gradients(loss, states, table))

    def test_without_negatives_is_refused(self):
        with pytest.raises(ValueError, match="at least one"):
            sampled_softmax(*problem(), torch.empty(0, dtype=torch.int64))


class TestGBCE:
    @pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
    def test_is_its_definition(self, t):
        draw = torch.Generator().manual_seed(0)
        positive = torch.randn(5, generator=draw, dtype=DOUBLE).requires_grad_()
        negative = torch.randn(5, 3, generator=draw, dtype=DOUBLE).requires_grad_()
        alpha = 3 / (20 - 1)
        beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
        inner = torch.log(torch.sigmoid(positive) ** beta) + torch.log(1 - torch.sigmoid(negative)).sum(1)
        expected = (-inner / (3 + 1)).mean()
        loss = gbce(positive, negative, 20, t)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradients(loss, positive, negative), gradients(expected, positive, negative))

    @pytest.mark.parametrize("t", [0.0, 0.75])
    def test_the_base_is_the_best_of_all_constant_scores(self, t):
        base = compute_gbce_base(256, 1681, t)
        scores = [torch.tensor(s) for s in (base, base - 1, base + 1)]
        losses = {s.item(): gbce(s.expand(1), s.expand(1, 256), 1681, t).item() for s in scores}
        assert min(losses, key=losses.get) == pytest.approx(base)
        score = torch.tensor(base, dtype=DOUBLE, requires_grad=True)
        (slope,) = torch.autograd.grad(gbce(score.expand(1), score.expand(1, 256), 1681, t), score)
        assert abs(slope) < 1e-12

    def test_without_calibration_is_binary_cross_entropy(self):
        scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        labels = torch.tensor([1.0, 0, 0, 0]).expand(5, 4)
        expected = F.binary_cross_entropy_with_logits(scores, labels)
        torch.testing.assert_close(gbce(scores[:, 0], scores[:, 1:], 50, 0.0), expected)

    def test_with_all_negatives_calibration_changes_nothing(self):
        scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        plain, calibrated = (gbce(scores[:, 0], scores[:, 1:], 4, t) for t in (0.0, 1.0))
        torch.testing.assert_close(plain, calibrated)

    def test_large_scores_stay_finite(self):
        positive = torch.tensor([-1000.0], requires_grad=True)
        negative = torch.tensor([[1000.0, -math.inf]], requires_grad=True)
        loss = gbce(positive, negative, 3, 0.0)
        assert loss.item() == pytest.approx(2000 / 3)
        of_positive, of_negative = gradients(loss, positive, negative)
        assert of_positive.tolist() == pytest.approx([-1 / 3])
        assert of_negative[0].tolist() == pytest.approx([1 / 3, 0])

    def test_an_empty_batch_costs_nothing(self):
        assert gbce(torch.empty(0), torch.empty(0, 3), 20, 0.5).item() == 0

    def test_refuses_a_calibration_out_of_range(self):
        with pytest.raises(ValueError, match=r"t must be between 0 and 1, not 1\.5"):
            gbce(torch.zeros(1), torch.zeros(1, 1), 20, 1.5)


class TestBPR:
    def test_is_its_definition_and_recboles_value(self):
        from recbole.model.loss import BPRLoss

        positive = torch.tensor([0.3, -2.0, 100.0, -100.0], dtype=DOUBLE, requires_grad=True)
        negative = torch.tensor([1.0, 0.5, -100.0, 100.0], dtype=DOUBLE, requires_grad=True)
        pairs = zip(positive.tolist(), negative.tolist(), strict=True)
        expected = [-math.log(1e-10 + 1 / (1 + math.exp(n - p))) for p, n in pairs]
        loss = bpr(positive, negative)
        assert loss.item() == pytest.approx(sum(expected) / 4)
        reference = BPRLoss()(positive, negative)
        torch.testing.assert_close(loss, reference)
        torch.testing.assert_close(
            gradients(loss, positive, negative), gradients(reference, positive, negative), rtol=1e-12, atol=0
        )

    def test_an_empty_batch_costs_nothing(self):
        assert bpr(torch.empty(0), torch.empty(0)).item() == 0

    def test_parts_with_a_shared_denominator_add_up(self):
        scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
        parts = bpr(*scores[:, :2], denominator=5) + bpr(*scores[:, 2:], denominator=5)
        torch.testing.assert_close(parts, bpr(*scores))


class TestScores:
    @pytest.mark.parametrize("sparse", [True, False])
    @pytest.mark.parametrize("shape", [(7,), (7, 3)])
    @pytest.mark.parametrize("dense", [0, 32])
    def test_of_each_rows_own_items(self, monkeypatch, dense, shape, sparse):
        monkeypatch.setattr(loss, "DENSE_ITEMS", dense)
        states, table, _ = problem()
        items = torch.randint(1, 11, shape, generator=torch.Generator().manual_seed(0))
        scores = score_items(states, table, items, sparse=sparse)
        expected = torch.einsum("nd,n...d->n...", states, table[items])
        torch.testing.assert_close(scores, expected)
        (gradient,) = torch.autograd.grad(scores.square().sum(), table, retain_graph=True)
        assert gradient.is_sparse == sparse
        wanted = gradients(expected.square().sum(), states, table)
        torch.testing.assert_close(gradients(scores.square().sum(), states, table), wanted)

    @pytest.mark.parametrize("sparse", [True, False])
    def test_of_shared_negatives_leave_out_the_own_target(self, sparse):
        states, table, targets = problem()
        negatives = torch.tensor([2, targets[3].item(), 7, 2])
        scores = score_shared_items(states, table, negatives, targets, sparse=sparse)
        for i, target in enumerate(targets.tolist()):
            for j, item in enumerate(negatives.tolist()):
                wanted = -math.inf if item == target else (states[i] @ table[item]).item()
                assert scores[i, j].item() == pytest.approx(wanted)
        loss = gbce(score_items(states, table, targets, sparse=sparse), scores, 10, 0.5)
        (gradient,) = torch.autograd.grad(loss, table)
        assert gradient.is_sparse == sparse
        assert gradient.to_dense().isfinite().all()


class TestUniformNegatives:
    def test_are_uniform_over_the_items(self):
        draws = draw_negatives(5, (40_000,), generator=torch.Generator().manual_seed(0))
        counts = torch.bincount(draws, minlength=5)
        assert counts[0] == 0 and len(counts) == 5
        assert (counts[1:] - 10_000).abs().max() < 500  # five standard deviations are 433

    def test_are_uniform_over_the_others_of_a_target(self):
        targets = torch.tensor([1, 3, 4])
        draws = draw_negatives(5, (3, 30_000), targets=targets.unsqueeze(1), generator=torch.Generator().manual_seed(0))
        for target, row in zip(targets.tolist(), draws, strict=True):
            counts = torch.bincount(row, minlength=5)
            assert len(counts) == 5 and counts[0] == counts[target] == 0
            assert (counts[[i for i in range(1, 5) if i != target]] - 10_000).abs().max() < 500

    def test_are_replayed_with_torchs_random_state(self):
        before = torch.get_rng_state()
        first = draw_negatives(1000, (20,), targets=torch.tensor(3))
        torch.set_rng_state(before)
        assert torch.equal(draw_negatives(1000, (20,), targets=torch.tensor(3)), first)

    @pytest.mark.parametrize(("n_rows", "targets"), [(1, None), (2, torch.tensor(1))])
    def test_without_an_item_to_draw_are_refused(self, n_rows, targets):
        with pytest.raises(ValueError, match="no item to draw"):
            draw_negatives(n_rows, (3,), targets=targets)
