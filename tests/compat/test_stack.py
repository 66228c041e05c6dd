"""RecBole runs on current numpy, scipy and torch, and is imported without Ray or thop."""

import inspect
import subprocess
import sys
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import torch
from recbole.quick_start import quick_start
from recbole.trainer import hyper_tuning
from recbole.trainer import trainer as recbole_trainer

from recbole_samrec.trainer.trainer import SCALER
from tests.helpers.paths import ROOT
from tests.helpers.tiny import build, cyclic, make_config, write_events
from tests.helpers.toy_data import suspend

EVENTS = [("u1", "i1", 1), ("u1", "i2", 2), ("u1", "i3", 3), ("u1", "i4", 4), ("u2", "i2", 1), ("u2", "i5", 2)]
ALL_FOR_TRAINING = {"eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": "user", "mode": "full"}}


@pytest.fixture
def circle(tmp_path):
    write_events(tmp_path, "tiny", cyclic(users=20))
    return tmp_path


# numpy: `set_numpy_aliases`


def test_numpy_names__are_those_that_recbole_uses(circle):
    make_config("BPR", circle)
    assert (np.float, np.int, np.object, np.str, np.bool) == (np.float64, np.int_, np.object_, np.str_, np.bool_)
    with suspend("set_numpy_aliases"), pytest.raises(AttributeError, match="float_"):
        make_config("BPR", circle)


# scipy: `dok_matrix_update`


def test_dok_matrix__gives_a_graph_model_its_adjacency(tmp_path):
    write_events(tmp_path, "tiny", EVENTS)
    config = make_config("LightGCN", tmp_path, **ALL_FOR_TRAINING)
    loaders, model, _ = build(config)
    users, items = model.n_users, model.n_items
    adjacency = np.zeros((users + items, users + items))
    pairs = loaders[0].dataset.inter_feat
    for user, item in zip(pairs["user_id"].tolist(), pairs["item_id"].tolist(), strict=True):
        adjacency[user, users + item] = adjacency[users + item, user] = 1
    degree = adjacency.sum(axis=1) + 1e-7
    assert len(pairs) == len(EVENTS)
    expected = adjacency / np.sqrt(np.outer(degree, degree))
    assert np.allclose(model.norm_adj_matrix.to_dense().numpy(), expected, atol=1e-6)
    with suspend("restore_dok_matrix_update"), pytest.raises(AttributeError, match="_update"):
        build(config)


def test_dok_matrix__update_fills_the_matrix():
    matrix = scipy.sparse.dok_matrix((2, 3), dtype=np.float32)
    matrix._update({(0, 1): 1.0, (1, 2): 2.0})
    assert matrix.toarray().tolist() == [[0, 1, 0], [0, 0, 2]]


# torch: `grad_scaler`


def steps_since_the_scale_grew(folder):
    """The count of the trainer's scaler after two epochs of training, and the number of optimizer steps."""
    half = {"enable_scaler": True, "enable_amp": True, "amp_dtype": "bfloat16"}
    loaders, _, trainer = build(make_config("SASRec", folder, **half))
    trainer.fit(loaders[0], verbose=False, saved=False)
    return int(trainer.scaler._get_growth_tracker()), 2 * len(loaders[0])


@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler:UserWarning")
def test_share_grad_scaler__lives_through_all_epochs(circle):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "torch.cuda.amp.GradScaler", FutureWarning)
        counted, steps = steps_since_the_scale_grew(circle)
    assert counted == steps > 2
    with suspend("share_grad_scaler"), pytest.warns(FutureWarning, match="torch.cuda.amp.GradScaler"):
        assert steps_since_the_scale_grew(circle)[0] == 0  # RecBole's loop used scalers of its own


def test_share_grad_scaler__is_new_each_epoch_without_the_patch(monkeypatch):
    mine = torch.amp.GradScaler("cpu")
    token = SCALER.set(mine)
    assert recbole_trainer.amp.GradScaler(enabled=True) is mine
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)  # there is a GPU, which this run does not use
        assert recbole_trainer.amp.autocast(enabled=True).device == "cpu"
    SCALER.reset(token)
    assert not recbole_trainer.amp.GradScaler(enabled=False).is_enabled()
    with recbole_trainer.amp.autocast(enabled=True):
        assert torch.is_autocast_enabled("cuda" if torch.cuda.is_available() else "cpu")


# Precision: `unify_ksr_precision`

KSR = {
    "load_col": {
        "inter": ["user_id", "item_id", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent": ["ent_id", "ent_emb"],
        "rel": ["rel_id", "rel_emb"],
    },
    "additional_feat_suffix": ["ent", "rel"],
    "alias_of_item_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "kg_embedding_size": 2,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"},
}


