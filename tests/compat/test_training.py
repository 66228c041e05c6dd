"""Metrics, early stopping, logs and checkpoints of RecBole's own functions, and their agreement with RecBole."""

import json
import logging
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest
import recbole.trainer
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender.bpr import BPR
from recbole.quick_start import load_data_and_model, objective_function, run, run_recbole
from recbole.quick_start import quick_start as recbole_start
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import early_stopping, get_trainer, init_seed
from recbole.utils.case_study import full_sort_scores, full_sort_topk

import recbole_samrec
from recbole_samrec import SAMRec, compat
from recbole_samrec.trainer.trainer import EXACT_STOPPING
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, TrainingError
from tests.helpers.paths import ROOT
from tests.helpers.tiny import SMALL, build, make_config, random_events, write_events
from tests.helpers.toy_data import suspend

RANKING = ["Recall", "MRR", "NDCG", "Hit", "MAP", "Precision", "GAUC", "ItemCoverage", "AveragePopularity"]
RANKING += ["GiniIndex", "ShannonEntropy", "TailPercentage"]
NEEDS_TRAINING_DATA = {"metrics": ["NDCG", "ItemCoverage", "AveragePopularity"], "valid_metric": "NDCG@10"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """RecBole measures the processor load for a second at the end of each run."""
    monkeypatch.setattr("psutil.cpu_percent", lambda interval=None: 0.0)


@pytest.fixture
def events(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


def settings(folder, **more):
    return {**SMALL, "data_path": str(folder), "state": "INFO", **more}


# Metrics: `keep_metrics_unrounded`


def scores(folder, model="BPR", **more):
    loaders, _, trainer = build(make_config(model, folder, **more))
    trainer.eval_collector.data_collect(loaders[0])
    return trainer.evaluate(loaders[2], load_best_model=False)


VALUES = {"eval_args": {"split": {"RS": [6, 2, 2]}, "mode": "labeled"}, "threshold": {"timestamp": 5003}}
VALUES |= {"metrics": ["AUC", "MAE", "RMSE", "LogLoss"], "valid_metric": "AUC"}


@pytest.mark.parametrize(("model", "kind"), [("BPR", {"metrics": RANKING}), ("FM", VALUES)], ids=["ranking", "values"])
def test_metrics__are_not_rounded(model, kind, events):
    exact = scores(events, model, **kind)
    assert {name.split("@")[0] for name in exact} == {name.lower() for name in kind["metrics"]}
    assert all(type(value) is float for value in exact.values())
    with suspend("keep_metrics_unrounded"):
        rounded = scores(events, model, **kind)
    assert {name: round(value, 4) for name, value in exact.items()} == pytest.approx(dict(rounded), abs=1e-12)
    assert sum(exact[name] != rounded[name] for name in exact) > len(exact) / 3


def test_metrics__may_need_the_training_data(events):
    found = scores(events, **{**NEEDS_TRAINING_DATA, "topk": [19]})  # nearly all items there are
    assert found["itemcoverage@19"] == 1 and found["averagepopularity@19"] > 0
    tail = scores(events, metrics=["TailPercentage"], valid_metric="TailPercentage@10", tail_ratio=1)
    assert tail == {"tailpercentage@10": pytest.approx(1)}  # all items are in it
    with suspend("compute_metrics_of_training_data"), pytest.raises(AttributeError, match="cpu"):
        scores(events, **NEEDS_TRAINING_DATA)


def test_metrics__are_shown_with_four_places():
    assert recbole_trainer.dict2str({"ndcg@10": 1 / 3, "hit@10": 0.5}) == "ndcg@10 : 0.3333    hit@10 : 0.5"


# Early stopping: `stop_exactly`


def scripted(folder, figures, **more):
    """Train with given validation scores; return the trained epochs and the trainer."""
    config = make_config("BPR", folder, epochs=20, valid_metric="Recall@10", **more)
    loaders, _, trainer = build(config)
    planted = iter(figures)
    trainer.evaluate = lambda *args, **kwargs: {"recall@10": next(planted)}
    score, result = trainer.fit(loaders[0], loaders[1], verbose=False)
    assert result == {"recall@10": score}
    return len(trainer.train_loss_dict), trainer.best_epoch, score


FALLING = [0.5, 0.4, 0.3, 0.2, 0.1]
TIES = [0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_early_stopping__waits_for_so_many_evaluations(patience, events):
    assert scripted(events, FALLING, stopping_step=patience) == (1 + patience, 0, 0.5)
    assert scripted(events, FALLING, stopping_step=patience, exact_early_stopping=False) == (2 + patience, 0, 0.5)
    with suspend("stop_exactly"):
        assert scripted(events, FALLING, stopping_step=patience) == (2 + patience, 0, 0.5)


def test_early_stopping__takes_a_tie_for_no_gain(events):
    assert scripted(events, TIES, stopping_step=2) == (4, 1, 0.2)
    assert scripted(events, TIES, stopping_step=2, exact_early_stopping=False) == (8, 4, 0.2)
    with suspend("stop_exactly"):
        assert scripted(events, TIES, stopping_step=2) == (8, 4, 0.2)


def test_early_stopping__counts_a_gain_in_the_fifth_place(events):
    assert scripted(events, [0.30001, 0.30002, 0.30003, 0.1, 0.1], stopping_step=2) == (5, 2, 0.30003)


def test_early_stopping__knows_metrics_that_should_be_small():
    assert EXACT_STOPPING.get()
    assert early_stopping(0.5, 0.6, 3, 5, bigger=False) == (0.5, 0, False, True)
    assert early_stopping(0.6, 0.6, 3, 5, bigger=False) == (0.6, 4, False, False)
    assert early_stopping(0.7, 0.6, 4, 5, bigger=False) == (0.6, 5, True, False)
    assert early_stopping(0.7, 0.6, 4, 5) == (0.7, 0, False, True)


# Scores that are no numbers

SAMPLED = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "uni10"}}


@pytest.mark.parametrize(("model", "more"), [("SASRec", {}), ("BPR", {}), ("BPR", SAMPLED), ("SASRec", SAMPLED)])
def test_nan_scores__are_an_error(model, more, events):
    loaders, network, trainer = build(make_config(model, events, **more))
    trainer.evaluate(loaders[1], load_best_model=False)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=f"{model}: all scores of a sample are nan"):
        trainer.evaluate(loaders[1], load_best_model=False)


