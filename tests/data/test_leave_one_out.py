"""With sequential_targets, leave-one-out holds out the same events for general and for sequential models."""

import pytest
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.validate.check import check_atomic_files
from tests.helpers.tiny import make_config, write_events

SIZES = {"one": 1, "two": 2, "three": 3, "four": 4, "six": 6}
"""Number of events of each user."""
SETTINGS = {"topk": [2], "valid_metric": "NDCG@2", "train_neg_sample_args": None, "training": "prefix"}


@pytest.fixture
def folder(tmp_path):
    events = [(user, f"{user}{number}", 10 * number) for user, size in SIZES.items() for number in range(size)]
    write_events(tmp_path, "tiny", events)
    return tmp_path


def list_parts(folder, model, split="valid_and_test", **settings):
    """Users and items of training, validation and test, and their numbers by the check of the files."""
    how = {"split": {"LS": split}, "order": "TO", "group_by": "user", "mode": {"valid": "full", "test": "full"}}
    config = make_config(model, folder, eval_args=how, **SETTINGS, **settings)
    dataset = create_dataset(config)
    parts = [loader._dataset for loader in data_preparation(config, dataset)]
    fields, sequential = config.final_config_dict, model == "SASRec"
    found = check_atomic_files(folder / "tiny", "tiny", fields=fields, sequential=sequential).findings
    assert tuple(found.parts) == tuple(map(len, parts)) and found.shortest == 1
    names = dataset.field2id_token
    return [
        sorted(zip(names["user_id"][part["user_id"]], names["item_id"][part["item_id"]], strict=True))
        for part in (one.inter_feat for one in parts)
    ]


@pytest.mark.parametrize("split", ["valid_and_test", "test_only", "valid_only"])
def test_keep_first_events__gives_sequential_targets(folder, split):
    of_general = list_parts(folder, "Pop", split, sequential_targets=True)
    of_sequential = list_parts(folder, "SASRec", split)
    first = [(user, f"{user}0") for user in SIZES]
    assert of_general == [sorted(of_sequential[0] + first), *of_sequential[1:]]
    assert {user for user, _ in of_general[1] + of_general[2]} == {"three", "four", "six"}


def test_keep_first_events__is_off_by_default(folder):
    train, valid, test = list_parts(folder, "Pop")
    assert ("two", "two1") in test and ("three", "three1") in valid and len(train) + len(valid) + len(test) == 16
    assert list_parts(folder, "SASRec") == list_parts(folder, "SASRec", sequential_targets=True)
