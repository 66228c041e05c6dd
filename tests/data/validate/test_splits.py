"""The counts of samples equal those of RecBole's own splits."""

import numpy as np
import pytest
from recbole.data import create_dataset

from recbole_samrec.data.validate.splits import count_samples
from tests.helpers.toy_data import config

HEAD = "user_id:token\titem_id:token\ttimestamp:float\n"
LEAVE_ONE_OUT = [{"LS": mode} for mode in ("valid_and_test", "valid_only", "test_only")]
RATIOS = [[0.8, 0.1, 0.1], [6, 4, 0], [0.1, 0, 0.9]]


def draw_events(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Users and times of shuffled events, some at the same time."""
    random = np.random.default_rng(1)
    users = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return users, random.integers(60, size=len(users)).astype(float)


@pytest.mark.parametrize(("model", "targets"), [("BPR", False), ("BPR", True), ("GRU4Rec", False)])
@pytest.mark.parametrize("sizes", [[1] * 5, [2] * 5, [40], [1, 2, 3, 4, 9, 10, 11]], ids=str)
def test_count_samples__equal_recboles(tmp_path, sizes, model, targets):
    users, times = draw_events(sizes)
    lines = (f"u{u}\ti{row % 7}\t{time:g}\n" for row, (u, time) in enumerate(zip(users, times, strict=True)))
    files = {"inter": HEAD + "".join(lines)}
    splits = [*LEAVE_ONE_OUT, *({kind: ratios} for kind in ("RS", "TS") for ratios in RATIOS)]
    for number, split in enumerate(splits):
        eval_args = {"split": split, "group_by": "none" if number % 2 else "user", "order": "TO", "mode": "full"}
        kinds = {"sequential": model == "GRU4Rec", "sequential_targets": targets}
        counted = count_samples(users, times, eval_args, **kinds)
        if model == "GRU4Rec" and max(sizes) == 1:
            assert counted == (0, 0, 0)  # RecBole cannot build this
            continue
        settings = {"model": model, "eval_args": eval_args, "train_neg_sample_args": None}
        parts = create_dataset(config(tmp_path, files, **settings, sequential_targets=targets)).build()
        assert counted == tuple(len(part) for part in parts), eval_args


@pytest.mark.parametrize("model", ["Pop", "GRU4Rec"])
@pytest.mark.parametrize("validation", ["by_time", "last_train_item"])
def test_count_samples__of_a_global_temporal_split(tmp_path, model, validation):
    users, times = draw_events([1, 2, 3, 4, 9, 10, 11])
    items = np.arange(len(users)) % 7
    triples = zip(users, items, times, strict=True)
    files = {"inter": HEAD + "".join(f"u{user}\ti{item}\t{time:g}\n" for user, item, time in triples)}
    options = {"quantile": 0.6, "validation": validation, "target": "successive", "unseen_items": "keep"}
    eval_args = {"split": {"GTS": options}}
    counted = count_samples(users, times, eval_args, sequential=model == "GRU4Rec", items=items)
    settings = {"model": model, "eval_args": eval_args, "train_neg_sample_args": None, "topk": [2]}
    parts = create_dataset(config(tmp_path, files, **settings, valid_metric="NDCG@2")).build()
    assert counted == tuple(len(part) for part in parts)
