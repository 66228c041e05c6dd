"""A full ranking in parts equals RecBole's ranking in one piece, and keeps to its memory budget."""

import math

import pytest
import torch
from recbole.evaluator import Evaluator, metric_types
from recbole.evaluator.collector import Collector, DataStruct
from recbole.utils import EvaluatorType
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_samrec.evaluator import full_ranking
from recbole_samrec.utils.errors import TrainingError
from tests.helpers.tiny import build, make_config, random_events, write_events

ITEMS = 20
ONE_ROW = 1e-9
THREE_ROWS = 3.5 * 8 * 4 * 8 * 32 / 2**20  # eight times SASRec's widest layer: length 8, inner size 32
RANKING = [name for name, kind in metric_types.items() if kind == EvaluatorType.RANKING]
OF_THE_BEST = [name for name in RANKING if name != "gauc"]
METRICS = {"the best": OF_THE_BEST, "all": RANKING, "GAUC": ["gauc"], "ItemCoverage": ["itemcoverage"]}
SPLIT = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "TO", "group_by": "user"}


@pytest.fixture
def tiny(own_folder):
    write_events(own_folder, "tiny", random_events(users=31, items=ITEMS))
    return own_folder


def tied(batch, left_out=()):
    """A stand-in for a model: scores with three values and many ties, and for some users no score."""
    users = batch["user_id"].unsqueeze(1)
    scores = ((users * 7 + torch.arange(ITEMS + 1) * 5) % 3).float()
    return scores.masked_fill(users % 5 == 2, -torch.inf)


def evaluated(folder, model="SASRec", metrics=OF_THE_BEST, recboles=False, scores=tied, **settings):
    """The collector's data after each evaluation, and the metrics; ``recboles`` uses RecBole's own collector."""
    settings = {"topk": [1, 3, 10], "valid_metric": f"{metrics[0]}@3" * (metrics[0] != "gauc") or "gauc", **settings}
    loaders, network, trainer = build(make_config(model, folder, metrics=metrics, **settings))
    if scores:
        network.full_sort_predict = scores
    if recboles:
        trainer.eval_collector, trainer._full_sort_batch_eval = Collector(trainer.config), trainer.full_scores
    found, evaluate = [], trainer.evaluator.evaluate
    trainer.evaluator.evaluate = lambda struct: (found.append(dict(struct._data_dict)), evaluate(struct))[1]
    results = [dict(trainer.evaluate(loader, load_best_model=False)) for loader in loaders[1:]]
    return found, results


