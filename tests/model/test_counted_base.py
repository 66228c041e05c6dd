"""Models from counts that score whole histories: the histories that they receive, and unsupported uses."""

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.quick_start import run_recbole
from recbole.utils import case_study

from recbole_samrec.data.known_history import HISTORY
from recbole_samrec.model.counted_base import build_binary_matrix
from recbole_samrec.quick_start.api import evaluate
from recbole_samrec.quick_start.recommend import Recommender
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main, succeed
from tests.helpers.history_scores import EVENTS, LAST_TWO, build_model, make_matrix, scores_of
from tests.helpers.tiny import SMALL, build, make_config, write_events

MODELS = ["HistoryItemKNN", "HistoryEASE"]
GTS = {"split": {"GTS": {"cut": 100, "target": "successive", "validation": "last_train_item"}}, "order": "TO"}


def score(network, histories):
    """The scores of a model for some histories of RecBole's ids."""
    width = max(map(len, histories))
    padded = torch.tensor([[*one, *[0] * (width - len(one))] for one in histories])
    return network.full_sort_predict(Interaction({HISTORY: padded})).view(len(histories), -1)


def test_build_binary_matrix__counts_repeated_events_once(tmp_path):
    (train_data, *_), _, _ = build_model(tmp_path, "HistoryEASE")
    matrix = build_binary_matrix(train_data._dataset).toarray()
    np.testing.assert_array_equal(matrix, make_matrix(train_data._dataset))


@pytest.mark.parametrize("model", MODELS)
def test_full_sort_predict__scores_sets_of_items(tmp_path, model):
    _, network, _ = build_model(tmp_path, model, reg_weight=0.5)
    one, other, both, twice, nothing = score(network, [[1], [2], [2, 1], [1, 2, 1, 2, 2], []])
    torch.testing.assert_close(both, one + other)
    torch.testing.assert_close(twice, both)
    assert one.abs().sum() > 0 and nothing.tolist() == [0.0] * len(nothing)
    with pytest.raises(NotImplementedError, match="with histories"):
        network.full_sort_predict(Interaction({"user_id": torch.tensor([1])}))
    with pytest.raises(NotImplementedError, match="cannot score single pairs"):
        network.predict(Interaction({"user_id": torch.tensor([1])}))


@pytest.mark.parametrize("model", MODELS)
def test_history_models__know_what_precedes_targets_of_gts(tmp_path, model):
    """User a and the unseen user e have several targets, each predicted from all events before it."""
    late = [("a", "i5", 101), ("a", "i1", 102), ("e", "i2", 103), ("e", "i1", 104), ("e", "i3", 105), ("d", "i2", 106)]
    write_events(tmp_path, "tiny", [*EVENTS, *late])
    settings = {"eval_args": GTS, "topk": [1], "valid_metric": "Hit@1", "reg_weight": 0.5, "eval_batch_size": 2}
    (_, _, test_data), network, trainer = build(make_config(model, tmp_path, **settings))
    found, collect = [], trainer.eval_collector.eval_batch_collect
    trainer.eval_collector.eval_batch_collect = lambda scores, batch, *others: (
        found.extend(zip(batch["user_id"].tolist(), scores.clone(), strict=True)),
        collect(scores, batch, *others),
    )
    trainer.evaluate(test_data, load_best_model=False)
    dataset, expected = test_data.dataset, []
    for user in dataset.field2id_token["user_id"][1:]:
        items = dataset.token2id("item_id", [item for one, item, _ in [*EVENTS, *late] if one == user])
        later = [time >= 100 for one, _, time in [*EVENTS, *late] if one == user]
        expected += [(user, items[:n]) for n, is_later in enumerate(later) if is_later and n]
    assert len(found) == len(expected) == 5
    names = dataset.field2id_token["user_id"]
    scored = {(names[user], tuple(row[1:].tolist())) for user, row in found}
    wanted = {(user, tuple(score(network, [items])[0][1:].tolist())) for user, items in expected}
    for user, row in scored:
        assert any(user == name and np.allclose(row, other, atol=1e-6) for name, other in wanted)


