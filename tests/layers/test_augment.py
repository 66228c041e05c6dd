"""Crop, mask and reorder follow their definitions in each row, and choose uniformly."""

import torch

from recbole_samrec.layers.augment import augment, crop, mask, reorder

MASK = 99
RATES = {"crop_rate": 0.6, "mask_rate": 0.3, "reorder_rate": 0.6}
LENGTHS = (1, 2, 3, 5, 9, 10)


def rows(*lengths, width=10):
    """Left-aligned rows that contain 1, 2, 3 and so on, and their lengths."""
    lengths = torch.tensor(lengths)
    place = torch.arange(width)
    return (place + 1) * (place < lengths[:, None]), lengths


def shares(kinds, draws):
    """The frequency of each of some outcomes."""
    found, counts = torch.unique(kinds, dim=0, return_counts=True)
    return found.tolist(), counts / draws


def test_crop__keeps_a_stretch_of_the_right_length():
    torch.manual_seed(0)
    kept = {1: 1, 2: 1, 3: 1, 5: 3, 9: 5, 10: 6}  # floor(0.6 n), at least 1
    for _ in range(50):
        items, lengths = crop(*rows(*LENGTHS), 0.6)
        assert lengths.tolist() == [kept[n] for n in LENGTHS]
        for row, size, length in zip(items.tolist(), lengths.tolist(), LENGTHS, strict=True):
            first = row[0]
            assert row == [*range(first, first + size), *[0] * (10 - size)] and first + size - 1 <= length
    whole, lengths = rows(*LENGTHS)
    assert torch.equal(crop(whole, lengths, 1.0)[0], whole)
    assert crop(whole, lengths, 0.0)[1].tolist() == [1] * len(LENGTHS)


def test_crop__draws_every_stretch_alike():
    torch.manual_seed(0)
    items, _ = crop(*rows(*[5] * 20_000, width=7), 0.6)
    found, share = shares(items, 20_000)
    assert found == [[1, 2, 3, 0, 0, 0, 0], [2, 3, 4, 0, 0, 0, 0], [3, 4, 5, 0, 0, 0, 0]]
    torch.testing.assert_close(share, torch.full((3,), 1 / 3), atol=0.02, rtol=0)


def test_mask__replaces_the_right_number_of_items():
    torch.manual_seed(0)
    replaced = {1: 0, 2: 0, 3: 0, 5: 1, 9: 2, 10: 3}  # floor(0.3 n)
    before, lengths = rows(*LENGTHS)
    for _ in range(50):
        items, sizes = mask(before, lengths, 0.3, MASK)
        masked = items == MASK
        assert masked.sum(1).tolist() == [replaced[n] for n in LENGTHS]
        assert torch.equal(items[~masked], before[~masked]) and (before[masked] > 0).all()
        assert torch.equal(sizes, lengths)
    assert torch.equal(mask(before, lengths, 1.0, MASK)[0], before.clamp(max=1) * MASK)


def test_mask__draws_every_choice_alike():
    torch.manual_seed(0)
    items, _ = mask(*rows(*[4] * 30_000, width=6), 0.5, MASK)
    found, share = shares(items, 30_000)
    assert len(found) == 6  # 4 over 2
    torch.testing.assert_close(share, torch.full((6,), 1 / 6), atol=0.02, rtol=0)


def test_reorder__shuffles_one_stretch_only():
    torch.manual_seed(0)
    moved = {1: 0, 2: 1, 3: 1, 5: 3, 9: 5, 10: 6}  # floor(0.6 n)
    before, lengths = rows(*LENGTHS)
    for _ in range(50):
        items, sizes = reorder(before, lengths, 0.6)
        assert torch.equal(sizes, lengths)
        for row, length in zip(items.tolist(), LENGTHS, strict=True):
            assert sorted(row[:length]) == list(range(1, length + 1)) and not any(row[length:])
            away = [place for place, item in enumerate(row[:length], 1) if item != place]
            assert not away or away[-1] - away[0] < moved[length]
    assert torch.equal(reorder(before, lengths, 0.0)[0], before)


def test_reorder__draws_every_order_and_stretch_alike():
    torch.manual_seed(0)
    items, _ = reorder(*rows(*[3] * 30_000, width=4), 1.0)
    found, share = shares(items, 30_000)
    assert len(found) == 6
    torch.testing.assert_close(share, torch.full((6,), 1 / 6), atol=0.02, rtol=0)
    items, _ = reorder(*rows(*[4] * 30_000, width=4), 0.5)  # each of 3 pairs is swapped or not
    found, share = shares(items, 30_000)
    assert found == [[1, 2, 3, 4], [1, 2, 4, 3], [1, 3, 2, 4], [2, 1, 3, 4]]
    torch.testing.assert_close(share, torch.tensor([3, 1, 1, 1]) / 6, atol=0.02, rtol=0)


def test_crop__rounds_shares_as_decimal_numbers():
    items, lengths = rows(100, width=100)
    assert crop(items, lengths, 0.29)[1].item() == 29  # 0.29 * 100 is 28.999999999999996


def test_augment__changes_each_sequence_in_one_way():
    torch.manual_seed(0)
    before, lengths = rows(*[10] * 30_000)
    items, sizes = augment(before, lengths, mask_item=MASK, **RATES)
    cropped, masked = sizes == 6, (items == MASK).any(1)
    reordered = (sizes == 10) & ~masked
    assert ((items == MASK).sum(1) == 3 * masked).all() and not (cropped & masked).any()
    assert torch.equal(items[reordered].sort(1)[0], before[reordered])
    share = torch.stack([cropped, masked, reordered]).double().mean(1)
    torch.testing.assert_close(share, torch.full((3,), 1 / 3, dtype=torch.float64), atol=0.02, rtol=0)


def test_augment__follows_torchs_generator():
    views = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        views.append(augment(*rows(*LENGTHS), mask_item=MASK, **RATES)[0])
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])
