"""One run: the files in its folder, and identical bits with identical settings."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from recbole_samrec.config.build import configure
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.build_trainer import build_trainer
from recbole_samrec.quick_start.context import prepare_run
from recbole_samrec.utils.error_messages import describe_error
from tests.helpers.command import SMALL, main, succeed, tree
from tests.helpers.tiny import cyclic, random_events, write_events

KEYS = set(
    "schema_version model label dataset seed config data versions revision device parameters epochs_run best_epoch "
    "seconds_per_epoch seconds_total peak_memory_mb skipped_steps valid test gradient_passes "
    "cpu_seconds".split()
)


@pytest.fixture
def data(own_folder):
    """A data set of 30 items in the working folder."""
    write_events("dataset", "tiny", cyclic(users=40, items=30))
    return own_folder


def trained(*arguments, folder="one"):
    """The record of a run, and its output."""
    said = succeed("run", "--dataset=tiny", f"--run_dir={folder}", *arguments)
    return json.loads(Path(folder, "result.json").read_text()), said


def figures(result):
    return result["valid"], result["test"]


def test_train__writes_everything_to_one_folder(data):
    before = set(tree(data))
    said = succeed("run", "--dataset=tiny", *SMALL)
    new = set(tree(data)) - before
    (folder,) = Path("runs").iterdir()
    assert re.fullmatch(r"SAMRec-tiny-\d{8}-\d{6}-[0-9a-f]{6}", folder.name)
    assert {path for path in new if not path.startswith(str(folder))} == {"runs"}
    files = {path.removeprefix(f"{folder}/") for path in new if "tensorboard" not in path} - {"runs", str(folder)}
    checkpoints, ids = {"best.pth", "last.pth", "previous.pth"}, {"tokens.parquet", "rows.npz"}
    assert files == {*checkpoints, *ids, "config.yaml", "run.log", "result.json", "ranks.npz"}
    assert list(folder.glob("tensorboard/**/events.*"))
    assert f"result in {folder}/result.json" in said.out
    assert len(said.out.splitlines()) < 20 and not said.err
    log = (folder / "run.log").read_text()
    assert "The number of users: 41" in log and "train_batch_size = 256" in log and "full ranking includes items" in log


def test_train__makes_the_record_of_a_run(data):
    result, _ = trained(*SMALL, "--seed=7")
    assert set(result) == KEYS
    content = Path("dataset/tiny/tiny.inter").read_bytes()
    assert result["data"] == {
        "users": 40,
        "items": 30,
        "interactions": 400,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert (result["model"], result["dataset"], result["seed"]) == ("SAMRec", "tiny", 7)
    assert result["config"] == yaml.safe_load(Path("one/config.yaml").read_text())
    assert result["config"]["topk"] == [5, 10, 20] and result["config"]["valid_metric"] == "NDCG@10"
    assert not {"run_dir", "resume", "device"} & set(result["config"])
    assert result["epochs_run"] == 2 and result["best_epoch"] in (0, 1)
    assert 0 < result["seconds_per_epoch"] < result["seconds_total"] and result["peak_memory_mb"] > 1
    assert result["gradient_passes"] == 2 * 2 and result["cpu_seconds"] > 0
    names = {f"{name}@{k}" for name in ("recall", "mrr", "ndcg", "hr", "precision") for k in (5, 10, 20)}
    for part in figures(result):
        assert set(part) == names and all(isinstance(figure, float) for figure in part.values())
        assert any(figure != round(figure, 4) for figure in part.values())
    weights = torch.load("one/best.pth", weights_only=True)["state_dict"]
    assert result["parameters"] == sum(weight.numel() for weight in weights.values())
    assert result["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_train__of_a_counted_model_takes_no_passes(data):
    small = [word for word in SMALL if word.split("=")[0] in ("--epochs", "--topk", "--eval_batch_size")]
    result, _ = trained("--model=Pop", *small)
    assert result["gradient_passes"] == 0 and result["cpu_seconds"] > 0


def test_train__repeats_a_run_from_its_files_bit_for_bit(data):
    arguments = ["--sam_rho=0.2", "--learning_rate=1e-2", "--user_inter_num_interval=[5,10]", "--metrics=['NDCG']"]
    one, _ = trained(*SMALL, *arguments)
    said = succeed("run", "--config_files=one/config.yaml", "--run_dir=two")
    two = json.loads(Path("two/result.json").read_text())
    assert figures(one) == figures(two) and one["config"] == two["config"]
    assert said.out.count("note: ") == 1 and "note: full ranking includes items that the user had before" in said.out
    three, _ = trained("--config_files=one/config.yaml", "--seed=1", folder="three")
    assert figures(three) != figures(one) and three["config"]["seed"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=SAMRec", *SMALL],
        ["--model=BPR", "--epochs=2"],
        ["--model=Pop"],
        ["--model=ItemKNN", "--k=3"],
        ["--model=SASRec", *SMALL, "--eval_args={'split':{'LS':'valid_and_test'},'order':'TO','mode':'full'}"],
    ],
    ids=["SAMRec", "BPR", "Pop", "ItemKNN", "SASRec"],
)
def test_evaluate_weights__gives_the_recorded_metrics(data, arguments):
    write_events("dataset", "tiny", random_events(users=40, items=30))
    result, _ = trained(*arguments)
    before = tree(data)
    for source in ("one", "one/best.pth"):
        said = succeed("evaluate", source)
        assert "the same figures as in one/result.json" in said.out
    assert tree(data) == before
    Path("one/result.json").write_text(json.dumps({**result, "test": {"hr@5": 0.0}}))
    assert "these figures differ from one/result.json" in succeed("evaluate", "one").out


def test_evaluate_weights__masks_the_history(data):
    """Against the ranks from the run's own scores, with the history computed from the events."""
    events = list(random_events(users=40, items=30))
    write_events("dataset", "tiny", events)
    trained(*SMALL)
    said = succeed("evaluate", "one", "--mask_history")
    stored = torch.load("one/best.pth", weights_only=True)["config"]
    config = configure({**stored, "checkpoint_dir": "one"}, {})
    scores = train.evaluate_weights(config, Path("one/best.pth"), (False, True))

    context = prepare_run(config, log=False)
    trainer, dataset = build_trainer(context), context.dataset
    trainer.resume_weights("one/best.pth")
    trainer.model.eval()
    for part, loader in (("valid", context.valid_data), ("test", context.test_data)):
        rows = loader._dataset[list(range(len(loader._dataset)))]
        with torch.no_grad():
            points = trainer.model.full_sort_predict(rows).view(len(rows), -1).numpy().copy()
        points[:, 0] = -np.inf
        for mask in (False, True):
            ranks = []
            for row, score in enumerate(points.copy()):
                user, item = (rows[field][row].item() for field in ("user_id", "item_id"))
                name, when = dataset.id2token("user_id", user), rows["timestamp"][row].item()
                had = {thing for one, thing, time in events if one == name and time < when}
                hidden = [dataset.token2id("item_id", thing) for thing in had] if mask else []
                score[[number for number in hidden if number != item]] = -np.inf
                ranks.append(1 + (score > score[item]).sum())
            ranks = np.array(ranks)
            for k in (5, 10, 20):
                assert scores[mask][part][f"hr@{k}"] == pytest.approx((ranks <= k).mean())
                gains = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0)
                assert scores[mask][part][f"ndcg@{k}"] == pytest.approx(gains.mean())
            label = f"{part}, masked K = 10" if mask else f"{part} K = 10"
            line = next(line for line in said.out.splitlines() if label in line)
            assert f"{scores[mask][part]['hr@10']:.4f}" in line
    assert scores[False] != scores[True]


