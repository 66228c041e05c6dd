"""Every target is predicted exactly once in an epoch, in full batches that processes can share."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from recbole_samrec.data.batches import PackedBatches, count_steps, plan_epoch
from recbole_samrec.data.windows import cut_windows
from tests.helpers.windows import cases, flat, predictions

MIXES = {
    "all of one length": [50] * 40,
    "long ones in small batches": [101] * 20,
    "longer than a batch": [300] * 9,
    "short ones": [2, 3] * 300,
    "one long among short ones": [2] * 500 + [900],
    "one user": [500],
    "hardly anything": [2],
    "many lengths": [2 + number * number % 97 for number in range(60)],
}


def seen(batch):
    """The predictions of a batch: user, target and the items before it."""
    for user, items, length, targets in zip(batch.users, batch.items, batch.lengths, batch.targets, strict=True):
        assert (items[:length] > 0).all() and (items[length:] == 0).all() and (targets[length:] == 0).all()
        for place in torch.nonzero(targets).flatten().tolist():
            yield int(user), int(targets[place]), tuple(items[: place + 1].tolist())


def promised(items, offsets, windows):
    """Predictions of the windows, written out event by event."""
    for user, start, _, predicted in predictions(windows):
        for target in predicted:
            yield user, items[target], tuple(items[start:target].tolist())


@pytest.mark.parametrize("shuffle", [True, False])
def test_packed_batches__hold_what_the_windows_predict(shuffle):
    for (items, offsets, targets), length, stride, most in cases():
        size = most or 20
        batches = PackedBatches(items, offsets, targets, length=length, batch_size=size, stride=stride, shuffle=shuffle)
        epoch = list(batches)
        assert len(epoch) == len(batches)
        found = Counter(one for batch in epoch for one in seen(batch))
        assert found == Counter(promised(items, offsets, batches.windows))
        for batch in epoch:
            assert 0 < torch.count_nonzero(batch.targets) == batch.size <= size
            assert batch.items.shape[1] == batch.lengths.max()
            assert batch.positions.tolist() == batch.targets.flatten().nonzero().flatten().tolist()


@pytest.mark.parametrize("size", [1, 30, 256, 2048])
@pytest.mark.parametrize("mix", MIXES)
def test_packed_batches__have_at_most_5_percent_more_steps(mix, size):
    items, offsets, targets = flat(MIXES[mix])
    batches = PackedBatches(items, offsets, length=200, batch_size=size)
    steps = -(-len(targets) // size)
    assert steps <= len(batches) <= 1.05 * steps
    assert len(list(batches)) == len(batches)


def test_plan_epoch__keeps_windows_whole_in_large_batches():
    items, offsets, _ = flat([40, 90, 20, 160] * 200)
    batches = PackedBatches(items, offsets, length=50, batch_size=2048)
    plan = plan_epoch(batches.windows, 2048, generator=batches.generator)
    assert sorted(plan.starts) == sorted(batches.windows.starts)


def test_packed_batches__put_similar_lengths_together():
    items, offsets, _ = flat(np.random.default_rng(0).integers(2, 200, 3000))
    batches = PackedBatches(items, offsets, length=200, batch_size=2048)
    padded = sum(batch.items.numel() for batch in batches)
    assert padded < 1.15 * batches.windows.lengths.sum()


def test_packed_batches__are_ordered_by_the_generator_alone():
    items, offsets, _ = flat([30] * 50)

    def make(seed):
        generator = torch.Generator().manual_seed(seed)
        return PackedBatches(items, offsets, length=20, batch_size=64, generator=generator)

    def order(batches):
        return [batch.items.tolist() for batch in batches]

    once = make(3)
    first, state = order(once), once.generator.get_state()
    second = order(once)
    assert first != second and order(make(3)) == first != order(make(4))
    again = make(5)
    again.generator.set_state(state)
    assert order(again) == second
    fixed = PackedBatches(items, offsets, length=20, batch_size=64, shuffle=False)
    assert order(fixed) == order(fixed)


def test_packed_batches__are_drawn_when_an_epoch_begins():
    items, offsets, _ = flat([30] * 50)
    batches = PackedBatches(items, offsets, length=20, batch_size=64)
    epoch = iter(batches)
    state = batches.generator.get_state()
    list(epoch)
    assert torch.equal(batches.generator.get_state(), state)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_packed_batches__have_shares_that_add_up(world):
    items, offsets, _ = flat([3, 17, 90, 41] * 30)

    def epoch(rank, world):
        generator = torch.Generator().manual_seed(1)
        options = {"length": 20, "batch_size": 128, "generator": generator}
        return list(PackedBatches(items, offsets, **options, rank=rank, world=world))

    for whole, *shares in zip(epoch(0, 1), *(epoch(rank, world) for rank in range(world)), strict=True):
        counts = [int(torch.count_nonzero(share.targets)) for share in shares]
        assert sum(counts) == whole.size and all(share.size == whole.size for share in shares)
        assert max(counts) - min(counts) <= 0.3 * whole.size / world and min(counts) > 0
        together = Counter(one for share in shares for one in seen(share))
        assert together == Counter(seen(whole))


def test_packed_batches__give_idle_processes_a_sequence():
    items, offsets, _ = flat([3])  # two targets for four processes
    for rank, count in enumerate([0, 1, 0, 1]):
        (batch,) = PackedBatches(items, offsets, length=4, batch_size=8, rank=rank, world=4)
        assert len(batch.users) == 1 and torch.count_nonzero(batch.targets) == count and batch.size == 2


def test_packed_batches__are_none_without_targets():
    batches = PackedBatches(np.array([1, 2]), np.array([0, 1, 2]), length=4, batch_size=8)
    assert len(batches) == 0 and list(batches) == []


def test_count_steps__allows_4_percent_more_for_long_windows():
    assert count_steps(1000, 100, 1) == 10  # 4 % of 10 steps are less than one
    assert count_steps(10_000, 100, 50) == 104
    assert count_steps(10_000, 100, 1) == 102
    assert count_steps(3, 100, 400) == 1
    assert count_steps(0, 100, 0) == 0


def test_plan_epoch__of_two_users_by_hand():
    """Users of three and of five events in batches of three targets: the second user's window is cut in two."""
    windows = cut_windows(np.array([0, 3, 8]), np.array([1, 2, 4, 5, 6, 7]), length=10)
    plan = plan_epoch(windows, 3)
    assert plan.users.tolist() == [0, 1, 1] and plan.starts.tolist() == [0, 3, 3]
    assert plan.lengths.tolist() == [2, 1, 4] and plan.skips.tolist() == [0, 0, 1]
    assert plan.bounds.tolist() == [0, 2, 3] and plan.sizes.tolist() == [3, 3] and plan.order.tolist() == [0, 1]


def test_packed_batches__are_pickled_from_the_cpu(monkeypatch):
    items, offsets, _ = flat([4, 3])
    batches = PackedBatches(items, offsets, length=3, batch_size=8, shuffle=False)
    expected = [list(seen(batch)) for batch in batches]
    moved = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: moved.append(tensor.shape) or cpu(tensor))
    again = pickle.loads(pickle.dumps(batches))
    assert moved == [batches._items.shape, batches._labels.shape]
    assert [list(seen(batch)) for batch in again] == expected