# Logs: `separate_logs_of_runs`


def logs(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.log"))


def boards(folder):
    return sorted(file.parent.relative_to(folder).as_posix() for file in folder.rglob("events.out.tfevents*"))


def test_run_log__and_tensorboard_are_of_one_run(events):
    for seed in (1, 2):
        run_recbole(model="BPR", dataset="tiny", config_dict=settings(events, epochs=1, seed=seed))
    assert sorted(path.name for path in events.iterdir()) == ["saved", "tiny"]
    files = logs(events / "saved")
    assert len(files) == 2 and all(file.startswith("log/BPR-tiny-") for file in files)
    texts = [(events / "saved" / file).read_text() for file in files]
    assert {text.count("epoch 0 training") for text in texts} == {1}
    assert sorted("seed = 1\n" in text for text in texts) == [False, True] and "\x1b" not in "".join(texts)
    assert set(boards(events)) >= {"saved/" + file.removesuffix(".log") for file in files}
    for text in texts:
        first = text.splitlines()[0]
        assert f"recbole_samrec {recbole_samrec.__version__}; patched in RecBole: " in first
        assert all(one.name in first for one in compat.list_applied())


def test_run_log__lies_in_the_folder_of_the_run(events):
    more = {"run_dir": str(events / "mine"), "checkpoint_dir": str(events / "mine")}
    run_recbole(model="BPR", dataset="tiny", config_dict=settings(events, epochs=1, **more))
    assert logs(events) == ["mine/run.log"] and set(map(str, boards(events))) <= {"mine/tensorboard", *boards(events)}
    assert (events / "mine" / "tensorboard").is_dir() and (events / "mine" / "best.pth").is_file()


def test_run_log__is_the_first_runs_without_the_patch(events, monkeypatch):
    root = logging.getLogger()
    handlers = root.handlers[:]
    monkeypatch.setattr(root, "handlers", [])
    try:
        with suspend("separate_logs_of_runs"):
            for seed in (1, 2):
                run_recbole(model="BPR", dataset="tiny", config_dict=settings(events, epochs=1, seed=seed))
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
    texts = [(events / file).read_text() for file in logs(events)]
    assert (events / "log").is_dir() and (events / "log_tensorboard").is_dir()
    assert sum(text.count("epoch 0 training") for text in texts) == 2  # both runs are in one file
    assert max(text.count("epoch 0 training") for text in texts) == 2


def test_run_log__is_not_needed_for_figures(events):
    trainer = build(make_config("BPR", events))[2]
    trainer.tensorboard.add_scalar("loss", 1.0, 0)
    assert boards(events) == []


# Folders: `tolerate_existing_folders`


def test_run_log__may_share_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("os.path.exists", lambda path: False)  # as it was when this process looked
    recbole_trainer.ensure_dir(tmp_path)
    with suspend("tolerate_existing_folders"), pytest.raises(FileExistsError):
        recbole_trainer.ensure_dir(tmp_path)


# The search: `report_validation_metrics`


@pytest.fixture
def trial(monkeypatch):
    """A stand-in for a trial of Ray Tune; a list of the reported values."""
    reported = []
    tune = types.ModuleType("ray.tune")
    tune.get_context = lambda: types.SimpleNamespace(get_trial_id=lambda: "trial_1")
    tune.report = reported.append
    ray = types.ModuleType("ray")
    ray.tune = tune
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.tune", tune)
    return reported


def valid_and_test_disagree(folder):
    """Users follow a circle of items except in their last event."""
    events = [(f"u{u}", f"i{(u + t + (t == 9) * 5) % 12}", 100 * u + t) for u in range(40) for t in range(10)]
    write_events(folder, "tiny", events)
    more = {"model": "SASRec", "dataset": "tiny", "epochs": 8, "learning_rate": 0.01, "topk": [1], "metrics": ["Hit"]}
    return settings(folder, valid_metric="Hit@1", **more)


def test_objective_function__reports_validation_metrics_once(tmp_path, trial):
    given = valid_and_test_disagree(tmp_path)
    assert objective_function(given, saved=False) is None  # Ray takes what is returned for another result
    assert trial == [{"hit@1": pytest.approx(1, abs=0.1), "test_hit@1": pytest.approx(0, abs=0.1)}]
    with suspend("report_validation_metrics"), pytest.raises(TypeError):  # Ray's report takes one dictionary
        recbole_start.objective_function(given, saved=False)


def test_objective_function__reports_the_test_without_the_patch(tmp_path, trial, monkeypatch):
    told = []
    monkeypatch.setattr(sys.modules["ray.tune"], "report", lambda **metrics: told.append(metrics))
    with suspend("report_validation_metrics"):
        result = recbole_start.objective_function(valid_and_test_disagree(tmp_path), saved=False)
    assert told == [dict(result["test_result"])] and result["best_valid_result"]["hit@1"] > told[0]["hit@1"]


def test_objective_function__is_a_plain_function_outside_of_ray(events):
    files = [str(events / "more.yaml")]
    Path(files[0]).write_text("model: BPR\ndataset: tiny\n")
    result = objective_function(settings(events, epochs=1), files, saved=False)
    assert set(result) == {"model", "best_valid_score", "valid_score_bigger", "best_valid_result", "test_result"}
    assert result["model"] == "BPR" and result["best_valid_result"]["mrr@10"] == result["best_valid_score"]


# Checkpoints: `save_plain_checkpoints`, `load_safely`


def test_plain_checkpoints__hold_pretrained_weights(events):
    classes = "".join(f"i{item}\tc\n" for item in range(20))
    (events / "tiny" / "tiny.item").write_text("item_id:token\tclass:token_seq\n" + classes)
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}
    more = {"load_col": columns, "train_stage": "pretrain", "pretrain_epochs": 1, "save_step": 1, "epochs": 1}
    saved = Path("saved", "S3Rec-tiny-1.pth")

    def pretrain():
        loaders, network, trainer = build(make_config("S3Rec", events, **more))
        trainer.fit(loaders[0], verbose=False)
        return network

    network = pretrain()
    state = torch.load(saved, weights_only=True)
    assert all(torch.equal(state["state_dict"][name], value) for name, value in network.state_dict().items())
    saved.unlink()
    with suspend("save_plain_checkpoints"):
        pretrain()
        with pytest.raises(pickle.UnpicklingError):
            torch.load(saved, weights_only=True)


