"""A configuration is data: nothing in it is executed, foreign command lines are ignored, and errors are reported."""

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import recbole
import recbole.model.context_aware_recommender.kd_dagfm as kd_dagfm
import torch
import yaml
from recbole.config import Config
from recbole.trainer import hyper_tuning
from recbole.utils import get_model

from recbole_samrec.config.recbole_config import Typed, build_config
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events
from tests.helpers.toy_data import suspend

NO_WARNING = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")


def settings(**values):
    """RecBole's configuration from these settings."""
    config = Config(model="BPR", dataset="tiny", config_dict=values)
    return {key: config[key] for key in values}


@pytest.fixture
def command_line(monkeypatch):
    def say(*argv):
        monkeypatch.setattr(sys, "argv", list(argv))

    return say


# Strings: `parse_strings_as_literals`, `parse_search_space_as_literals`, `look_up_teacher`

PLAIN = [
    *("10", "-1", "+3", "1e-3", "1e-12", "0.5", ".5", "1_000", "0x10", "None", "True", "true", "FALSE", "false"),
    *("[]", "[10]", "[64, 32]", "[0.1,1e-3]", "[[1, 2], [3]]", "(1, 2)", "['user_id', 'item_id']", '["a", "b"]'),
    *("{'split': {'RS': [0.8,0.1,0.1]}, 'group_by': 'user', 'order': 'RO', 'mode': 'full'}", "{}", "[None, True]"),
    *("{'inter': ['user_id', 'item_id']}", "'quoted'", '"it\'s"', "\"['nested']\"", "{'a': (1, [2.5, 'x'])}"),
    *("1/3", "2**10", "3*64", "10-11", "5 + 5.0", "7 // 2", "7 % 4", "-(2+3)", "[64, 2*64]", "{'a': 1/4}"),
    *("SAMRec", "ml-100k", "gelu", "NDCG@10", "valid_and_test", "", " padded ", "a b", "dataset/ml-1m", "x.yaml"),
    *("2020-01-01", "[0,inf)", "[3,inf);(,5]", "null", "none", "nan", "cpu", "f'{x}'", "1,", "1, 2", "{'bad'", "len"),
    *("b'x'", "1j", "{1, 2}", "...", "[1, 2", "lambda: 0", "*a", "not a number", "uni100", "1 if", "re"),
]


@NO_WARNING
@pytest.mark.parametrize("text", PLAIN)
def test_literal_settings__read_as_eval_reads_them(text):
    value = settings(some_setting=text)["some_setting"]
    with suspend("parse_strings_as_literals"):
        theirs = settings(some_setting=text)["some_setting"]
    assert value == theirs and type(value) is type(theirs)


def test_literal_settings__run_no_string(tmp_path):
    crater = tmp_path / "crater"
    bomb = f"open({str(crater)!r}, 'w')"
    calls = (bomb, f"[{bomb}]", f"{{1: {bomb}}}", "__import__('os').getcwd()", "().__class__")
    for text in (*calls, "9**9**9", "'a' * 10**9"):
        assert settings(some_setting=text)["some_setting"] == text
    assert not crater.exists()
    with suspend("parse_strings_as_literals"):
        settings(some_setting=bomb)
    assert crater.exists()


def test_literal_settings__leave_the_given_dictionary_alone():
    given = {"topk": "[1, 2]"}
    assert Config(model="BPR", dataset="tiny", config_dict=given)["topk"] == [1, 2]
    assert given == {"topk": "[1, 2]"}


def test_literal_settings__are_not_read_twice():
    assert Config(model="BPR", dataset="tiny", config_dict=Typed({"note": "[1]"}))["note"] == "[1]"


@pytest.fixture
def search_space(tmp_path, monkeypatch):
    """Read a file of search spaces with RecBole, with a stand-in for hyperopt."""
    hyperopt = types.ModuleType("hyperopt")
    hyperopt.hp = types.SimpleNamespace(choice=lambda name, values: values, uniform=lambda name, low, high: (low, high))
    monkeypatch.setitem(sys.modules, "hyperopt", hyperopt)

    def read(text):
        (tmp_path / "space.test").write_text(text)
        return hyper_tuning.HyperTuning._build_space_from_file(tmp_path / "space.test")

    return read