@pytest.mark.parametrize("split", [LAST_TWO, {"split": {"GTS": {"cut": 23, "validation": "last_train_item"}}}])
@pytest.mark.parametrize("model", MODELS)
def test_history_models__run_evaluate_and_recommend(own_folder, model, split):
    """Recommendations use all events of a user with items that may be recommended, or of a new sequence."""
    write_events(own_folder / "data", "tiny", EVENTS)
    options = ["--topk=[1,2]", "--valid_metric=Hit@1", "--repeatable=True", f"--eval_args={split}"]
    succeed("run", f"--model={model}", "--dataset=tiny", "--data_path=data", "--run_dir=run", *options)
    assert evaluate("run").agreement
    recommender = Recommender("run")
    dataset, network = recommender.dataset, recommender.trainer.model
    known = {item for item in dataset.field2id_token["item_id"][1:]}
    if recommender.served is not None:
        known = set(dataset.field2id_token["item_id"][recommender.served.candidates])
        assert known == {"i1", "i2", "i3"}
    ids = dataset.token2id("item_id", sorted(known))
    table = recommender.recommend(users="all", k=len(known))
    assert set(table["user"]) == set("abcd")
    for user, rows in table.groupby("user"):
        items = [item for one, item, _ in EVENTS if one == user and item in known]
        expected = score(network, [list(dataset.token2id("item_id", items))])[0]
        np.testing.assert_allclose(rows["score"], expected[dataset.token2id("item_id", rows["item"].to_numpy())])
        np.testing.assert_allclose(rows["score"], np.sort(expected[ids])[::-1])
    new = pd.DataFrame({"user": ["x", "x", "y"], "item": ["i1", "i2", "i3"]})
    best = recommender.recommend(sequences=new, k=len(known))
    expected = score(network, [list(dataset.token2id("item_id", ["i1", "i2"]))])[0]
    np.testing.assert_allclose(best["score"][: len(known)], np.sort(expected[ids])[::-1])
    said = main("export", "run", "--out=vectors")
    assert said.status == 2 and f"the scores of {model} are no dot product" in said.err


@pytest.mark.parametrize("model", MODELS)
def test_history_models__mask_the_history_too(tmp_path, model):
    (_, _, test_data), _, plain = build_model(tmp_path, model, reg_weight=0.5)
    (_, _, masked_data), _, masking = build_model(tmp_path, model, reg_weight=0.5, mask_history=True)
    scores, masked = scores_of(plain, test_data), scores_of(masking, masked_data)
    ids = test_data.dataset.token2id("item_id", ["i1", "i2", "i3", "i4", "i5"]) - 1
    hidden = np.isinf(masked["c"][ids])
    assert hidden.tolist() == [True, True, True, False, False]
    np.testing.assert_array_equal(masked["c"][ids][~hidden], scores["c"][ids][~hidden])


@pytest.mark.parametrize("model", MODELS)
def test_history_models__refuse_sampled_candidates(tmp_path, model):
    with pytest.raises(ConfigError, match=f"eval_args: {model} ranks all items and cannot rank sampled ones .*uni5"):
        build_model(tmp_path, model, eval_args={**LAST_TWO, "mode": "uni5"})


def test_history_models__work_with_recboles_functions(tmp_path):
    write_events(tmp_path, "tiny", EVENTS)
    settings = {**SMALL, "data_path": str(tmp_path), "eval_args": LAST_TWO, "topk": [1], "valid_metric": "Hit@1"}
    found = run_recbole("HistoryEASE", "tiny", config_dict=settings, saved=False)
    assert 0 <= found["test_result"]["hit@1"] <= 1
    (_, _, test_data), network, _ = build_model(tmp_path, "HistoryEASE")
    with pytest.raises(ConfigError, match="HistoryEASE scores histories; use recommend"):
        case_study.full_sort_scores([1], network, test_data)
