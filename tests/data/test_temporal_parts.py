"""The parts of RecBole's data sets under a global temporal split equal a computation with pandas."""

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.find import find_dataset
from recbole_samrec.data.temporal_options import TemporalOptions
from recbole_samrec.evaluator.history_mask import HistoryMask
from recbole_samrec.utils.errors import ConfigError, DataError
from tests.helpers.temporal import split_by_pandas, tied_events
from tests.helpers.tiny import build, make_config, write_events

TOPK = {"topk": [2], "valid_metric": "NDCG@2", "train_neg_sample_args": None}


def named(frame):
    """Events with names whose order differs from the order of their numbers."""
    return frame.assign(user="u" + frame["user"].astype(str), item="i" + frame["item"].astype(str))


def prepare(folder, frame, model, options=None, **settings):
    write_events(folder, "tiny", frame.itertuples(index=False))
    split = {"split": {"GTS": options or {"quantile": 0.6}}}
    config = make_config(model, folder, eval_args=split, **{**TOPK, **settings})
    dataset = create_dataset(config)
    return dataset, [loader._dataset for loader in data_preparation(config, dataset)]


def read_samples(part, length):
    """List samples as user, target, time and the last items before it, by name."""
    data = part[torch.arange(len(part))]
    names = {field: part.field2id_token[field] for field in (part.uid_field, part.iid_field)}
    users, items = (names[field][data[field]] for field in names)
    times = data["timestamp"].tolist() if "timestamp" in data else [None] * len(users)
    histories = [None] * len(users)
    if f"{part.iid_field}_list" in data:
        lists = zip(data[f"{part.iid_field}_list"], data[part.item_list_length_field], strict=True)
        histories = [tuple(names[part.iid_field][row[:n].numpy()]) for row, n in lists]
        assert all(len(history) <= length for history in histories)
    return sorted(zip(users, items, times, histories, strict=True), key=str)


def expect_samples(frame, found, length):
    times = torch.tensor(frame["time"].to_numpy(), dtype=torch.float32).tolist()
    rows = [
        (frame["user"][row], frame["item"][row], times[row], tuple(frame["item"][before[-length:]]))
        for row, before in found.items()
    ]
    return sorted(rows, key=str)


def training_targets(frame, truth):
    ordered = frame.loc[truth["train"]].sort_values("time", kind="stable").groupby("user")
    groups = [list(one.index) for _, one in ordered]
    return {rows[n]: rows[:n] for rows in groups for n in range(1, len(rows))}


@pytest.mark.parametrize("training", ["packed", "prefix"])
@pytest.mark.parametrize("target", ["last", "successive"])
def test_sequential_parts__have_the_samples_of_pandas(training, target, own_folder):
    frame, options = named(tied_events(1)), {"quantile": 0.6, "target": target, "validation": "last_train_item"}
    dataset, (train, valid, test) = prepare(own_folder, frame, "SASRec", options, training=training)
    truth, length = split_by_pandas(frame, TemporalOptions.from_settings(options)), 8
    assert read_samples(valid, length) == expect_samples(frame, truth["valid"], length)
    assert read_samples(test, length) == expect_samples(frame, truth["test"], length)
    without_times = [(user, item, None, before) for user, item, _, before in read_samples(train, length)]
    expected = expect_samples(frame, training_targets(frame, truth), length)
    assert sorted(without_times, key=str) == sorted([(u, i, None, b) for u, i, _, b in expected], key=str)
    names = dataset.field2id_token[dataset.iid_field]
    assert set(names[np.flatnonzero(test.held.candidates)]) == truth["candidates"]
    counts = frame.loc[truth["train"], "item"].value_counts()
    assert dict(zip(names, test.held.training_counts, strict=True)) == {name: counts.get(name, 0) for name in names}
    matrix = train.inter_matrix()
    assert matrix.nnz == len(frame.loc[truth["train"]]) - _count_alone(frame, truth)


def _count_alone(frame, truth):
    """Count the training events that are their user's only event, of which a sequential model has no sample."""
    return int((frame.loc[truth["train"]].groupby("user").size() == 1).sum())


@pytest.mark.parametrize("target", ["random", "successive"])
def test_general_parts__have_the_events_of_pandas(target, own_folder):
    frame, options = named(tied_events(2)), {"quantile": 0.6, "target": target, "unseen_users": "drop"}
    dataset, (train, valid, test) = prepare(own_folder, frame, "Pop", options)
    drawn = np.random.default_rng(2020).random(dataset.user_num)
    by_name = dict(zip(dataset.field2id_token[dataset.uid_field], drawn, strict=True))
    truth = split_by_pandas(frame, TemporalOptions.from_settings(options), by_name)
    for part, rows in ((train, truth["train"]), (valid, truth["valid"]), (test, truth["test"])):
        expected = [(*one[:3], None) for one in expect_samples(frame, {row: [0] for row in rows}, 1)]
        assert read_samples(part, 1) == sorted(expected, key=str)