def test_ksr__trains_with_the_vectors_of_its_relations(circle):
    items = [f"i{item}" for item in range(12)]
    for kind, lines in {
        "kg": ["head_id:token\trelation_id:token\ttail_id:token", *(f"{item}\tr\t{items[0]}" for item in items)],
        "link": ["item_id:token\tentity_id:token", *(f"{item}\t{item}" for item in items)],
        "ent": ["ent_id:token\tent_emb:float_seq", *(f"{item}\t0.5 {n}" for n, item in enumerate(items))],
        "rel": ["rel_id:token\trel_emb:float_seq", "r\t0.25 -1.5"],
    }.items():
        (circle / "tiny" / f"tiny.{kind}").write_text("\n".join(lines) + "\n")
    config = make_config("KSR", circle, **KSR)
    loaders, model, trainer = build(config)
    trainer.fit(loaders[0], verbose=False, saved=False)
    assert model.relation_Matrix.tolist() == [[0, 0], [0.25, -1.5]] + [[0, 0]] * (len(model.relation_Matrix) - 2)
    with suspend("unify_ksr_precision"), pytest.raises(RuntimeError, match=r"dtype|scalar type|Double"):
        loaders, _, trainer = build(config)
        trainer.fit(loaders[0], verbose=False, saved=False)


# Ray: `import_ray_lazily`

FRESH = """
import sys
import recbole_samrec, recbole.quick_start
assert not {"ray", "thop", "hyperopt", "lightgbm", "xgboost"} & set(sys.modules), "loaded"
from recbole.quick_start import quick_start
assert "ray" not in sys.modules
quick_start.tune.with_resources
assert "ray" in sys.modules and sys.modules["ray"].__file__, "the real one is loaded on its first use"
"""


@pytest.mark.slow
def test_import_ray_lazily__loads_it_on_first_use():
    pytest.importorskip("ray")
    root = ROOT
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_import_ray_lazily__is_still_needed():
    """The line of RecBole that makes the patch necessary, since it cannot be suspended after RecBole's import."""
    assert "\nfrom ray import tune\n" in inspect.getsource(quick_start)


# thop: `count_flops`


def flops(config, dataset, model):
    from recbole.data.transform import construct_transform
    from recbole.utils import get_flops

    return get_flops(model, dataset, config["device"], None, construct_transform(config))


def by_hand(config, items):
    """Multiplications and additions of SASRec for one row: three projections, attention, output, feed-forward."""
    length, hidden, inner = config["MAX_ITEM_LIST_LENGTH"], config["hidden_size"], config["inner_size"]
    attention = 4 * length * hidden * hidden + 2 * length * length * hidden
    layer = attention + 2 * length * hidden * inner
    return 2 * config["n_layers"] * layer


def test_get_flops__counts_all_products_of_matrices(circle, monkeypatch):
    config = make_config("SASRec", circle)
    loaders, model, _ = build(config)
    dataset = loaders[0].dataset
    monkeypatch.setitem(sys.modules, "thop", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "distutils", None)
    assert flops(config, dataset, model) == by_hand(config, dataset.item_num)
    assert model.training and not any("total_ops" in name for name, _ in model.named_buffers())
    with suspend("count_flops"), pytest.raises(ImportError):
        flops(config, dataset, model)


def test_get_flops__counts_sasrec_with_50_items(circle):
    pytest.importorskip("thop")
    size = {"MAX_ITEM_LIST_LENGTH": 50, "hidden_size": 64, "inner_size": 256}
    config = make_config("SASRec", circle, **size)
    loaders, model, _ = build(config)
    dataset = loaders[0].dataset
    ours = flops(config, dataset, model)
    assert ours == by_hand(config, dataset.item_num) and round(ours / 1e6, 1) == 11.1
    with suspend("count_flops"):
        theirs = flops(config, dataset, model)
    assert round(theirs / 1e6, 2) == 4.98


def test_get_flops__counts_a_linear_model(circle):
    config = make_config("NeuMF", circle, mlp_hidden_size=[8, 4], mf_embedding_size=4, mlp_embedding_size=6)
    loaders, model, _ = build(config)
    assert flops(config, loaders[0].dataset, model) == 2 * (12 * 8 + 8 * 4 + (4 + 4) * 1)


def test_get_flops__is_1_without_arithmetic(circle):
    config = make_config("Pop", circle)
    loaders, model, _ = build(config)
    assert flops(config, loaders[0].dataset, model) == 1


@pytest.mark.parametrize("model", ["GRU4RecCPR", "SASRecCPR"])
def test_get_flops__scores_all_items_where_no_pair_can_be(model, tmp_path):
    write_events(tmp_path, "tiny", cyclic(users=30, items=200))  # they take the 100 best of all items
    config = make_config(model, tmp_path)
    loaders, network, _ = build(config)
    assert flops(config, loaders[0].dataset, network) > 0


def test_give_hyperopt_a_generator__draws_in_exhaustive_search(monkeypatch):
    drawn_from = []

    def rec_eval(nodes, memo):
        drawn_from.append(memo["s_rng"])
        raise StopIteration

    stand_in = ModuleType("hyperopt")
    stand_in.pyll = SimpleNamespace(rec_eval=rec_eval)
    monkeypatch.setitem(sys.modules, "hyperopt", stand_in)
    monkeypatch.setitem(sys.modules, "hyperopt.base", SimpleNamespace(miscs_update_idxs_vals=None))
    domain = SimpleNamespace(s_idxs_vals=None, s_new_ids="s_new_ids", s_rng="s_rng")

    def search():
        with pytest.raises(StopIteration):
            hyper_tuning.exhaustive_search([0], domain, SimpleNamespace(trials=[]), seed=3)
        return drawn_from.pop()

    assert search().integers(100) == np.random.default_rng(3).integers(100)
    with suspend("give_hyperopt_a_generator"):
        assert not hasattr(search(), "integers")
    assert hyper_tuning.np.prod([2, 3]) == 6