def test_plain_checkpoints__hold_boosted_trees(events):
    trainer = object.__new__(recbole_trainer.DecisionTreeTrainer)  # lightgbm need not be there
    vars(trainer).update(config=make_config("BPR", events), cur_step=3, best_valid_score=0.5)
    vars(trainer).update(temp_best_file="trees.txt", saved_model_file=str(events / "trees.pth"))
    trainer._save_checkpoint(7)
    state = torch.load(events / "trees.pth", weights_only=True)
    assert (state["epoch"], state["cur_step"], state["state_dict"]) == (7, 3, "trees.txt")
    with suspend("save_plain_checkpoints"):
        trainer._save_checkpoint(7)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(events / "trees.pth", weights_only=True)


def trained(folder, model="SASRec", **more):
    """A run of RecBole's: its result and its checkpoint."""
    result = run_recbole(model=model, dataset="tiny", config_dict=settings(folder, epochs=2, **more))
    (file,) = Path(folder, "saved").glob("*.pth")
    return result, file


FRESH = """
import json, sys
import recbole_samrec
from recbole.config import Config
from recbole.quick_start import load_data_and_model
from recbole.utils import get_trainer
from recbole.utils.case_study import full_sort_topk
if __name__ == "__main__":
    config, model, dataset, train_data, valid_data, test_data = load_data_and_model(sys.argv[1])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    parts = [trainer.evaluate(part, load_best_model=False) for part in (valid_data, test_data)]
    users = dataset.token2id(dataset.uid_field, ["u3", "u1"])
    top = full_sort_topk(users, model, test_data, k=3)[1]
    argv = Config(model="BPR", dataset="tiny")["seed"]
    print(json.dumps([*parts, dataset.id2token(dataset.iid_field, top).tolist(), config["seed"], argv]))
"""