@pytest.mark.parametrize("model", ["SASRec", "Pop"])
def test_held_parts__mask_what_precedes_the_target(model, own_folder):
    frame = named(tied_events(3))
    options = {"quantile": 0.6, "target": "successive", "unseen_items": "keep"}
    dataset, parts = prepare(own_folder, frame, model, options)
    truth = split_by_pandas(frame, TemporalOptions.from_settings(options))["test"]
    loader_part, names = parts[2], dataset.field2id_token[dataset.iid_field]
    mask, found = HistoryMask(parts[:2], loader_part), []
    for start in range(0, len(loader_part), 7):  # batches must not matter
        samples = loader_part.inter_feat[torch.arange(start, min(start + 7, len(loader_part)))]
        scores, targets = torch.zeros(len(samples), dataset.item_num), samples[dataset.iid_field]
        mask.apply(scores, samples, torch.arange(len(samples)), targets)
        for user, target, row in zip(samples[dataset.uid_field], targets, scores, strict=True):
            hidden = set(names[torch.isinf(row).numpy()])
            found.append((dataset.field2id_token[dataset.uid_field][user], names[target], sorted(hidden)))
    expected = [
        (frame["user"][row], frame["item"][row], sorted(set(frame["item"][before]) - {frame["item"][row]}))
        for row, before in truth.items()
    ]
    assert sorted(found) == sorted(expected)


def test_training__has_equal_losses_packed_and_by_prefix(own_folder):
    write_events(own_folder, "tiny", named(tied_events(4)).itertuples(index=False))
    results, off = [], dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
    for training in ("packed", "prefix"):
        settings = {**TOPK, **off, "train_batch_size": 10_000, "MAX_ITEM_LIST_LENGTH": 20, "training": training}
        config = make_config("SASRec", own_folder, eval_args={"split": {"GTS": {"quantile": 0.6}}}, **settings)
        (train_data, *_), network, trainer = build(config)
        (batch,) = list(train_data)
        loss = trainer.training_loss()(batch)
        loss.backward()
        results.append((loss.detach(), network.item_embedding.weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_parts__equal_pandas_on_ml_100k(own_folder):
    file = find_dataset("ml-100k", own_folder) / "ml-100k.inter"
    frame = pd.read_csv(file, sep="\t", usecols=range(4), dtype={0: str, 1: str})
    frame = frame.set_axis(["user", "item", "rating", "time"], axis=1)
    truth = split_by_pandas(frame, TemporalOptions())
    settings = {"eval_args": {"split": {"GTS": {}}}, "training": "packed", "train_neg_sample_args": None}
    config = make_config("SASRec", own_folder, "ml-100k", **settings)
    dataset = create_dataset(config)
    train, valid, test = (loader._dataset for loader in data_preparation(config, dataset))
    for part, rows in ((valid, truth["valid"]), (test, truth["test"])):
        found = [(user, item, before) for user, item, _, before in read_samples(part, 8)]
        expected = [(user, item, before) for user, item, _, before in expect_samples(frame, rows, 8)]
        assert sorted(found) == sorted(expected)
        assert sorted(part.held.lengths) == sorted(map(len, rows.values()))
    assert len(train.events) == len(truth["train"])


def test_build__needs_times_that_users_share(own_folder):
    frame = pd.DataFrame([(f"u{u}", f"i{(u + n) % 7}", n) for u in range(9) for n in range(8)])
    frame.columns = ["user", "item", "time"]
    with pytest.raises(DataError, match="positions in each user's order"):
        prepare(own_folder, frame, "SASRec")
    prepare(own_folder, frame, "SASRec", {"cut": 6, "validation": "last_train_item"})
    with pytest.raises(DataError, match="nothing to validate on"):
        prepare(own_folder, frame, "SASRec", {"cut": 6, "validation_quantile": 0.9})
    with pytest.raises(DataError, match="nothing to test"):
        prepare(own_folder, frame, "SASRec", {"cut": 60})
    with pytest.raises(DataError, match="no user has two events before the test"):
        prepare(own_folder, frame, "SASRec", {"cut": 1})
    with pytest.raises(ConfigError, match="only 7 candidates"):
        prepare(own_folder, frame, "SASRec", {"cut": 6, "validation": "last_train_item"}, topk=[8])


REFUSED = {
    "SASRec": {"benchmark_filename": ["train", "test"]},
    "BPR": {"repeatable": False},
    "Pop": {"exact_time_order": False},
    "FM": {},
    "CKE": {},
}


@pytest.mark.parametrize("model", REFUSED)
def test_build__names_what_it_cannot_be_used_with(model, own_folder):
    from recbole_samrec.config.validate import check_evaluation

    with pytest.raises(ConfigError, match="GTS cannot be used with"):
        config = make_config(model, own_folder, eval_args={"split": {"GTS": {}}}, **REFUSED[model])
        check_evaluation(config, chooses=False)


def test_build__does_not_sample_candidates(own_folder):
    from recbole_samrec.config.validate import check_evaluation

    config = make_config("BPR", own_folder, eval_args={"split": {"GTS": {}}, "mode": "uni100"})
    with pytest.raises(ConfigError, match="sampled candidates"):
        check_evaluation(config, chooses=False)
