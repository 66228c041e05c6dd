"""Checkpoints contain plain data, are written atomically, run no code when read, and work with every model."""

import errno
import os
import pickle
import re
import signal
import subprocess
import sys
import zipfile
from collections import OrderedDict
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.utils import create_dataset
from recbole.quick_start import load_data_and_model
from recbole.trainer import Trainer
from recbole.utils import get_trainer, init_seed

from recbole_samrec.cli.main import main
from recbole_samrec.integration import registry
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, UserError
from tests.helpers.every_model import each_model, settings_of, skip_without_package
from tests.helpers.paths import ROOT
from tests.helpers.tiny import build, make_config, random_events, write_events


class Colour(Enum):
    RED = 1


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, file="pwned"):
        self.file = str(file)

    def __reduce__(self):
        return Path.touch, (Path(self.file),)


def round_trip(value):
    checkpoint_io.save("file.pth", {"value": value})
    torch.load("file.pth", weights_only=True)
    return checkpoint_io.load("file.pth")["value"]


# What a checkpoint holds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_checkpoint_io__tensors_come_back(dtype):
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    back = round_trip(tensor)
    assert back.dtype == dtype and torch.equal(back, tensor)


def test_checkpoint_io__parameters_come_back_as_tensors():
    back = round_trip(torch.nn.Parameter(torch.ones(2)))
    assert type(back) is torch.Tensor and torch.equal(back, torch.ones(2))


@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_checkpoint_io__sparse_tensors_come_back(layout):
    tensor = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    tensor = tensor.to_sparse() if layout == "coo" else tensor.to_sparse_csr()
    back = round_trip(tensor)
    assert back.layout == tensor.layout and torch.equal(back.to_dense(), tensor.to_dense())


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 5),
        np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3).T,
        np.arange(4, dtype=">i8"),
        np.array([2**32 - 1, 0], dtype=np.uint32),
        np.array([True, False]),
        np.array(3.5),
        np.empty((0, 4)),
        np.array(["a", "longer"]),
        np.array([["a", None], [1, 2.5]], dtype=object),
        np.array([1 + 2j]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_checkpoint_io__arrays_come_back(array):
    back = round_trip(array)
    assert type(back) is np.ndarray and back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tolist() == array.tolist()


def test_checkpoint_io__lists_in_an_array_stay_lists():
    array = np.empty(2, dtype=object)
    array[:] = [[1, 2], [3, 4]]
    back = round_trip(array)
    assert back.shape == (2,) and back.tolist() == [[1, 2], [3, 4]]


def test_checkpoint_io__matrix_stays_a_matrix():
    back = round_trip(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
    assert isinstance(back, np.matrix) and back.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_checkpoint_io__sparse_matrices_come_back(form, kind):
    dense = np.array([[0, 2, 0], [1, 0, 0]], dtype=np.float32)
    matrix = getattr(scipy.sparse, f"{form}_{kind}")(dense)
    back = round_trip(matrix)
    assert type(back) is type(matrix) and back.dtype == matrix.dtype
    assert back.toarray().tolist() == dense.tolist()


def test_checkpoint_io__order_inside_a_sparse_matrix_is_kept():
    parts = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 2, 3])
    for build_matrix, shape in ((scipy.sparse.csr_matrix, (2, 3)), (scipy.sparse.csc_matrix, (3, 2))):
        back = round_trip(build_matrix(parts, shape=shape))
        assert back.indices.tolist() == [2, 0, 1] and back.data.tolist() == [1.0, 2.0, 3.0]


def test_checkpoint_io__containers_and_scalars_come_back():
    value = OrderedDict(b=(1, [2.5, None]), a={"x": "text", 3: True, ("t", 1): b"\x00\xff"})
    back = round_trip(value)
    assert back == value and list(back) == ["b", "a"] and type(back) is OrderedDict
    assert type(back["b"]) is tuple
    scalars = round_trip([np.float32(0.5), np.int64(7), np.bool_(True), np.str_("word"), float("-inf")])
    assert scalars == [0.5, 7, True, "word", float("-inf")]
    assert [type(scalar) for scalar in scalars] == [float, int, bool, str, float]
    names = round_trip([Colour.RED, torch.device("cpu"), torch.float16, Path("a/b")])
    assert names == ["Colour.RED", "cpu", "torch.float16", "a/b"]