def test_literal_choices__are_read_and_not_run(search_space, tmp_path):
    text = "learning_rate choice [0.01, 1e-3]\nhidden choice ['[64,32]', '[8]']\ndropout uniform 0.0,0.5\n"
    expected = {"learning_rate": [0.01, 0.001], "hidden": ["[64,32]", "[8]"], "dropout": (0.0, 0.5)}
    assert search_space(text) == expected
    bomb = f"x choice [open({str(tmp_path / 'crater')!r},'w')]\n"
    with pytest.raises(ConfigError, match="give the choices as a list"):
        search_space(bomb)
    assert not (tmp_path / "crater").exists()
    with suspend("parse_search_space_as_literals"):
        search_space(bomb)
    assert (tmp_path / "crater").exists()


@pytest.fixture
def events(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


DAGFM = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"split": {"RS": [8, 1, 1]}, "mode": "labeled"}}
DAGFM |= {"load_col": None, "threshold": {"timestamp": 5}, "phase": "teacher_training"}


def test_named_teacher__must_be_a_network(events):
    build(make_config("KD_DAGFM", events, **DAGFM))
    bomb = f"(lambda config: open({str(events / 'crater')!r}, 'w'))"
    for wrong in (bomb, "NoSuch", "torch", "getattr"):
        with pytest.raises(ConfigError, match="no such teacher network"):
            build(make_config("KD_DAGFM", events, teacher=wrong, **DAGFM))
    assert not (events / "crater").exists()
    with suspend("look_up_teacher"):
        build(make_config("KD_DAGFM", events, teacher=bomb, **DAGFM))
    assert (events / "crater").exists()


# yaml: `own_yaml_loader`

NUMBERS = "{a: 1e-3, b: 1E5, c: .5, d: -1.5e+3, e: 10, f: 1_000.5, g: [1e-3, x], h: True, i: ~, j: -.inf, k: 'e5'}\n"


