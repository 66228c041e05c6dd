"""Errors are reported in one line that names the problem and the remedy, and nothing is written."""

import os
import shutil
import sys

import pytest

from recbole_samrec.utils.error_messages import report_missing_package
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import SMALL, main, succeed, tree
from tests.helpers.tiny import cyclic, write_events

HEADER = b"user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.fixture
def data(own_folder):
    """A data set of 30 items in the working folder."""
    write_events("dataset", "tiny", cyclic(users=20, items=30))
    return own_folder


def refused(folder, *arguments):
    """The one-line error of a command that changes nothing."""
    before = tree(folder)
    said = main(*arguments)
    assert said.status == 2, said
    assert "Traceback" not in said.out + said.err
    lines = said.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), said.err
    assert tree(folder) == before
    return lines[0]


SETTINGS = {
    "--model=Foo": "--model=Foo no such model nearest FOSSIL",
    "--model=sasrec": "--model=sasrec no such model SASRec",
    "--dataset=tyni": "tyni is not in nearest: tiny data tyni",
    "--learning_rte=0.1": "unknown setting --learning_rte learning_rate",
    "--learner=foo": "learner=foo no such optimizer adamw",
    "--sam_rho=-1": "sam_rho=-1 at least 0",
    "--sam_rho=abc": "sam_rho=abc must be a number",
    "--sam_rho=inf": "sam_rho=inf must be a number",
    "--sam_rho=1e999": "sam_rho=inf at least 0",
    "--sam_variant=foo": "sam_variant=foo sam, asam",
    "--amp_dtype=foo": "amp_dtype=foo bfloat16",
    "--epochs=abc": "epochs=abc whole number",
    "--epochs=0": "epochs=0 at least 1",
    "--epochs=1.5": "epochs=1.5 whole number",
    "--learning_rate=-1": "learning_rate=-1 above 0",
    "--learning_rate=0": "learning_rate=0 above 0",
    "--hidden_dropout_prob=1.5": "hidden_dropout_prob=1.5 [0, 1)",
    "--hidden_dropout_prob=1": "hidden_dropout_prob=1 [0, 1)",
    "--hidden_size=0": "hidden_size=0 at least 1",
    "--hidden_act=foo": "hidden_act=foo gelu",
    "--n_heads=3": "hidden size (8) attention heads (3) change n_heads or hidden_size",
    "--loss_type=XX": "loss_type=XX BPR, CE",
    "--seed=-1": "seed=-1 [0,",
    "--use_gpu=maybe": "use_gpu=maybe True or False",
    "--topk=[0]": "topk=[0] at least 1",
    "--topk=[]": "topk=[] at least 1",
    "--topk=ten": "topk=ten whole numbers",
    "--topk=[10,100]": "topk=[10, 100] tiny has only 30 items",
    "--topk=[5]": "valid_metric=NDCG@10 topk=[5] such as",
    "--valid_metric=Foo@10": "valid_metric=Foo@10 not among such as",
    "--valid_metric=NDCG": "valid_metric=NDCG not among",
    "--metrics=[Foo]": "metrics=['Foo'] no metric",
    "--metrics=['NDCG','Foo']": "no metric Foo choose from hit",
    "--metrics=[]": "metrics=[] name at least one",
    "--metrics=['NDCG','AUC']": "cannot be used together",
    "--metrics=AUC": "Full sort labeled",
    "--eval_args=foo": "eval_args=foo dictionary split",
    "--eval_args={'splitt':{'RS':[8,1,1]}}": "eval_args splitt split, order",
    "--eval_args={'split':{'LS':'foo'},'order':'TO'}": "split foo valid_and_test",
    "--eval_args={'split':{'XX':[1,1,1]},'order':'TO'}": "split XX RS",
    "--eval_args={'split':{'RS':[0,0,0]},'order':'TO'}": "split RS [0.8, 0.1, 0.1]",
    "--eval_args={'split':{'RS':['a',1,1]},'order':'TO'}": "split RS [0.8, 0.1, 0.1]",
    "--eval_args={'order':'XX'}": "order=XX RO TO",
    "--eval_args={'split':{'LS':'valid_and_test'}}": "SAMRec sequential 'order': 'TO'",
    "--eval_args={'order':'TO','mode':'uni'}": "mode=uni uni100",
    "--eval_args={'order':'TO','group_by':'item'}": "group_by=item user",
    "--gpu_id=abc": "gpu_id=abc 0,1",
    "--worker=-1": "worker=-1 at least 0",
    "--clip_grad_norm=-1": "clip_grad_norm=-1 above 0",
    "--encoding=foo": "encoding=foo utf-8",
    "--load_col=foo": "load_col=foo dictionary",
    "--load_col={'inter':['user_id','item_id']}": "tiny.inter timestamp not loaded load_col",
    "--USER_ID_FIELD=uid": "tiny.inter line 1 'uid' 'user_id' is meant",
    "--field_separator=,": "tiny.inter line 1 ',' is expected",
    "--user_inter_num_interval=[1000,inf)": "no events are left after user_inter_num_interval",
    "--user_inter_num_interval=5": 'user_inter_num_interval=5 "[5,inf)"',
    "--user_inter_num_interval=[9,5]": "user_inter_num_interval=[9,5] interval",
    "--val_interval=foo": "val_interval=foo dictionary",
    "--val_interval={'price':'[1,2]'}": "price",
    "--train_neg_sample_args={'distribution':'uniform'}": "train_neg_sample_args None CE",
    "--repeatable=False": "repeatable True",
    "--data_path=/nowhere": "tiny is not in /nowhere/tiny",
    "--nproc=0": "--nproc=0 at least 1",
    "--nproc=two": "--nproc 'two'",
    "--resume=nothing": "--resume=nothing no such run runs/",
    "--run_dir=dataset/tiny/tiny.inter/run": "--run_dir=dataset/tiny/tiny.inter/run Not a directory choose another",
    **({"--run_dir=/proc/run": "--run_dir=/proc/run choose another"} if os.path.isdir("/proc") else {}),
    "--config_files=none.yaml": "--config_files=none.yaml No such file yaml",
    "--config_files=.": "--config_files=. directory",
    "learning_rate=1": "learning_rate=1 --key=value",
    "-x": "-x --key=value",
    "--epochs": "--epochs --key=value",
    "--=3": "--=3 --key=value",
}