def test_checkpoint_io__random_states_come_back():
    state = np.random.get_state()
    drawn = np.random.random(5).tolist()
    np.random.set_state(round_trip(state))
    assert np.random.random(5).tolist() == drawn


@pytest.mark.parametrize(
    "value",
    [lambda: 0, object(), np.longdouble(1), np.array([lambda: 0]), np.datetime64("2020-01-01")],
    ids=["function", "object", "long double", "array of functions", "date"],
)
def test_save__rejects_what_cannot_be_read_safely(value):
    with pytest.raises(TypeError, match="a checkpoint cannot hold"):
        checkpoint_io.save("file.pth", {"deep": [{"down": value}]})
    assert list(Path().iterdir()) == []


# Reading runs no code -------------------------------------------------------------------------------------------------


def bare_pickle(state, file):
    Path(file).write_bytes(pickle.dumps(state, protocol=4))


def recboles(state, file):
    torch.save(state, file, pickle_protocol=4)


@pytest.mark.filterwarnings("error:Detected pickle protocol")
@pytest.mark.parametrize("write", [bare_pickle, recboles, torch.save])
def test_checkpoint_io__bomb_is_refused_and_does_not_go_off(write):
    write({"config": {}, "state_dict": {}, "bomb": Bomb()}, "bomb.pth")
    with pytest.raises(CheckpointError, match=r"bomb\.pth: .*pickled.*could run code.*--trust_checkpoint=True"):
        checkpoint_io.load("bomb.pth")
    with pytest.raises(CheckpointError), checkpoint_io.trust_pickles(True):
        checkpoint_io.load("bomb.pth", trust=False)
    assert not Path("pwned").exists()


def test_checkpoint_io__bomb_goes_off_where_the_user_trusts_it():
    recboles({"bomb": Bomb()}, "bomb.pth")
    checkpoint_io.load("bomb.pth", trust=True)
    assert Path("pwned").exists()
    with checkpoint_io.trust_pickles(True):
        checkpoint_io.load("bomb.pth")
    with pytest.raises(CheckpointError):
        checkpoint_io.load("bomb.pth")


@pytest.fixture
def trained(tmp_path):
    """A trained BPR: its data folder, its trainer, its configuration and loaders."""
    write_events(tmp_path, "tiny", random_events())
    config = make_config("BPR", tmp_path, checkpoint_dir="saved", epochs=1)
    loaders, _, trainer = build(config)
    trainer.fit(*loaders[:2], show_progress=False)
    return tmp_path, trainer, config, loaders


def test_load__reads_recboles_checkpoint_only_if_trusted(trained):
    _, trainer, config, loaders = trained
    expected = trainer.evaluate(loaders[2])
    keys = ("epoch", "cur_step", "best_valid_score", "state_dict", "other_parameter", "optimizer")
    state = {key: trainer.state(0)[key] for key in keys}
    recboles({**state, "config": config}, "theirs.pth")
    with pytest.raises(CheckpointError, match="--trust_checkpoint=True"):
        load_data_and_model("theirs.pth")
    with pytest.raises(CheckpointError, match="--trust_checkpoint=True"):
        trainer.resume_checkpoint("theirs.pth")
    with pytest.raises(CheckpointError, match="--trust_checkpoint=True"):
        trainer.evaluate(loaders[2], model_file="theirs.pth")
    assert main(["evaluate", "theirs.pth"]) == 2
    assert main(["run", "--resume=theirs.pth"]) == 2
    trusting, model, *_, test_data = load_data_and_model("theirs.pth", trust_checkpoint=True)
    assert get_trainer(trusting["MODEL_TYPE"], "BPR")(trusting, model).evaluate(test_data, False) == expected
    assert main(["evaluate", "theirs.pth", "--trust_checkpoint=True"]) == 0
    assert main(["run", "--resume=theirs.pth", "--trust_checkpoint=True", "--epochs=2", "--run_dir=more"]) == 0
    assert checkpoint_io.load("more/last.pth")["epoch"] == 1


COMMAND = "__import__('os').system('touch pwned')"