def test_own_yaml_loader__reads_as_before_for_all_programs(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(NUMBERS)
    ours = Config(model="BPR", dataset="tiny", config_file_list=[str(file)]).file_config_dict
    assert yaml.load("1e-3", Loader=yaml.FullLoader) == "1e-3"
    before = dict(yaml.FullLoader.yaml_implicit_resolvers)
    try:
        with suspend("use_own_yaml_loader"):
            theirs = Config(model="BPR", dataset="tiny", config_file_list=[str(file)]).file_config_dict
        assert yaml.load("1e-3", Loader=yaml.FullLoader) == 0.001  # RecBole has changed it for everybody
    finally:
        yaml.FullLoader.yaml_implicit_resolvers = before
    assert ours == theirs and ours["a"] == 0.001 and ours["g"] == [0.001, "x"]


def test_own_yaml_loader__runs_nothing(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'crater'}']\n")
    with pytest.raises(yaml.YAMLError):
        Config(model="BPR", dataset="tiny", config_file_list=[str(file)])
    assert not (tmp_path / "crater").exists()


# The command line: `ignore_foreign_command_lines`

OTHERS = [
    ("/usr/bin/pytest", "--learning_rate=7", "-q"),
    ("/env/lib/python3.11/site-packages/pytest/__main__.py", "--learning_rate=7"),
    ("/lib/python3.11/site-packages/ipykernel_launcher.py", "--learning_rate=7"),
    ("/lib/python3.11/site-packages/colab_kernel_launcher.py", "--learning_rate=7"),
    ("/lib/ray/_private/workers/default_worker.py", "--node-ip-address=10.0.0.1", "--learning_rate=7"),
    ("/bin/recbole-samrec", "run", "--learning_rate=7"),
    ("-c", "--learning_rate=7"),
    ("", "--learning_rate=7"),
    ("/lib/python3.11/unittest/__main__.py", "--learning_rate=7"),
]


@pytest.mark.parametrize("argv", OTHERS, ids=lambda argv: os.path.basename(argv[0]) or "none")
def test_own_command_line__ignores_those_of_other_programs(argv, command_line, monkeypatch):
    if argv[0].endswith("__main__.py"):  # as python -m sets it
        monkeypatch.setattr(sys.modules["__main__"], "__package__", Path(argv[0]).parent.name)
    command_line(*argv)
    config = Config(model="BPR", dataset="tiny")
    assert config["learning_rate"] == 0.001 and config.cmd_config_dict == {}


def test_own_command_line__configures_a_script(command_line, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)  # not run as python -m pytest
    command_line("train.py", "--learning_rate=0.1", "--hidden=[1, 2]", "positional")
    config = Config(model="BPR", dataset="tiny")
    assert config["learning_rate"] == 0.1 and config["hidden"] == [1, 2]
    ours = build_config({"model": "BPR", "dataset": "tiny"})  # of our commands, which have read it themselves
    assert ours["learning_rate"] == 0.001
    command_line("/usr/bin/pytest", "--learning_rate=7")
    with suspend("ignore_foreign_command_lines"):
        assert Config(model="BPR", dataset="tiny")["learning_rate"] == 7


# Defaults: `drop_negatives_for_cross_entropy`


def test_negatives__need_not_be_named_for_cross_entropy(events):
    assert make_config("SASRec", events)["train_neg_sample_args"]["distribution"] == "none"
    assert make_config("SASRec", events, loss_type="BPR")["train_neg_sample_args"]["distribution"] == "uniform"
    asked = {"distribution": "uniform", "sample_num": 1}
    with pytest.raises(ValueError, match="should be None"):  # what the user asks for is not taken back
        make_config("SASRec", events, train_neg_sample_args=asked)
    with suspend("drop_negatives_for_cross_entropy"), pytest.raises(ValueError, match="should be None"):
        make_config("SASRec", events)


# Mistakes: `warn_of_unknown_learner`, `warn_of_misspelled_settings`, the look-up of models


def test_learner__unknown_is_adam_with_decay_and_a_warning(events, caplog):
    config = make_config("BPR", events, learner="adamm", weight_decay=0.25, learning_rate=0.5)
    optimizer = build(config)[2].optimizer
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["weight_decay"] == 0.25 and optimizer.param_groups[0]["lr"] == 0.5
    assert "learner=adamm: no such optimizer, using adam; did you mean adam" in caplog.text
    with suspend("warn_of_unknown_learner"):
        assert build(config)[2].optimizer.param_groups[0]["weight_decay"] == 0


def list_misspelled(caplog, **values):
    caplog.clear()
    Config(model="SASRec", dataset="tiny", config_dict={"train_neg_sample_args": None, **values})
    return [record.getMessage() for record in caplog.records]


def test_settings__misspelled_are_taken_with_a_warning(caplog, command_line, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
    (line,) = list_misspelled(caplog, learning_rat=0.1)
    assert line.startswith("unknown setting learning_rat; did you mean learning_rate")
    assert list_misspelled(caplog, sam_roh=0.1)[0].startswith("unknown setting sam_roh; did you mean sam_rho")
    command_line("train.py", "--hiden_size=4", "--group_offset=0", "--config_files=a.yaml")
    (line,) = list_misspelled(caplog)
    assert "hiden_size; did you mean hidden_size" in line
    with suspend("warn_of_misspelled_settings"):
        assert list_misspelled(caplog, learning_rat=0.1) == []


def test_settings__read_by_someone_are_not_misspelled(caplog):
    right = {"n_layers": 1, "alias_of_item_id": None, "user_inter_num_interval": "[0,inf)", "loss_decimal_place": 4}
    assert list_misspelled(caplog, **right, log_wandb=False, my_own_remark="xyzzy", mlp_hidden_size=[8]) == []
    assert list_misspelled(caplog, local_rank=1, learning_rat=0.1, **PROCESS) == []  # the first process has said it


PROCESS = {"nproc": 1, "world_size": 1, "offset": -1, "ip": "localhost", "port": 0}


@pytest.fixture(autouse=True)
def no_process_group(monkeypatch):
    """Do not join a real process group."""
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **how: None)


def test_model_name__unknown_is_answered_with_the_nearest():
    for look_up in (get_model, recbole.quick_start.quick_start.get_model, recbole.config.configurator.get_model):
        with pytest.raises(ConfigError, match=r"no such model; did you mean .*SASRec") as caught:
            look_up("SASrec")
        assert "lightgbm" not in str(caught.value)
    with pytest.raises(ConfigError, match="--model=Foo"):
        recbole.quick_start.run_recbole(model="Foo", dataset="tiny")
    assert get_model("SAMRec").__name__ == "SAMRec" and get_model("BPR").__name__ == "BPR"


# Weights of another model: `load_pretrained_weights_safely`


NCF = {"mf_embedding_size": 8, "mlp_embedding_size": 8, "mlp_hidden_size": [8, 4]}
CNN = {"cnn_channels": [1, 4], "cnn_kernels": [8], "cnn_strides": [8], "embedding_size": 8}
ACTOR = {"latent_dimension": 8, "mlp_hidden_size": [8], "train_batch_size": 8}
CLASSES = {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}}
CLASSES["train_stage"] = "pretrain"
STAGES = [  # a model, its settings, and for each setting of a path the model whose weights lie there
    ("S3Rec", {**CLASSES, "train_stage": "finetune"}, {"pre_model_path": ("S3Rec", CLASSES)}),
    (
        "NeuMF",
        {**NCF, "use_pretrain": True},
        {
            "mf_pretrain_path": ("NeuMF", {**NCF, "mlp_train": False}),
            "mlp_pretrain_path": ("NeuMF", {**NCF, "mf_train": False}),
        },
    ),
    ("ConvNCF", {**CNN, "train_method": "after_pretrain"}, {"pre_model_path": ("BPR", {"embedding_size": 8})}),
    ("NAIS", {"embedding_size": 8}, {"pretrain_path": ("FISM", {"embedding_size": 8})}),
    ("RaCT", {**ACTOR, "train_stage": "critic_pretrain"}, {"pre_model_path": ("RaCT", ACTOR)}),
    ("KD_DAGFM", {**DAGFM, "phase": "distillation"}, {"warm_up": ("KD_DAGFM", DAGFM)}),
]


