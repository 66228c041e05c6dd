"""Every target is in exactly one window, with at least the guaranteed history."""

import numpy as np

from recbole_samrec.data.windows import compute_largest_stride, cut_windows
from tests.helpers.windows import cases, flat, predictions


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