@pytest.mark.parametrize("argument", SETTINGS)
def test_error_messages__settings(data, argument):
    key = argument.partition("=")[0] + "="
    others = [one for one in ["--dataset=tiny", *SMALL] if not one.startswith(key)]
    line = refused(data, "run", *others, argument)
    for word in SETTINGS[argument].split():
        assert word in line


@pytest.mark.parametrize("model", ["XGBoost", "LightGBM"])
def test_error_messages__trees_reject_sam_without_packages(model, data):
    line = refused(data, "run", f"--model={model}", "--dataset=tiny", "--sam_rho=0.1")
    assert f"sam_rho cannot be used with {model}: it grows trees" in line


def test_error_messages__reject_two_values_for_one_key(data):
    assert "given twice, as 1 and 2" in refused(data, "run", "--dataset=tiny", "--seed=1", "--seed=2")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["evaluate", "nothing"], "nothing no such checkpoint runs/"),
        (["evaluate", "dataset"], "no such checkpoint"),
        (["evaluate", "dataset/tiny/tiny.inter"], "tiny.inter checkpoint damaged"),
        (["evaluate"], "RUN --help"),
        (["frobnicate"], "frobnicate run"),
        ([], "COMMAND"),
        (["data", "tiny", "nothing.csv"], "nothing.csv"),
        (["data", "tiny", "nothing.csv", "--frob"], "--frob"),
    ],
)
def test_error_messages__other_commands(data, arguments, words):
    line = refused(data, *arguments)
    for word in words.split():
        assert word in line