def test_evaluate_weights__keeps_recboles_own_mask(data):
    trained("--model=BPR", "--epochs=1")
    stored = torch.load("one/best.pth", weights_only=True)["config"]
    scores = train.evaluate_weights(configure(stored, {}), Path("one/best.pth"), (False, True))
    assert scores[False] == scores[True]


def test_train__allows_absent_parts(data):
    """A split without validation, or without test."""
    for kind, absent, there in (("test_only", "valid", "test"), ("valid_only", "test", "valid")):
        split = f"--eval_args={{'split':{{'LS':'{kind}'}},'order':'TO'}}"
        result, said = trained(*SMALL, split, folder=kind)
        assert result[absent] is None and result[there]
        assert f"{there} K = 5" in said.out and f"{absent} K" not in said.out
        assert result["epochs_run"] == 2
        assert "the same figures" in succeed("evaluate", kind).out


def test_train__takes_one_epoch_for_models_of_counts(data):
    result, said = trained("--model=Pop")
    assert result["epochs_run"] == 1 and result["best_epoch"] == 0 and "epoch 1/1 " in said.out
    assert result["valid"] and result["test"]


def test_train__uses_the_users_metrics(data):
    result, _ = trained(*SMALL, "--topk=[1,3]", "--valid_metric=Hit@1", "--metrics=['Hit','MRR']")
    assert set(result["test"]) == {"hr@1", "hr@3", "mrr@1", "mrr@3"}


