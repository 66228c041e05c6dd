"""Every target is predicted exactly once, from no less of its history than was promised, in batches that fill up."""

from collections import Counter

import numpy as np
import pytest
import torch

from recbole_samrec.data.batches import PackedBatches, plan_epoch
from recbole_samrec.data.windows import compute_largest_stride, cut_windows

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


def flat(lengths, gap=0.0, seed=0):
    """Items, offsets and targets of users with so many events, a share of whose targets is left out."""
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    targets = np.delete(np.arange(offsets[-1]), offsets[:-1])
    targets = targets[draw.random(len(targets)) >= gap]
    return draw.integers(1, 30, offsets[-1]), offsets, targets


def predictions(windows):
    """For each window: its user, first event, number of events encoded, and its targets."""
    for number, (user, start, length) in enumerate(zip(windows.users, windows.starts, windows.lengths, strict=True)):
        yield user, start, length, windows.targets[windows.bounds[number] : windows.bounds[number + 1]]


def cases():
    """Random users, lengths, strides and gaps."""
    draw = np.random.default_rng(7)
    for seed in range(60):
        lengths = draw.integers(1, 40, draw.integers(1, 12))
        length = int(draw.integers(1, 14))
        stride = [None, 1, int(draw.integers(1, length + 1))][seed % 3]
        most = [None, int(draw.integers(1, 9))][seed % 2]
        yield flat(lengths, gap=[0, 0.3, 0.9][seed % 3], seed=seed), length, stride, most


def test_cut_windows__has_each_target_in_one_window():
    for (_, offsets, targets), length, stride, most in cases():
        windows = cut_windows(offsets, targets, length, stride, most)
        met = []
        for user, start, inputs, predicted in predictions(windows):
            met += predicted.tolist()
            assert offsets[user] <= start < predicted[0] and predicted[-1] < offsets[user + 1]
            assert inputs == predicted[-1] - start <= length  # no event is encoded behind which nothing is predicted
            assert len(predicted) <= (most or length)
            if predicted[0] - offsets[user] > length:
                assert inputs == length
                assert predicted[-1] - predicted[0] < (stride or compute_largest_stride(length))
            else:
                assert start == offsets[user]
        assert met == targets.tolist()


def test_cut_windows__keeps_history_or_half_the_length():
    for (_, offsets, targets), length, _, most in cases():
        for user, start, _, predicted in predictions(cut_windows(offsets, targets, length, None, most)):
            for target in predicted:
                assert target - start >= min(target - offsets[user], -(-length // 2))


def test_cut_windows__takes_the_largest_stride_for_half():
    for length in range(1, 30):
        stride = compute_largest_stride(length)
        assert length - stride + 1 >= -(-length // 2) > length - (stride + 1) + 1


def test_cut_windows__of_stride_1_gives_recboles_samples():
    for (_, offsets, targets), length, _, _ in cases():
        for user, start, inputs, predicted in predictions(cut_windows(offsets, targets, length, 1)):
            if predicted[-1] - offsets[user] > length:
                assert len(predicted) == 1 and start == predicted[0] - length and inputs == length


def test_cut_windows__spreads_targets_evenly():
    _, offsets, targets = flat([31])
    windows = cut_windows(offsets, targets, length=10)  # 10 early targets; 20 late ones, at most 6 to a window
    assert windows.counts.tolist() == [10, 5, 5, 5, 5]
    assert windows.starts.tolist() == [0, 5, 10, 15, 20]


def test_cut_windows__equals_those_by_hand_with_gaps():
    offsets = np.array([0, 4, 5, 16])  # the second user has but one event, and so no target
    targets = np.array([1, 2, 6, 8, 12, 15])  # the first user's last event is no target
    windows = cut_windows(offsets, targets, length=4)
    assert windows.users.tolist() == [0, 2, 2, 2]
    assert windows.starts.tolist() == [0, 5, 8, 11]
    assert windows.lengths.tolist() == [2, 3, 4, 4]
    assert windows.counts.tolist() == [2, 2, 1, 1]


def test_cut_windows__gives_none_without_targets():
    windows = cut_windows(np.array([0, 1, 2]), np.array([], dtype=np.int64), length=4)
    assert len(windows) == 0 and len(windows.lengths) == 0
    batches = PackedBatches(np.array([1, 2]), np.array([0, 1, 2]), length=4, batch_size=8)
    assert len(batches) == 0 and list(batches) == []


# Batches ------------------------------------------------------------------------------------------------------------


def seen(batch):
    """The predictions of a batch: user, target's item and the items before it."""
    for user, items, length, targets in zip(batch.users, batch.items, batch.lengths, batch.targets, strict=True):
        assert (items[:length] > 0).all() and (items[length:] == 0).all() and (targets[length:] == 0).all()
        for place in torch.nonzero(targets).flatten().tolist():
            yield int(user), int(targets[place]), tuple(items[: place + 1].tolist())


def promised(items, offsets, windows):
    """What the windows predict, written out event by event."""
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


@pytest.mark.parametrize("size", [1, 30, 256, 2048])
@pytest.mark.parametrize("mix", MIXES)
def test_packed_batches__have_at_most_5_percent_more_steps(mix, size):
    items, offsets, targets = flat(MIXES[mix])
    batches = PackedBatches(items, offsets, length=200, batch_size=size)
    steps = -(-len(targets) // size)
    assert steps <= len(batches) <= 1.05 * steps
    assert len(list(batches)) == len(batches)


def test_cut_windows__keeps_windows_whole_in_large_batches():
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