def every_way_in(file: Path, trainer: Trainer, loaders) -> list:
    """All functions that read a checkpoint; each must raise an error of this package or succeed."""
    return [
        lambda: load_data_and_model(str(file)),
        lambda: trainer.resume_checkpoint(file),
        lambda: trainer.evaluate(loaders[2], model_file=str(file)),
        lambda: main(["evaluate", str(file)]),
        lambda: main(["run", f"--resume={file}", "--run_dir=resumed", "--epochs=1"]),
    ]


@pytest.mark.parametrize("key", ["model", "dataset", "teacher", "learner", "topk", "eval_args", "data_path", "made_up"])
def test_checkpoint_io__settings_in_a_checkpoint_never_run(trained, key):
    _, trainer, _, loaders = trained
    state = checkpoint_io.load(trainer.saved_model_file)
    for value in (COMMAND, [COMMAND], {"mode": COMMAND}):
        checkpoint_io.save("evil.pth", {**state, "config": {**state["config"], key: value}})
        for way_in in every_way_in(Path("evil.pth"), trainer, loaders):
            try:
                way_in()
            except Exception as error:  # RecBole's own words for a value that it does not take
                assert not isinstance(error, (SystemExit, pickle.UnpicklingError))
            assert not Path("pwned").exists()


def test_checkpoint_io__teacher_of_kd_dagfm_never_runs(trained):
    _, trainer, _, _ = trained
    state = checkpoint_io.load(trainer.saved_model_file)
    config = {**state["config"], "model": "KD_DAGFM", "teacher": COMMAND, "phase": "teacher_training"}
    checkpoint_io.save("evil.pth", {**state, "config": config})
    with pytest.raises(UserError, match="no such teacher"):
        load_data_and_model("evil.pth")
    assert main(["evaluate", "evil.pth"]) == 2
    assert not Path("pwned").exists()


@pytest.mark.parametrize("key, name", [("dataset_save_path", "d.pth"), ("dataloaders_save_path", "l.pth")])
def test_load__lets_no_checkpoint_trust_its_companions(trained, key, name):
    """A plain file that requests to trust and read a pickle elsewhere is rejected."""
    _, trainer, _, _ = trained
    bare_pickle([Bomb()], name)
    Path(f"{name}.json").write_text('{"files": {}, "settings": {}}')
    state = checkpoint_io.load(trainer.saved_model_file)
    checkpoint_io.save("evil.pth", {**state, "config": {**state["config"], "trust_checkpoint": True, key: name}})
    with pytest.raises(CheckpointError, match="pickle"):
        load_data_and_model("evil.pth")
    assert main(["evaluate", "evil.pth"]) == 2
    assert main(["run", "--resume=evil.pth", "--run_dir=resumed", "--epochs=2"]) == 2
    assert not Path("pwned").exists()


def test_load__opens_no_pickled_data_by_chance(trained):
    _, _, config, _ = trained
    bare_pickle(Bomb(), "saved/tiny-Dataset.pth")
    bare_pickle([Bomb()], "saved/tiny-for-BPR-dataloader.pth")
    create_dataset(config)
    build(config)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("state", [{"a": 1}, {"state_dict": {}}, {"state_dict": None, "config": None}, [1, 2]])