def same(one, other):
    assert one[1] == other[1]
    for mine, theirs in zip(one[0], other[0], strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            equal = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
            assert equal and getattr(value, "dtype", None) == getattr(theirs[name], "dtype", None), name


@pytest.mark.parametrize("memory", [ONE_ROW, THREE_ROWS, 256], ids=["one row", "three rows", "all rows"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("metrics", METRICS.values(), ids=METRICS)
def test_what_is_collected_and_what_comes_of_it_is_recboles(tiny, metrics, masked, memory):
    mine = evaluated(tiny, metrics=metrics, mask_history=masked, eval_memory=memory)
    same(mine, evaluated(tiny, metrics=metrics, mask_history=masked, recboles=True))


@pytest.mark.parametrize("memory", [ONE_ROW, 256], ids=["one row", "all rows"])
@pytest.mark.parametrize("metrics", [OF_THE_BEST, RANKING], ids=["the best", "all scores"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_several_items_to_find_and_some_left_out(tiny, metrics, masked, memory):
    options = {"metrics": metrics, "eval_args": SPLIT, "mask_history": masked}
    for scores in (tied, None):
        mine = evaluated(tiny, "BPR", scores=scores, eval_memory=memory, eval_batch_size=500, **options)
        assert mine[0][1]["rec.topk"][:, -1].max() > 1
        same(mine, evaluated(tiny, "BPR", scores=scores, eval_batch_size=500, recboles=True, **options))


@pytest.mark.parametrize("mode", ["uni5", "pop5"])
def test_sampled_items(tiny, mode):
    options = {"eval_args": {**SPLIT, "mode": mode}, "topk": [1, 3], "scores": None}
    same(evaluated(tiny, "BPR", **options), evaluated(tiny, "BPR", recboles=True, **options))


@pytest.mark.parametrize("memory", [ONE_ROW, THREE_ROWS], ids=["one row", "three rows"])
@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec", "DIN"])
def test_models(tiny, model, memory):
    """DIN has no full ranking; RecBole scores each pair."""
    more = {"scores": None, "metrics": OF_THE_BEST}
    if model == "DIN":
        more |= {"mlp_hidden_size": [8], "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
    else:
        more |= {"loss_type": "CE", "train_neg_sample_args": None}
    same(evaluated(tiny, model, eval_memory=memory, **more), evaluated(tiny, model, recboles=True, **more))


def test_rows_at_once(tiny):
    wide = {"MAX_ITEM_LIST_LENGTH": 8, "inner_size": 32, "hidden_size": 16, "n_heads": 2}
    _, model, _ = build(config := make_config("SASRec", tiny, **wide))
    for memory, n_items, rows in ((ONE_ROW, 9, 1), (THREE_ROWS, 9, 3), (1, 2**18, 1), (4, 2**18, 4), (4, 2**30, 1)):
        config["eval_memory"] = memory
        assert full_ranking.fit_batch_size(config, model, n_items) == rows
    config["eval_memory"] = 100
    assert full_ranking.fit_batch_size(config, model, 2**18, sorts_samples=True) == 4
    config["MAX_ITEM_LIST_LENGTH"] = 2**9  # its attention is wider then than its layers: 8 times 2 heads, 2**18 pairs
    config["eval_memory"] = 64
    assert full_ranking.fit_batch_size(config, model, 9) == 4


def test_rows_at_once_without_a_setting(tiny, monkeypatch):
    _, model, _ = build(config := make_config("SASRec", tiny))
    assert full_ranking.fit_batch_size(config, model, 2**20) == 64  # 256 MB on a CPU
    asked = []
    monkeypatch.setattr(full_ranking, "measure_budget", lambda device, share: asked.append((device, share)) or 2**32)
    assert full_ranking.fit_batch_size(config, model, 2**20) == 1024 and asked == [(config["device"], 1 / 32)]


def test_hits_worked_out_by_hand():
    best = torch.tensor([[3, 1], [2, 4], [1, 2]])
    found = full_ranking.mark_hits(best, torch.tensor([0, 0, 0, 2, 2]), torch.tensor([1, 4, 4, 1, 2]), 5)
    assert found.tolist() == [[0, 1, 2], [0, 0, 0], [1, 1, 2]]


def test_parts_hold_every_row_once(tiny):
    loaders, *_ = build(make_config("BPR", tiny, eval_args=SPLIT, eval_batch_size=10 * (ITEMS + 1)))
    batch = next(iter(loaders[2]))
    assert list(full_ranking.split_batch(batch, 10)) == [batch] and len(batch[0]) == 10
    whole = torch.zeros(3, 10, ITEMS + 1)
    for start, (rows, left_out, *positive) in zip((0, 4, 8), full_ranking.split_batch(batch, 4), strict=True):
        whole[0, start : start + len(rows)] = rows["user_id"].unsqueeze(1).float()
        whole[1, start : start + 4][left_out] = 1
        whole[2, start : start + 4][tuple(positive)] = 1
    assert whole[0, :, 0].tolist() == batch[0]["user_id"].tolist()
    for number, places in ((1, batch[1]), (2, batch[2:])):
        expected = torch.zeros(10, ITEMS + 1)
        expected[places] = 1
        assert torch.equal(whole[number], expected)


class Largest(TorchDispatchMode):
    """Records the size in bytes of the largest new tensor."""

    def __init__(self, known):
        super().__init__()
        self.known, self.bytes = {one.untyped_storage().data_ptr() for one in known}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in self.known:
                self.bytes = max(self.bytes, one.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("metrics", [["NDCG", "ItemCoverage"], ["NDCG", "GAUC"]], ids=" ".join)
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_no_tensor_is_larger_than_the_memory(own_folder, metrics, masked):
    write_events(own_folder, "wide", ((f"u{u}", f"i{40 * u + t}", t) for u in range(50) for t in range(40)))
    options = {"metrics": metrics, "topk": [10], "valid_metric": "NDCG@10", "mask_history": masked}
    loaders, model, trainer = build(make_config("SASRec", own_folder, "wide", eval_memory=0.25, **options))
    assert (trainer.config["eval_batch_size"], loaders[2]._dataset.item_num) == (64, 2001)  # 0.5 MB in one piece
    with Largest(model.state_dict().values()) as largest:
        trainer.evaluate(loaders[2], load_best_model=False)
    assert largest.bytes <= 0.25 * 2**20
    trainer.config["eval_memory"] = 256
    with Largest(model.state_dict().values()) as largest:
        trainer.evaluate(loaders[2], load_best_model=False)
    assert largest.bytes > 0.25 * 2**20


def test_scores_that_are_nan_are_refused_in_every_part(tiny):
    def scores(batch):
        return tied(batch).masked_fill(batch["user_id"].unsqueeze(1) == 9, torch.nan)

    with pytest.raises(TrainingError, match="all scores of a sample are nan"):
        evaluated(tiny, scores=scores, eval_memory=THREE_ROWS)


def test_one_score_that_is_nan_is_ranked_as_recbole_does(tiny):
    def scores(batch):
        tied_scores = tied(batch).clamp(min=0)
        tied_scores[:, 3] = torch.nan
        return tied_scores

    same(evaluated(tiny, scores=scores, eval_memory=ONE_ROW), evaluated(tiny, scores=scores, recboles=True))


def test_training_counts__are_made_once_where_metrics_need_them(tiny, monkeypatch):
    counted = []
    prop = property(lambda self: counted.append(self) or {1: 1})
    monkeypatch.setattr("recbole.data.dataset.Dataset.item_counter", prop)
    evaluated(tiny)
    assert len(counted) == 1
    evaluated(tiny, metrics=["ndcg", "itemcoverage"])
    assert len(counted) == 1


# Metrics by hand: lists of up to four of six items; the first user has three positives, of which one is repeated, the
# second has only two candidates, and the third's positive is behind the list.

ACCURACY = ["Recall", "Precision", "Hit", "MRR", "MAP", "NDCG"]
ORDERS = [[3, 1, 5, 2], [6, 2], [4, 5, 6, 1, 2, 3]]
POSITIVES = [(0, 1), (0, 2), (0, 5), (0, 1), (1, 2), (2, 3)]
SECOND, THIRD, FOURTH = 1 / math.log2(3), 1 / math.log2(4), 1 / math.log2(5)
BY_HAND = {
    "recall": (0, (1 / 3 + 1) / 3, (3 / 3 + 1) / 3),
    "precision": (0, (1 / 2 + 1 / 2) / 3, (3 / 4 + 1 / 4) / 3),
    "hit": (0, 2 / 3, 2 / 3),
    "mrr": (0, (1 / 2 + 1 / 2) / 3, (1 / 2 + 1 / 2) / 3),
    "map": (0, (1 / 2 / 2 + 1 / 2) / 3, ((1 / 2 + 2 / 3 + 3 / 4) / 3 + 1 / 2) / 3),
    "ndcg": (
        0,
        (SECOND / (1 + SECOND) + SECOND) / 3,
        ((SECOND + THIRD + FOURTH) / (1 + SECOND + THIRD) + SECOND) / 3,
    ),
}
COLLECTORS = pytest.mark.parametrize("collector", [Collector, full_ranking.RankingCollector])


def evaluate_scores(collector, metrics, scores, positives, topk=(1, 2, 4)):
    """RecBole's metrics of scores, which are collected in two batches."""
    config = {"metrics": metrics, "topk": list(topk), "device": torch.device("cpu"), "metric_decimal_place": 4}
    config |= {"eval_args": {"mode": {"test": "full"}}, "recbole_metrics": False}
    collected = collector(config)
    for part in (slice(0, 2), slice(2, len(scores))):
        inside = [(row - part.start, item) for row, item in positives if part.start <= row < part.stop]
        collected.eval_batch_collect(scores[part], None, *torch.tensor(inside).T)
    return dict(Evaluator(config).evaluate(collected.get_data_struct()))


@COLLECTORS
@pytest.mark.parametrize("more", [[], ["GAUC"]], ids=["", "with GAUC"])
def test_metrics__worked_out_by_hand(collector, more):
    scores = torch.full((3, 7), -torch.inf)
    for row, order in enumerate(ORDERS):
        scores[row, order] = torch.arange(len(order), 0, -1).float()
    found = evaluate_scores(collector, ACCURACY + more, scores, POSITIVES)
    for name, values in BY_HAND.items():
        assert [found[f"{name}@{k}"] for k in (1, 2, 4)] == pytest.approx(values), name


@COLLECTORS
def test_gauc__worked_out_from_pairs(collector):
    """Ties count as half, users are weighted by their number of positives, and users without negatives do not count."""
    inf = torch.inf
    rows = [
        ([-inf, 5.0, 9.0, 3.0, 3.0, 2.0, 1.0], [2, 3]),
        ([-inf, 4.0, 3.0, -inf, -inf, 2.0, -inf], [2]),
        ([-inf, 4.0, -inf, -inf, -inf, -inf, -inf], [1]),
    ]
    total = weight = 0
    for scores, positives in rows:
        others = [n for n, score in enumerate(scores) if score > -inf and n not in positives]
        pairs = [
            (scores[one] > scores[two]) + 0.5 * (scores[one] == scores[two]) for one in positives for two in others
        ]
        if pairs:
            total, weight = total + len(positives) * sum(pairs) / len(pairs), weight + len(positives)
    scores = torch.tensor([scores for scores, _ in rows])
    positives = [(row, item) for row, (_, items) in enumerate(rows) for item in (*items, items[0])]
    assert evaluate_scores(collector, ["GAUC"], scores, positives)["gauc"] == pytest.approx(total / weight)
    assert total / weight == pytest.approx((2 * 6.5 / 8 + 1 / 2) / 3)


def test_value_metrics__worked_out_by_hand():
    struct = DataStruct()
    struct.set("rec.score", torch.tensor([0.9, 0.8, 0.8, 0.3]))
    struct.set("data.label", torch.tensor([1.0, 0.0, 1.0, 0.0]))
    config = {"metrics": ["AUC", "LogLoss", "MAE", "RMSE"], "metric_decimal_place": 4}
    found = Evaluator(config).evaluate(struct)
    assert found["auc"] == pytest.approx(3.5 / 4)
    assert found["logloss"] == pytest.approx(-math.log(0.9 * 0.2 * 0.8 * 0.7) / 4)
    assert found["mae"] == pytest.approx((0.1 + 0.8 + 0.2 + 0.3) / 4)
    assert found["rmse"] == pytest.approx(math.sqrt((0.01 + 0.64 + 0.04 + 0.09) / 4))