def random_weights(config):
    """Weights that fit the model of a configuration and differ from its initial ones."""
    state = build(config)[1].state_dict()
    return {name: torch.rand_like(tensor) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


@pytest.mark.parametrize(("model", "settings", "sources"), STAGES, ids=[stage[0] for stage in STAGES])
def test_pretrained_weights__are_read_safely(model, settings, sources, events, monkeypatch):
    monkeypatch.setattr("logging.root.manager.disable", 50)  # RaCT's message about it cannot be formatted
    classes = "".join(f"i{item}\tc{item % 3}\n" for item in range(20))
    (events / "tiny" / "tiny.item").write_text("item_id:token\tclass:token_seq\n" + classes)
    given = []
    for path, (source, before) in sources.items():
        state = random_weights(make_config(source, events, **before))
        given += state.values()
        checkpoint_io.save(events / f"{path}-plain.pth", {"state_dict": state})
        torch.save({"state_dict": state, "config": Pickled()}, events / f"{path}-pickled.pth")

    def taken_from(kind, **more):
        paths = {path: str(events / f"{path}-{kind}.pth") for path in sources}
        mine = build(make_config(model, events, **settings, **paths, **more))[1].parameters()
        return sum(any(torch.equal(weight, other) for other in given) for weight in mine)

    assert taken_from("plain") == taken_from("pickled", trust_checkpoint=True) >= 2
    with pytest.raises(CheckpointError, match=r"pickled.*--trust_checkpoint=True"):
        taken_from("pickled")
    with (
        suspend("load_pretrained_weights_safely"),
        pytest.raises(pickle.UnpicklingError, match="Weights only load failed"),
    ):
        taken_from("pickled")


class Pickled:
    """An object that torch's restricted reader rejects, like RecBole's ``Config``."""


def test_pretrained_weights__leave_torch_as_it_is_but_for_load():
    assert kd_dagfm.torch.ones is torch.ones and kd_dagfm.torch.load is not torch.load