def rated(folder, users=30, items=25):
    """A data set with ratings, and a class for each item."""
    path = write_events(folder, "rated", [])
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    events = [f"{user}\t{item}\t{len(item) % 2 * 4 + 1}\t{time}" for user, item, time in random_events(users, items)]
    (path / "rated.inter").write_text("\n".join([header, *events]) + "\n")
    (path / "rated.item").write_text(
        "item_id:token\tclass:token_seq\n" + "".join(f"i{item}\tc{item % 3} d\n" for item in range(items))
    )


RATED = [
    "--dataset=rated",
    "--threshold={'rating':3}",
    "--load_col={'inter':['user_id','item_id','rating','timestamp']}",
    "--run_dir=one",
]


@pytest.mark.parametrize("model", ["FM", "XGBoost", "LightGBM"])
def test_train__reports_value_metrics(own_folder, model):
    if model != "FM":
        for package in ("xgboost", "lightgbm"):
            pytest.importorskip(package, reason="RecBole imports both to find either")
    rated("dataset")
    succeed("run", f"--model={model}", *RATED, "--epochs=2")
    result = json.loads(Path("one/result.json").read_text())
    assert set(result) == KEYS and set(result["valid"]) == set(result["test"]) == {"auc", "logloss"}
    assert result["config"]["valid_metric"] == "AUC"
    assert "the same figures" in succeed("evaluate", "one").out
    if model != "FM":
        assert result["parameters"] is result["epochs_run"] is None
        assert "not trained in epochs" in main("run", "--resume=one").err


def test_train__passes_weights_of_pretraining_on(own_folder):
    rated("dataset", users=8)
    columns = "--load_col={'inter':['user_id','item_id','timestamp'],'item':['item_id','class']}"
    options = ["--model=S3Rec", RATED[0], columns, "--item_attribute=class", *SMALL[:-1]]
    said = succeed("run", *options, "--train_stage=pretrain", "--pretrain_epochs=2", "--save_step=1", "--run_dir=one")
    assert "epoch 2/2 " in said.out
    weights = re.search(r"--pre_model_path=(\S+)", said.out)[1]
    assert Path(weights) == Path("one/S3Rec-rated-2.pth")
    assert json.loads(Path("one/result.json").read_text())["valid"] is None
    options += ["--train_stage=finetune", f"--pre_model_path={weights}", "--epochs=1"]
    said = succeed("run", *options, "--run_dir=two")
    assert "pre-trained" not in said.out
    assert json.loads(Path("two/result.json").read_text())["valid"]


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("two\n  lines"), "two lines"),
        (KeyError("foo"), "hidden_act=foo is unknown"),
        (KeyError("bar"), "bar is missing or unknown"),
        (ModuleNotFoundError("No module named 'dgl'", name="dgl"), "-m pip install dgl"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError division by zero; --debug shows where"),
        (AssertionError(), "AssertionError; --debug shows where"),
        (ValueError("Some feat is empty, look."), "Some feat is empty, look; the filters leave nothing; loosen"),
    ],
)
def test_words_of__explains_an_error(error, words):
    assert words in describe_error(error, {"hidden_act": "foo", "n_heads": 2})


def test_run_recbole__tolerates_unknown_settings(data):
    from recbole.quick_start import run_recbole

    settings = {"epochs": 1, "hidden_size": 8, "data_path": "dataset", "learning_rte": 1, "learner": "foo"}
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    result = run_recbole("SAMRec", "tiny", config_dict={**settings, "load_col": columns, "state": "ERROR"})
    assert set(result["test_result"]) == {f"{name}@10" for name in ("recall", "mrr", "ndcg", "hit", "precision")}
    assert {path.name for path in data.iterdir()} == {"dataset", "saved"}
