"""Data and loaders of random users, for packed training and for RecBole's prefixes."""

import random

import torch
from recbole.data import create_dataset, data_preparation

from tests.helpers.toy_data import config as toy_config
from tests.helpers.toy_data import table

LENGTH = 6
SPLITS = {
    "LS valid_and_test": {"split": {"LS": "valid_and_test"}},
    "LS valid_only": {"split": {"LS": "valid_only"}},
    "LS test_only": {"split": {"LS": "test_only"}},
    "RS of each user": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user"},
    "RS of all": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": None},
    "TS": {"split": {"TS": [0.7, 0.1, 0.2]}},
}
HEAD = "user_id:token item_id:token timestamp:float rating:float tags:token_seq place:token point:float_seq"


def rows_of(seed):
    """Users with 1 to 3 and with up to 20 events, whose times interleave and are often equal."""
    draw = random.Random(seed)
    rows = ["u0|i1|1|1.0|t1 t2 t3|p1|0.5 0.25"]
    for user in range(1, 14):
        for _ in range(draw.choice([1, 2, 3, 4, 7, 20])):
            tags = " ".join(f"t{draw.randrange(5)}" for _ in range(draw.randint(1, 3)))
            time = 978300000 + draw.randrange(60)
            item, place = draw.randrange(9), draw.randrange(3)
            rows.append(f"u{user}|i{item}|{time}|{draw.randint(1, 5)}.0|{tags}|p{place}|{draw.random():.3f} 1.5")
    return rows


def prepared(folder, training, split="LS valid_and_test", seed=0, model="SASRec", **options):
    """The data set and the three loaders of random users."""
    settings = {
        "eval_args": {"order": "TO", "mode": "full", **SPLITS[split]},
        "MAX_ITEM_LIST_LENGTH": LENGTH,
        "train_batch_size": 16,
        "train_neg_sample_args": None,
        "training": training,
        **options,
    }
    config = toy_config(folder, {"inter": table(HEAD, *rows_of(seed))}, model, **settings)
    dataset = create_dataset(config)
    return dataset, data_preparation(config, dataset)


def assert_same(one, other):
    """Check that two interactions have the same columns in the same order, with the same types and values."""
    assert one.columns == other.columns
    for field in one.columns:
        assert one[field].dtype == other[field].dtype, field
        assert torch.equal(one[field], other[field]), field


def predictions(batch):
    """The predictions of a packed batch, as triples of user, target and all items before it in the row."""
    columns = (batch[field].tolist() for field in ("user_id", "item_id", "item_id_list", "item_length"))
    for user, targets, items, length in zip(*columns, strict=True):
        assert 0 not in items[:length] and not any(items[length:]) and not any(targets[length:])
        yield from ((user, target, tuple(items[: place + 1])) for place, target in enumerate(targets) if target)