def test_checkpoint_io__plain_files_that_are_no_checkpoints(trained, state):
    _, trainer, _, _ = trained
    torch.save(state, "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        load_data_and_model("other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        trainer.resume_checkpoint("other.pth")
    assert main(["evaluate", "other.pth"]) == 2


# Whole or not at all --------------------------------------------------------------------------------------------------

OLD = {"weights": torch.ones(3)}
NEW = {"weights": torch.zeros(100_000)}


class FullDisk:
    """Accepts a number of bytes, with the last write possibly cut short, and no more."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content) -> int:
        content = bytes(content)
        self.file.write(content[: self.room])
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(content)
        return len(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def assert_refused_whole(name="file.pth"):
    with pytest.raises(CheckpointError, match=rf"^{name}: .*the last good checkpoint is kept$") as raised:
        checkpoint_io.save(name, NEW)
    assert "\n" not in str(raised.value)
    assert torch.equal(checkpoint_io.load(name)["weights"], OLD["weights"])
    assert os.listdir() == [name]
    return str(raised.value)


@pytest.mark.parametrize("room", [0, 10, 1000, 200_000, 400_500])
def test_checkpoint_io__full_disk_leaves_the_old_file(monkeypatch, room):
    checkpoint_io.save("file.pth", OLD)
    opened = open

    def on_full_disk(path, mode="r", **more):
        return FullDisk(opened(path, mode, **more), room) if "x" in mode else opened(path, mode, **more)

    monkeypatch.setattr(checkpoint_io, "open", on_full_disk, raising=False)
    assert "No space left on device" in assert_refused_whole()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_checkpoint_io__failing_calls_leave_the_old_file(monkeypatch, call):
    checkpoint_io.save("file.pth", OLD)

    def fail(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(checkpoint_io.os, call, fail)
    assert "Input/output error" in assert_refused_whole()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_checkpoint_io__real_limit_on_the_size_of_files():
    """The system itself truncates the file, in a separate process with a limit on the size of files."""
    checkpoint_io.save("file.pth", OLD)
    program = """
import resource, signal, torch
from recbole_samrec.utils import checkpoint_io
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint_io.save("file.pth", {"weights": torch.zeros(100_000)})
except checkpoint_io.CheckpointError as error:
    print(error)
"""
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"file\.pth: .*File too large.*the last good checkpoint is kept", done.stdout.strip())
    assert torch.equal(checkpoint_io.load("file.pth")["weights"], OLD["weights"])
    assert os.listdir() == ["file.pth"]


def test_checkpoint_io__an_interrupt_leaves_the_old_file(monkeypatch):
    checkpoint_io.save("file.pth", OLD)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_io.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_io.save("file.pth", NEW)
    assert os.listdir() == ["file.pth"]


@pytest.mark.skipif(sys.platform == "win32", reason="a signal sent to a process ends it")
def test_checkpoint_io__ctrl_c_waits_until_the_file_is_whole(monkeypatch):
    """Stopped midway, torch's writer aborts the process: "terminate called ... write to closed file"."""
    checkpoint_io.save("file.pth", OLD)
    save, handler = torch.save, signal.getsignal(signal.SIGINT)

    def save_during_ctrl_c(state, file):
        os.kill(os.getpid(), signal.SIGINT)
        save(state, file)

    monkeypatch.setattr(checkpoint_io.torch, "save", save_during_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_io.save("file.pth", NEW)
    assert torch.equal(checkpoint_io.load("file.pth")["weights"], NEW["weights"])
    assert os.listdir() == ["file.pth"] and signal.getsignal(signal.SIGINT) is handler


def test_save__syncs_a_file_before_it_is_renamed(monkeypatch):
    calls = []
    for name in ("fsync", "link", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(checkpoint_io.os, name, lambda *a, name=name, call=call: (calls.append(name), call(*a)))
    checkpoint_io.save("file.pth", OLD)
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder
    calls.clear()
    checkpoint_io.save("file.pth", NEW, "before.pth")
    assert calls == ["fsync", "link", "replace", "replace", "fsync"]
    assert torch.equal(checkpoint_io.load("before.pth")["weights"], OLD["weights"])
    assert torch.equal(checkpoint_io.load("file.pth")["weights"], NEW["weights"])


def test_checkpoint_io__one_before_is_kept_without_hard_links(monkeypatch):
    def no_links(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(checkpoint_io.os, "link", no_links)
    checkpoint_io.save("file.pth", OLD, "before.pth")
    checkpoint_io.save("file.pth", NEW, "before.pth")
    assert torch.equal(checkpoint_io.load("before.pth")["weights"], OLD["weights"])
    assert torch.equal(checkpoint_io.load("file.pth")["weights"], NEW["weights"])
    assert sorted(os.listdir()) == ["before.pth", "file.pth"]


def test_checkpoint_io__folder_that_is_not_there():
    with pytest.raises(CheckpointError, match="No such file or directory"):
        checkpoint_io.save("nowhere/file.pth", OLD)


# Damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_checkpoint_io__truncated_files(share):
    checkpoint_io.save("file.pth", NEW)
    content = Path("file.pth").read_bytes()
    Path("file.pth").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"^file\.pth: not a checkpoint, or a damaged one") as raised:
        checkpoint_io.load("file.pth")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"garbage", b"\x80", b"\x00" * 1000, b"PK\x03\x04", bytes(range(256)) * 10])
def test_checkpoint_io__garbage(content):
    Path("file.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^file\.pth: "):
        checkpoint_io.load("file.pth", trust=True)
    with pytest.raises(CheckpointError, match=r"^file\.pth: not a checkpoint, or a damaged one"):
        checkpoint_io.load("file.pth")


def test_checkpoint_io__an_archive_of_something_else():
    with zipfile.ZipFile("file.pth", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(CheckpointError, match=r"^file\.pth: not a checkpoint, or a damaged one"):
        checkpoint_io.load("file.pth")


def test_checkpoint_io__files_that_are_not_there(trained):
    _, trainer, _, loaders = trained
    for name in ("missing.pth", "saved"):
        with pytest.raises(CheckpointError, match=f"^{name}: no such checkpoint file"):
            checkpoint_io.load(name)
    Path(trainer.saved_model_file).unlink()
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        trainer.evaluate(loaders[2])


def test_checkpoint_io__weights_of_another_size(trained):
    folder, trainer, _, _ = trained
    _, _, other = build(make_config("BPR", folder, embedding_size=8, checkpoint_dir="saved"))
    with pytest.raises(CheckpointError, match="its weights do not fit BPR"):
        other.resume_checkpoint(trainer.saved_model_file)


# Names ----------------------------------------------------------------------------------------------------------------


def test_checkpoint_io__no_two_trainers_share_a_file(trained, monkeypatch):
    """RecBole names files by the second; here a second has any length."""
    monkeypatch.setattr("recbole_samrec.utils.naming.time", SimpleNamespace(strftime=lambda form: "20260101-000000"))
    folder, _, _, _ = trained
    trainers = [build(make_config("BPR", folder, checkpoint_dir="saved", epochs=1, seed=seed)) for seed in (1, 2)]
    results = []
    for loaders, _, trainer in trainers:
        trainer.fit(*loaders[:2], show_progress=False)
    for loaders, model, trainer in trainers:
        results.append({name: weight.clone() for name, weight in model.state_dict().items()})
        trainer.evaluate(loaders[2])  # loads what the trainer has saved
        assert all(torch.equal(weight, results[-1][name]) for name, weight in model.state_dict().items())
    assert len({trainer.saved_model_file for *_, trainer in trainers}) == 2
    assert not torch.equal(results[0]["user_embedding.weight"], results[1]["user_embedding.weight"])


# Every model ----------------------------------------------------------------------------------------------------------


def first_rows(self, rows):
    """A stand-in for faiss in NCL: the clusters of the first rows."""
    rows = torch.as_tensor(rows)
    return rows[:3], torch.cdist(rows, rows[:3]).argmin(1)


@pytest.mark.parametrize("model", each_model(registry.model_names()))
def test_checkpoint_io__every_model_comes_back(model, toy, monkeypatch):
    """A model that is trained, saved and loaded into a new one scores as before, to the last bit."""
    skip_without_package(model)
    monkeypatch.setattr("recbole.model.general_recommender.ncl.NCL.run_kmeans", first_rows)
    settings = {"epochs": 1, "pretrain_epochs": 1, "save_step": 1, "checkpoint_dir": "saved", **settings_of(model)}
    loaders, _, trainer = build(make_config(model, toy, "toy", **settings))
    trainer.fit(*loaders[:2], verbose=False, show_progress=False)
    torch.load(trainer.saved_model_file, weights_only=True)
    expected = scored(trainer, loaders[2])
    config, loaded, _, *others = load_data_and_model(trainer.saved_model_file)
    result, scores = scored(get_trainer(config["MODEL_TYPE"], model)(config, loaded), others[2], False)
    assert result == expected[0] and torch.equal(scores, expected[1])


def scored(trainer, test_data, load_best_model=True):
    """The metrics of a model and its scores of the first rows; noise is drawn with the same seed."""
    init_seed(0, True)
    result = trainer.evaluate(test_data, load_best_model)
    init_seed(0, True)
    full = isinstance(test_data, FullSortEvalDataLoader)
    score = trainer._full_sort_batch_eval if full else trainer._neg_sample_batch_eval
    with torch.no_grad():
        return result, score(next(iter(test_data)))[1]