@pytest.mark.slow
def test_plain_checkpoints__are_scored_again_in_a_fresh_process(events):
    result, file = trained(events, **NEEDS_TRAINING_DATA)
    (events / "again.py").write_text(FRESH)
    command = [sys.executable, str(events / "again.py"), str(file), "--seed=5"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    valid, test, items, seed, argv = json.loads(done.stdout.splitlines()[-1])
    assert (valid, test) == (dict(result["best_valid_result"]), dict(result["test_result"]))
    config, network, dataset, *_, test_data = load_data_and_model(str(file))
    users = dataset.token2id(dataset.uid_field, ["u3", "u1"])
    best = full_sort_scores(users, network, test_data).topk(3)[1]
    assert dataset.id2token(dataset.iid_field, best.numpy()).tolist() == items
    assert (seed, argv) == (config["seed"], 5)  # a checkpoint says itself what it was trained with


def pickled(file):
    """The same checkpoint in RecBole's format."""
    state = torch.load(file, weights_only=True)
    config = Config(model=state["config"]["model"], dataset="tiny", config_dict=dict(state["config"]))
    torch.save({**state, "config": config}, file, pickle_protocol=4)
    return str(file)


def test_plain_checkpoints__let_trusted_ones_of_recbole_be_read(events):
    _, file = trained(events)
    weights = load_data_and_model(str(file))[1].state_dict()
    file = pickled(file)
    with pytest.raises(CheckpointError, match=r"pickled, as RecBole's are.*--trust_checkpoint=True"):
        load_data_and_model(file)
    trusted = load_data_and_model(file, trust_checkpoint=True)[1].state_dict()
    assert all(torch.equal(trusted[name], value) for name, value in weights.items())
    with suspend("load_safely"), pytest.raises(pickle.UnpicklingError):
        recbole_start.load_data_and_model(file)


# RecBole's functions


def test_full_sort_scores__are_the_models(events):
    loaders, network, _ = build(make_config("BPR", events))
    users = [3, 1, 7]
    found = full_sort_scores(users, network, loaders[2])
    plain = network.user_embedding.weight[users] @ network.item_embedding.weight.T
    for row, user in enumerate(users):
        history = loaders[2].uid2history_item[user]
        assert found[row, 0] == float("-inf") and (found[row, history] == float("-inf")).all()
        others = [item for item in range(1, found.shape[1]) if item not in history]
        assert torch.allclose(found[row, others], plain[row, others])
    values, items = full_sort_topk(users, network, loaders[2], k=2)
    assert torch.equal(values, found.topk(2)[0]) and torch.equal(items, found.topk(2)[1])


def test_entry_points__know_samrec_by_name_and_class(events):
    given = settings(events, epochs=1, sam_rho=0.1)
    files = [str(events / "model.yaml")]
    Path(files[0]).write_text("model: SAMRec\ndataset: tiny\n")
    results = [
        run_recbole(model="SAMRec", dataset="tiny", config_dict=dict(given)),
        run_recbole(model=SAMRec, dataset="tiny", config_dict=dict(given)),
        run_recbole(config_file_list=files, config_dict=dict(given)),
        run(model="SAMRec", dataset="tiny", config_dict=dict(given)),
    ]
    assert all(result == results[0] for result in results)
    assert results[0] != run_recbole(model="SASRec", dataset="tiny", config_dict=dict(given, sam_rho=0.0))
    assert get_trainer(None, "SAMRec") is recbole.trainer.SAMRecTrainer


def by_hand(folder, model):
    """RecBole's classes in the simplest possible loop; returns the weights after two epochs."""
    config = make_config(model, folder)
    init_seed(config["seed"], True)
    train_data, _, _ = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    network = recbole.utils.get_model(model)(config, train_data._dataset)
    optimizer = torch.optim.Adam(network.parameters(), lr=config["learning_rate"])
    network.train()
    for _ in range(config["epochs"]):
        for batch in train_data:
            optimizer.zero_grad()
            network.calculate_loss(batch).backward()
            optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("model", ["SASRec", "BPR", "GRU4Rec"])
def test_entry_points__train_recboles_models_as_before(model, events):
    expected = by_hand(events, model)
    loaders, network, trainer = build(make_config(model, events, fast_dropout=False))
    trainer.fit(loaders[0], verbose=False, saved=False)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


class Own(BPR):
    """A user's own model."""


def test_entry_points__train_a_class_of_the_users(events):
    config = Config(model=Own, dataset="tiny", config_dict=settings(events, state="ERROR", embedding_size=8))
    train_data, valid_data, test_data = data_preparation(config, create_dataset(config))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, Own(config, train_data.dataset))
    trainer.fit(train_data, valid_data, verbose=False)
    assert trainer.evaluate(test_data).keys() == trainer.best_valid_result.keys()
    assert checkpoint_io.load(trainer.saved_model_file)["config"]["model"] == "Own"


def test_run_log__prints_surplus_arguments(own_folder):
    settings = {"run_dir": str(own_folder), "state": "INFO", "single_spec": True, "quiet_terminal": True}
    recbole_samrec.compat.training.init_logger(settings)
    handler = next(h for h in logging.getLogger().handlers if getattr(h, "of_a_run", False))

    def line(message, *arguments):
        record = logging.LogRecord("root", logging.INFO, "ract.py", 76, message, arguments, None)
        return handler.format(record).split("  ")[1]

    assert line("Load pretrained model from", "a/path.pth") == "Load pretrained model from a/path.pth"
    assert line("%d of %d", 1, 2) == "1 of 2"