@pytest.mark.parametrize(
    "text, words",
    [
        ("- 1\n- 2\n", "settings.yaml no settings learning_rate:"),
        ("just words\n", "settings.yaml no settings"),
        ("a: [1\n", "settings.yaml not a yaml file line 2"),
        ("epochs: !!python/object/apply:os.mkdir [pwned]\n", "settings.yaml not a yaml file python/object"),
        ("learning_rate: fast\n", "learning_rate=fast number"),
        ("n_heads: -1\n", "n_heads=-1 at least 1"),
        ("model: Foo\n", "--model=Foo"),
        (b"seed: \xff\n", "settings.yaml not a yaml file"),
    ],
)
def test_error_messages__files_of_settings(data, text, words):
    (data / "settings.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused(data, "run", "--dataset=tiny", "--config_files=settings.yaml")
    assert not (data / "pwned").exists()
    for word in words.split():
        assert word in line


def test_own_files__may_have_keys_and_slips_are_reported(data):
    (data / "own.yaml").write_text("my_own_key: 3\nlearning_rte: 0.1\nepochs: 1\n")
    said = succeed("run", "--dataset=tiny", "--config_files=own.yaml", *SMALL[:-1], "--my_own_key=4")
    assert "learning_rte" in said.out and "did you mean learning_rate" in said.out
    assert "my_own_key" not in said.out


EVENTS = b"".join(b"u%d\ti%d\t%d\n" % (user, step + user, step) for user in range(8) for step in range(25))
FILES = {
    "nothing": (b"", "empty"),
    "only a header": (HEADER, "no rows"),
    "no header": (EVENTS, "line 1 'u0' has no type names every column"),
    "no types": (b"user_id\titem_id\ttimestamp\n" + EVENTS, "line 1 'user_id' has no type user_id:token"),
    "commas": ((HEADER + EVENTS).replace(b"\t", b","), "line 1 ',' '\\t' is expected"),
    "blanks in the rows": (HEADER + EVENTS.replace(b"\t", b" "), "line 2 has 1 columns ' '"),
    "no times": (HEADER.replace(b"timestamp", b"moment") + EVENTS, "line 1 no column 'timestamp' moment"),
    "a broken byte": (HEADER + b"u\xff1\ti1\t1\n" + EVENTS, "line 2 byte 2 0xff utf-8"),
    "a long line": (HEADER + EVENTS + b"u1\ti1\t1\t1\n", "line 202 has 4 columns"),
    "a short line": (HEADER + b"u1\ti1\n" + EVENTS, "line 2 has 2 columns"),
    "a word for a time": (HEADER + EVENTS + b"u1\ti1\tnoon\n", "line 202 timestamp 'noon' is not a number"),
    "a time left out": (HEADER + b"u1\ti1\t\n" + EVENTS, "line 2 timestamp missing"),
    "an endless time": (HEADER + b"u1\ti1\tinf\n" + EVENTS, "line 2 timestamp inf"),
    "one event each": (
        HEADER + b"".join(b"u%d\ti%d\t1\n" % (i, i) for i in range(40)),
        "no training samples of 40 events collect longer",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_error_messages__files_of_data(own_folder, name):
    content, words = FILES[name]
    folder = own_folder / "dataset" / "odd"
    folder.mkdir(parents=True)
    (folder / "odd.inter").write_bytes(content)
    line = refused(own_folder, "run", "--dataset=odd", *SMALL)
    assert "odd.inter" in line
    for word in words.split():
        assert word in line


def test_error_messages__folder_without_interactions(data):
    """As after an interrupted download or conversion."""
    folder = data / "dataset" / "half"
    folder.mkdir()
    (folder / "half.item").write_text("item_id:token\n")
    line = refused(data, "run", "--dataset=half", *SMALL)
    assert "half is not in" in line and "recbole_samrec data half" in line


def test_error_messages__models_without_gradients_reject_sam(data):
    line = refused(data, "run", "--model=Pop", "--dataset=tiny", "--sam_rho=0.1")
    assert "sam_rho cannot be used with Pop" in line


def test_error_messages__labels_that_are_missing(data):
    line = refused(data, "run", "--model=FM", "--dataset=tiny")
    assert "label" in line and "--threshold" in line


def test_error_messages__packages_that_are_missing(data, monkeypatch):
    """RecBole imports the package of each kind of trees when looking for the other."""
    for name in ("lightgbm", "xgboost"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"recbole.model.exlib_recommender.{name}", raising=False)
    line = refused(data, "run", "--model=XGBoost", "--dataset=tiny")
    assert "--model=XGBoost" in line and "requires the package" in line and "pip install" in line


def test_error_messages__run_is_not_overwritten(data):
    arguments = ["run", "--dataset=tiny", *SMALL[:-1], "--epochs=1", "--run_dir=one"]
    succeed(*arguments)
    line = refused(data, *arguments)
    assert "--run_dir=one" in line and "has a run already" in line and "--resume=one" in line
    assert "--learning_rate=0.5: the run to be resumed" in refused(data, "run", "--resume=one", "--learning_rate=0.5")
    assert "unknown setting" in refused(data, "evaluate", "one", "--topkk=[5]")
    shutil.rmtree("dataset")
    assert "tiny is not in dataset/tiny" in refused(data, "evaluate", "one")


def test_error_messages__follow_the_traceback_with_debug(data):
    said = main("run", "--dataset=tiny", "--epochs=0", "--debug")
    assert said.status == 2
    assert "Traceback" in said.err and said.err.strip().splitlines()[-1].startswith("error: epochs=0")


def test_run_folder__keeps_its_files_when_a_run_does_not_start(data):
    (data / "mine").mkdir()
    (data / "mine" / "notes.txt").write_text("mine")
    refused(data, "run", "--dataset=tiny", *SMALL, "--n_heads=3", "--run_dir=mine")


def test_report_missing_package__names_package_and_command():
    words = r"--model=NCL: requires the package faiss; install it with: .* faiss-cpu$"
    with pytest.raises(ConfigError, match=words), report_missing_package("NCL"):
        raise ModuleNotFoundError("No module named 'faiss'", name="faiss")
    with pytest.raises(KeyError), report_missing_package("NCL"):
        raise KeyError("x")
