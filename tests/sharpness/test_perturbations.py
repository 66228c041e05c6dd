"""Changed histories: dropped, swapped, cut off and replaced events."""

import torch

from recbole_samrec.sharpness.perturbations import cut_events, drop_events, replace_items, swap_events

LENGTHS = torch.tensor([1, 3, 6, 6])
ROWS = torch.tensor([[9, 0, 0, 0, 0, 0], [1, 2, 3, 0, 0, 0], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])


def taken(order, lengths):
    rows = ROWS.gather(1, order)
    return [row[:length].tolist() for row, length in zip(rows, lengths, strict=True)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def plain():
    return [row[:length].tolist() for row, length in zip(ROWS, LENGTHS, strict=True)]


def test_nothing_changes_without_a_share():
    for change in (drop_events, swap_events, cut_events):
        assert taken(*change(LENGTHS, 6, 0.0, generator())) == plain()
    assert torch.equal(replace_items(ROWS, LENGTHS, 0.0, 20, generator()), ROWS)


def test_what_is_dropped_leaves_the_rest_in_order():
    for seed in range(20):
        for row, whole in zip(taken(*drop_events(LENGTHS, 6, 0.5, generator(seed))), plain(), strict=True):
            assert row and row == [item for item in whole if item in row]
    assert taken(*drop_events(LENGTHS, 6, 1.0, generator())) == [[9], [3], [6], [1]]  # the last stays
    long = torch.full((400,), 50)
    assert abs(drop_events(long, 50, 0.3, generator())[1].float().mean() - 35) < 0.5


def test_swapping_everything_takes_the_first_to_the_end():
    assert taken(*swap_events(LENGTHS, 6, 1.0, generator())) == [[9], [2, 3, 1], [2, 3, 4, 5, 6, 1], [5, 4, 3, 2, 1, 6]]
    for row, whole in zip(taken(*swap_events(LENGTHS, 6, 0.5, generator())), plain(), strict=True):
        assert sorted(row) == sorted(whole)


def test_the_last_part_stays_when_the_rest_is_cut_off():
    assert taken(*cut_events(LENGTHS, 6, 0.5, generator())) == [[9], [2, 3], [4, 5, 6], [3, 2, 1]]
    assert taken(*cut_events(LENGTHS, 6, 0.99, generator())) == [[9], [3], [6], [1]]


def test_replaced_items_are_items_and_padding_stays():
    rows = replace_items(ROWS, LENGTHS, 1.0, 20, generator())
    assert ((rows == 0) == (ROWS == 0)).all() and rows.max() < 20
    many = torch.ones(200, 50, dtype=torch.long)
    rows = replace_items(many, torch.full((200,), 50), 0.25, 10_000, generator())
    assert abs((rows != 1).float().mean() - 0.25) < 0.02
