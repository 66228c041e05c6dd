"""S3Rec in one run: pre-training on users' sequences, its reuse and resuming, and the items' attribute."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, init_seed

from recbole_samrec.cli.main import main as command
from recbole_samrec.config.build import configure
from recbole_samrec.data import attributes
from recbole_samrec.data.validate.layout import Column
from recbole_samrec.model.s3rec_objectives import (
    build_attribute_table,
    compute_masked_states,
)
from recbole_samrec.quick_start import run_folder, train
from recbole_samrec.quick_start.record import RESULT, make_label
from recbole_samrec.trainer import pretraining as pretrain
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.trainer.sam_settings import read_sam_settings
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import DataError
from tests.helpers.hit_rate import hit_rate_on_new_users
from tests.helpers.pretraining import STAGES, stage_of, write_items_with_kinds
from tests.helpers.tiny import SMALL, build, cyclic, make_config, random_events, write_events


@pytest.fixture
def data(tmp_path):
    return write_items_with_kinds(tmp_path / "data")


def test_pretraining__does_not_depend_on_validation_and_test(tmp_path):
    """Other last two events of the users give the same batches."""
    batches = []
    for name, shift in (("one", 0), ("two", 1)):
        events = list(random_events())
        last = {user: n for n, (user, _, _) in enumerate(events)}
        for n in last.values():
            for at in (n - 1, n):
                user, item, time = events[at]
                events[at] = (user, f"i{(int(item[1:]) + shift) % 20}", time)
        folder = write_events(tmp_path / name, "tiny", [*(("u", f"i{i}", i) for i in range(20)), *events])
        kinds = "".join(f"i{i}\tk{i % 3}\n" for i in range(20))
        (folder / "tiny.item").write_text("item_id:token\tkind:token_seq\n" + kinds)
        batches.append(list(stage_of(folder.parent)[0][0]))
    for one, two in zip(*batches, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one.interaction)


@pytest.fixture
def circle(tmp_path):
    """Users on a circle of 12 items, each of one of three kinds."""
    folder = write_events(tmp_path / "data", "tiny", cyclic(users=100))
    kinds = "".join(f"i{i}\tk{i % 3}\n" for i in range(12))
    (folder / "tiny.item").write_text("item_id:token\tkind:token_seq\n" + kinds)
    return folder.parent


def test_pretraining__learns_attributes_and_kinds_of_items(circle):
    settings = {"pretrain_epochs": 20, "pretrain_batch_size": 16, "learning_rate": 0.01, "save_step": 99}
    (train_data, *_), network, trainer = stage_of(circle, **settings)
    trainer.fit(train_data, verbose=False, saved=False)
    ids = torch.from_numpy(train_data.dataset.token2id("item_id", [f"i{i}" for i in range(12)]))
    rows = ids[(torch.arange(12)[:, None] + torch.arange(8)) % 12]
    middle = rows[:, 2].clone()
    rows[:, 2] = network.mask_token
    with torch.no_grad():
        states = compute_masked_states(network.eval(), rows, torch.arange(12) * 8 + 2)
        kinds = (network.map_norm(states) @ network.feature_embedding.weight.T).argmax(1)
        scores = network.mip_norm(states) @ network.item_embedding.weight[:13].T
    assert torch.equal(kinds, build_attribute_table(network)[middle].argmax(1))
    outside = ids[(torch.arange(12)[:, None] + 2 + torch.arange(7, 9)) % 12]  # of other kinds, not in its row
    above = scores.gather(1, middle[:, None]) > scores.gather(1, outside)
    assert above.float().mean() >= 0.9


def test_both_stages__learn_cyclic_sequences(circle):
    settings = {**STAGES, "epochs": 10, "learning_rate": 0.01, "topk": [1], "valid_metric": "Hit@1"}
    (train_data, valid_data, _), network, trainer = build(make_config("S3Rec", circle, **settings))
    trainer.fit(train_data, valid_data, verbose=False)
    trainer.resume_weights(trainer.saved_model_file)
    assert hit_rate_on_new_users(network.eval(), train_data.dataset, SMALL["MAX_ITEM_LIST_LENGTH"], 12) >= 0.95


# The run ------------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """Raised where a process would be killed."""


class StopAt(Callback):
    """Stops at the beginning of an epoch of a stage."""

    def __init__(self, stage, epoch):
        self.stages, self.at = [], (stage, epoch)

    def on_stage_start(self, trainer, stage, epochs):
        self.stages.append(stage)
        if (stage.split()[0], epochs) == self.at:
            raise Stopped

    def on_train_epoch_start(self, trainer, epoch, steps):
        if (len(self.stages), epoch) == self.at:
            raise Stopped


def carry_out(data, folder, resume=None, stop_at=(None, None), **settings):
    """Train a run; return its result, or None if it was stopped, and the stages that it announced."""
    base = {**SMALL, **STAGES, "data_path": str(data), "dataset": "tiny", "model": "S3Rec", **settings}
    folder.mkdir(parents=True, exist_ok=True)
    base |= {"run_dir": str(folder), "checkpoint_dir": str(folder), "quiet_terminal": True}
    stop = StopAt(*stop_at)
    try:
        return train.train(configure(base, {}), resume, [stop]), stop.stages
    except Stopped:
        return None, stop.stages


def weights(folder, name="best.pth"):
    return checkpoint_io.load(folder / name)["state_dict"]


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first | second)


def test_pretraining__is_reused_with_the_same_result(data, tmp_path):
    first, stages = carry_out(data, tmp_path / "runs/one")
    assert stages[0] == "pre-training" and stages[1].startswith("fine-tuning (pre-trained weights are in")
    second, stages = carry_out(data, tmp_path / "runs/two")
    assert len(stages) == 1 and "takes the pre-trained weights" in stages[0]
    (file,) = (tmp_path / "runs/pretrained").glob("*.pth")
    assert first["gradient_passes"] == second["gradient_passes"] == first["epochs_run"] + 3
    first, second = dict(first), dict(second)
    ours, theirs = first.pop("pretraining"), second.pop("pretraining")
    assert (ours.pop("reused"), theirs.pop("reused")) == (False, True) and ours == theirs
    assert ours["file"] == file.name and ours["epochs"] == 3 and ours["seconds"] > 0
    assert first["test"] == second["test"] and first["epochs_run"] == second["epochs_run"] <= 3
    assert same(weights(tmp_path / "runs/one"), weights(tmp_path / "runs/two"))
    for name in ("one", "two"):
        assert not (tmp_path / "runs" / name / "pretraining").exists()
    shutil.rmtree(tmp_path / "runs/pretrained")  # a finished run does not need it
    assert command(["evaluate", str(tmp_path / "runs/one")]) == 0


def test_pretraining__is_repeated_for_damaged_weights(data, tmp_path):
    first, _ = carry_out(data, tmp_path / "runs/one")
    file = tmp_path / "runs/pretrained" / first["pretraining"]["file"]
    file.write_bytes(file.read_bytes()[:1000])
    second, _ = carry_out(data, tmp_path / "runs/two")
    assert not second["pretraining"]["reused"] and second["test"] == first["test"]


@pytest.mark.parametrize("stop_at", [(1, 0), (1, 2), (2, 0), (2, 2)])
@pytest.mark.parametrize("pretraining", ["users", "recbole"])
def test_both_stages__are_resumed_with_the_same_result(data, tmp_path, stop_at, pretraining):
    settings = {"pretraining": pretraining, "pretrain_epochs": 3, "weight_average": "ema 0.9"}
    settings |= {"sam_rho": 0.1, "sam_stage": "pretraining"}
    whole, _ = carry_out(data, tmp_path / "whole/run", **settings)
    folder = tmp_path / "parts/run"
    assert carry_out(data, folder, stop_at=stop_at, **settings)[0] is None
    assert (folder / "pretraining").exists() == (stop_at[0] == 1)
    resumed, stages = carry_out(data, folder, run_folder.newest_checkpoint(folder), **settings)
    assert len(stages) == (2 if stop_at[0] == 1 else 0)
    assert resumed["test"] == whole["test"] and resumed["epochs_run"] == whole["epochs_run"]
    assert same(weights(tmp_path / "whole/run"), weights(folder))
    assert resumed["pretraining"]["reused"] is False and resumed["pretraining"]["epochs"] == 3
    for record in (whole, resumed):
        assert record["pretraining"]["gradient_passes"] == 2 * 3
        assert record["gradient_passes"] == 2 * 3 + record["epochs_run"]
        assert 0 < record["pretraining"]["cpu_seconds"] < record["cpu_seconds"]
    folders = [tmp_path / parts / "pretrained" for parts in ("whole", "parts")]
    files = [at / result["pretraining"]["file"] for at, result in zip(folders, (whole, resumed), strict=True)]
    assert same(*(checkpoint_io.load(file)["state_dict"] for file in files))


def test_pretraining__of_a_stopped_run_counts_as_its_own(data, tmp_path):
    folder = tmp_path / "runs/one"
    assert carry_out(data, folder, stop_at=("fine-tuning", 3))[0] is None
    (file,) = (tmp_path / "runs/pretrained").glob("*.pth")
    state = checkpoint_io.load(file)
    state["pretraining"] |= {"seconds": 1000.0, "cpu_seconds": 2000.0}  # as if it had taken so long
    checkpoint_io.save(file, state)
    resumed, stages = carry_out(data, folder, run_folder.newest_checkpoint(folder))
    assert len(stages) == 1 and resumed["pretraining"]["reused"] is False
    assert 1000 < resumed["seconds_total"] < 1900 and 2000 < resumed["cpu_seconds"] < 2900
    reused = carry_out(data, tmp_path / "runs/two")[0]
    assert reused["pretraining"]["reused"] is True and 2000 < reused["cpu_seconds"] < 2900
    del state["pretraining"]["gradient_passes"], state["pretraining"]["cpu_seconds"]  # of an earlier version
    checkpoint_io.save(file, state)
    assert not {"gradient_passes", "cpu_seconds"} & set(carry_out(data, tmp_path / "runs/three")[0])


def test_run__resumes_in_pretraining(data, tmp_path, capsys):
    assert carry_out(data, tmp_path / "run", stop_at=(1, 2))[0] is None
    assert command(["run", f"--resume={tmp_path / 'run'}"]) == 0
    assert re.search(r"pre-training\nepoch 3/3 .*\nfine-tuning .*\nepoch 1/3 ", capsys.readouterr().out)
    assert (tmp_path / "run" / RESULT).exists()


def key_of(data, **settings):
    base = {**SMALL, **STAGES, "data_path": str(data), "dataset": "tiny", "model": "S3Rec", **settings}
    return pretrain.pretraining_key(pretrain.stage_config(configure({**base, "run_dir": "x"}, {})))


def test_pretraining_key__is_shared_by_equal_pretraining(data):
    first = key_of(data)
    for later in [
        {
            "epochs": 9,
            "learning_rate": 0.1,
            "sam_rho": 0.5,
            "stopping_step": 3,
            "topk": [7],
            "valid_metric": "MRR@7",
            "metrics": ["MRR"],
        },
        {"training": "prefix", "train_batch_size": 7, "loss_type": "BPR", "run_dir": "y", "mask_history": True},
        {"weight_average": "ema 0.9", "sam_variant": "random"},
    ]:
        assert key_of(data, **later) == first
    others = [{"seed": 1}, {"hidden_size": 32}, {"mask_ratio": 0.3}, {"pretrain_epochs": 2}, {"pretraining": "recbole"}]
    others += [{"pretrain_learning_rate": 0.1}, {"train_fraction": 0.5}, {"item_attribute": "title"}]
    keys = [key_of(data, **other) for other in others]
    assert len({first, *keys}) == len(keys) + 1
    with open(data / "tiny" / "tiny.inter", "a") as file:
        file.write("u0\ti0\t999999\n")
    assert key_of(data) != first
    changed = key_of(data)
    item = data / "tiny" / "tiny.item"
    item.write_text(item.read_text().replace("k0 k0", "k1 k0"))
    assert key_of(data) != changed


def test_pretraining_key__differs_where_sam_acts(data):
    """Pre-training without SAM has the key of earlier versions, regardless of SAM in fine-tuning."""
    plain = key_of(data)
    both = {"sam_stage": "both"}
    assert key_of(data, sam_rho=0.5, sam_stage="finetuning") == key_of(data, **both) == plain
    keys = [key_of(data, sam_rho=rho, sam_stage="both", sam_variant=name) for rho, name in ((0.5, "sam"), (0.1, "sam"))]
    keys.append(key_of(data, sam_rho=0.5, sam_stage="both", sam_variant="asam"))
    assert len({plain, *keys}) == 4
    assert key_of(data, sam_rho=0.5, sam_stage="pretraining") == keys[0]


@pytest.mark.parametrize(
    ("stage", "label"),
    [("finetuning", "S3Rec+SAM"), ("pretraining", "S3Rec+SAM (pre-training)"), ("both", "S3Rec+SAM (both stages)")],
)
def test_sam_stage__decides_where_sam_acts(data, tmp_path, stage, label):
    """A stage has the weights of a training without SAM exactly if SAM is not used in it."""
    plain, with_sam = (tmp_path / name / "run" for name in ("plain", "sam"))
    carry_out(data, plain)
    assert carry_out(data, with_sam, sam_rho=0.5, sam_stage=stage)[0]["label"] == label
    before = [next((folder.parent / "pretrained").glob("*.pth")) for folder in (plain, with_sam)]
    states = [checkpoint_io.load(file)["state_dict"] for file in before]
    assert same(*states) == (stage == "finetuning")
    config = make_config("S3Rec", data, **STAGES, sam_rho=0.5, sam_stage=stage)
    assert read_sam_settings(config).rho == (0.0 if stage == "pretraining" else 0.5)
    assert pretrain.stage_config(config)["sam_rho"] == (0.0 if stage == "finetuning" else 0.5)
    assert not same(weights(plain), weights(with_sam))


def test_explicit_pretraining__keeps_recboles_length(data):
    config = configure({"data_path": str(data), "dataset": "tiny", "model": "S3Rec", "pretraining": "recbole"}, {})
    assert config["pretrain_epochs"] == 500 and make_label(config) == "S3Rec (RecBole)"
    stage = pretrain.stage_config(config)
    assert (stage["training"], stage["train_batch_size"]) == ("prefix", config["train_batch_size"])
    ours = configure({"data_path": str(data), "dataset": "tiny", "model": "S3Rec", "sam_rho": 0.1}, {})
    assert ours["pretrain_epochs"] == 100 and make_label(ours) == "S3Rec+SAM"
    assert pretrain.stage_config(ours)["sam_rho"] == 0 and ours["sam_rho"] == 0.1


def test_both_stages__work_with_recboles_function(data):
    from recbole.quick_start import run_recbole

    settings = {**SMALL, **STAGES, "data_path": str(data), "checkpoint_dir": "saved", "epochs": 1}
    found = run_recbole("S3Rec", "tiny", config_dict=settings, saved=False)
    assert found["test_result"]["ndcg@10"] > 0 and len(list(Path("saved/pretrained").glob("*.pth"))) == 1


def test_run__reports_pretraining(data, tmp_path, capsys):
    options = [f"--{name}={value}" for name, value in {**STAGES, "hidden_size": 8, "epochs": 1}.items()]
    given = ["run", "--model=S3Rec", "--dataset=tiny", f"--data_path={data}", *options]
    assert command([*given, "--run_dir=runs/one"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"pre-training\nepoch 1/3 .*\nepoch 2/3 .*\nepoch 3/3 .*\nfine-tuning .*\nepoch 1/1 ", out)
    assert json.loads(Path("runs/one/result.json").read_text())["config"]["item_attribute"] == "kind"
    assert command([*given, "--run_dir=runs/two"]) == 0
    assert "takes the pre-trained weights runs/pretrained/S3Rec-tiny-" in capsys.readouterr().out


# Which items, and which attribute -----------------------------------------------------------------------------------


def test_both_stages__rank_what_sasrec_ranks(data):
    """Although the .item file has an item without events, and lacks one with events."""
    item = data / "tiny" / "tiny.item"
    item.write_text(re.sub(r"\ni7\t.*", "", item.read_text()))
    sets = [create_dataset(make_config(model, data)) for model in ("SASRec", "S3Rec")]
    tables = []
    for dataset in sets:
        users, items = (dataset.field2id_token[field] for field in ("user_id", "item_id"))
        test = data_preparation(dataset.config, dataset)[2]._dataset.inter_feat
        tables.append(
            (sorted(items), {users[u]: items[i] for u, i in zip(test["user_id"], test["item_id"], strict=True)})
        )
    assert tables[0] == tables[1]
    assert "i99" not in tables[0][0] and "i7" in tables[0][0]


COLUMNS = [Column("item_id", "token", ""), Column("movie_title", "token_seq", ""), Column("year", "token", "")]


@pytest.mark.parametrize("name", ["class", "genre", "categories", "kinds"])
def test_complete_settings__finds_the_attribute(name):
    assert attributes.choose_attribute([*COLUMNS, Column(name, "token_seq", "")], Path("x.item")) == name


def test_complete_settings__requires_an_unclear_attribute():
    several = [*COLUMNS, Column("class", "token_seq", ""), Column("genre", "token_seq", "")]
    with pytest.raises(
        DataError, match=r"several candidates for .* movie_title, year, class, genre with --item_attribute="
    ):
        attributes.choose_attribute(several, Path("x.item"))
    assert attributes.choose_attribute(several, Path("x.item"), "genre") == "genre"
    with pytest.raises(DataError, match=r"no clear candidate .* choose one of movie_title, year"):
        attributes.choose_attribute(COLUMNS, Path("x.item"))
    with pytest.raises(DataError, match=r"item_attribute=genres: x\.item has no such token column; it has movie_ti"):
        attributes.choose_attribute(several, Path("x.item"), "genres")


def test_pretraining__reports_errors_in_one_line(data, capsys):
    given = ["run", "--model=S3Rec", "--dataset=tiny", f"--data_path={data}"]
    assert command([*given, "--item_attribute=genre"]) == 2
    assert "item_attribute=genre: " in capsys.readouterr().err
    (data / "tiny" / "tiny.item").unlink()
    assert command(given) == 2
    assert "tiny.item is missing: S3Rec needs an attribute of the items" in capsys.readouterr().err
    assert command([*given, "--pretraining=mine"]) == 2


def test_complete_settings__finds_the_classes_of_ml_100k():
    config = configure({"model": "S3Rec"}, {})
    assert config["item_attribute"] == "class" and "class" in config["load_col"]["item"]


def test_train_stage__keeps_recboles_explicit_stages(data):
    """Weights of one run are used in the next; the first stage may be ours or RecBole's."""
    for pretraining, training in (("users", "packed"), ("recbole", "prefix")):
        (train_data, *_), network, trainer = stage_of(data, pretraining=pretraining, training=training, save_step=3)
        trainer.fit(train_data, verbose=False)
        config = make_config("S3Rec", data, train_stage="finetune", pre_model_path="saved/S3Rec-tiny-3.pth", **STAGES)
        init_seed(0, True)
        tuned = get_model("S3Rec")(config, create_dataset(config))
        assert tuned.train_stage == "finetune" and same(tuned.state_dict(), network.state_dict())
