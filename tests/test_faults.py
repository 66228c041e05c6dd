"""Every command on a full disk, a disk that becomes read-only, and with truncated files: one line, and no loss."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recbole_samrec
from recbole_samrec.experiments.ray_cluster import Resources, connect_ray
from recbole_samrec.quick_start.record import RunRecord
from recbole_samrec.sharpness.measure import Store
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.errors import CheckpointError
from tests.helpers.checkpoints import assert_same_end
from tests.helpers.command import main, succeed, tree
from tests.helpers.disks import make_disk
from tests.helpers.tiny import random_events, write_events

SETTINGS = (
    "--model=SAMRec --dataset=tiny --epochs=3 --n_layers=1 --hidden_size=16 --inner_size=32 --MAX_ITEM_LIST_LENGTH=8 "
    "--train_batch_size=64"
).split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a data set, a table of events and a finished run, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    write_events(folder / "dataset", "tiny", random_events())
    lines = [f"{user},{item},{time}" for user, item, time in random_events(users=200)]
    (folder / "events.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    succeed("run", *SETTINGS, f"--data_path={folder / 'dataset'}", f"--run_dir={folder / 'whole'}")
    return folder


@pytest.fixture
def disk(own_folder):
    """A disk in the working folder."""
    with make_disk(own_folder / "disk") as disk:
        yield disk


def command_of(name, finished, out="disk"):
    """The words of a command that writes to a folder."""
    return {
        "run": ["run", *SETTINGS, f"--data_path={finished / 'dataset'}", f"--run_dir={out}/run"],
        "csv": ["recommend", finished / "whole", "--users=all", f"--out={out}/list.csv"],
        "parquet": ["recommend", finished / "whole", "--users=all", f"--out={out}/list.parquet"],
        "export": ["export", finished / "whole", f"--out={out}/vectors"],
        "data": ["data", "my", finished / "events.csv", "--user=user", "--item=item", "--time=time", f"--out={out}/my"],
    }[name]


def assert_one_line(said):
    """A command ended with a one-line error that the user can correct."""
    assert said.status == 2 and said.err.count("\n") == 1, said.err
    assert "No space left on device" in said.err or "Read-only file system" in said.err


WRITING = ["run", "csv", "parquet", "export", "data"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        *((name, 0) for name in WRITING),
        ("run", 200_000),  # enough for the first checkpoint
        *(pytest.param(name, left, marks=pytest.mark.slow) for name in WRITING for left in (4096, 16_384)),
    ],
)
def test_command__on_a_full_disk(finished, disk, name, left):
    words = command_of(name, finished)
    disk.fill(left)
    said = main(*words)
    assert_one_line(said) if said.status or not left else None
    disk.repair()
    begun = Path("disk/run/best.pth").exists()
    assert begun == (name == "run" and left == 200_000)
    succeed(*(["run", "--resume=disk/run"] if begun else words if said.status else ["doctor"]))
    if name == "run":
        one, other = finished / "whole", Path("disk/run")
        assert_same_end(one, other, *(RunRecord.read(folder / "result.json") for folder in (one, other)))
    else:
        succeed(*command_of(name, finished, "."))
        assert tree(disk.folder) == {path: content for path, content in tree(Path()).items() if "disk" not in path}


@pytest.mark.parametrize("name", WRITING)
def test_command__on_a_read_only_disk(finished, disk, name):
    words = command_of(name, finished)
    disk.close_writing()
    assert_one_line(main(*words))
    disk.repair()
    assert list(disk.folder.iterdir()) == []
    succeed(*words)


def test_run__on_a_disk_that_is_full_in_its_second_epoch(finished, disk):
    class Fault(Callback):
        def on_train_epoch_start(self, trainer, epoch, steps):
            if epoch == 1:
                disk.fill(0)

    settings = dict(word.removeprefix("--").split("=") for word in command_of("run", finished)[1:])
    numbers = {key: int(value) if value.isdigit() else value for key, value in settings.items()}
    with pytest.raises(CheckpointError, match=r"disk/run/\w+.pth: .*the last good checkpoint is kept"):
        recbole_samrec.run(**numbers, callbacks=[Fault()])
    disk.repair()
    record = recbole_samrec.run(resume="disk/run").record
    whole = RunRecord.read(finished / "whole" / "result.json")
    assert_same_end(finished / "whole", Path("disk/run"), whole, record)


LONG = "--epochs=12 --stopping_step=12 --train_batch_size=8".split()


@pytest.fixture(scope="module")
def ray():
    """One Ray for all experiments, as a notebook would keep it."""
    with connect_ray(Resources(parallel=1)) as ray:
        yield ray


def fill_after_first_run(disk, stop):
    while not list(disk.folder.glob("out/**/result.json")):
        if stop.wait(0.05):
            return
    disk.fill(0)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("command", ["tune", "compare"])
def test_experiment__goes_on_after_a_full_disk(finished, disk, ray, command):
    """The disk is full when the first of two runs has ended."""
    own = {
        "tune": "--model=SASRec --trials=2 --search=grid --grace=12 --space=space.yaml --dataset=tiny",
        "compare": "--models=SASRec,GRU4Rec --datasets=tiny --seeds=1",
    }[command].split()
    Path("space.yaml").write_text("learning_rate: [0.01, 0.001]\n")
    small = [word for word in SETTINGS if not word.startswith(("--model", "--dataset", "--epochs", "--train_batch"))]
    words = [command, *own, "--parallel=1", "--out=disk/out", f"--data_path={finished / 'dataset'}", *small, *LONG]
    stop = threading.Event()
    filling = threading.Thread(target=fill_after_first_run, args=(disk, stop))
    filling.start()
    said = main(*words)
    stop.set()
    filling.join()
    assert said.status == 2 and said.err.count("\n") == 1 and "No space left on device" in said.err, said
    disk.repair()
    (done,) = disk.folder.glob("out/**/result.json")
    before = done.read_bytes()
    said = succeed(*(["tune", "--resume=disk/out"] if command == "tune" else words))
    assert done.read_bytes() == before
    assert {"tune": "2 of 2: trial 001", "compare": "1 of 1: GRU4Rec"}[command] in said.out
    assert len(list(disk.folder.glob("out/**/result.json"))) == 2


def test_export__that_cannot_be_written_keeps_the_former_one(finished, disk):
    words = [*command_of("export", finished), "--overwrite"]
    succeed(*words)
    former = tree(disk.folder)
    disk.fill(20_000)
    assert_one_line(main(*words))
    assert {path: content for path, content in tree(disk.folder).items() if path != ".filler"} == former


def test_export__goes_on_after_a_kill(finished, own_folder):
    words = command_of("export", finished, "out")
    stage = own_folder / "out" / "vectors" / ".export-killed"
    stage.mkdir(parents=True)
    (stage / ".item_ids.npy.1-2.tmp").write_bytes(b"half")
    (stage.parent / "item_ids.npy").write_bytes(b"whole, but of an export without config.json")
    succeed(*words)
    assert not stage.exists() and len(np.load(stage.parent / "item_ids.npy")) == 20


@pytest.fixture
def copied(finished, own_folder):
    """A copy of the finished run."""
    return Path(shutil.copytree(finished / "whole", own_folder / "run"))


def cut(file):
    """Truncate a file to half of its size."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


OTHERS = ["rows.npz", "ranks.npz", "config.yaml", "last.pth"]


@pytest.mark.parametrize(
    "name", ["tokens.parquet", "result.json", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_command__with_half_of_a_file(finished, copied, name):
    """The data are those of the run, so that only the weights are needed to use it."""
    recommend = ["recommend", copied, "--users=all", "--out=list.csv"]
    cut(copied / name)
    succeed(*recommend)
    Path("list.csv").rename("of_copy.csv")
    succeed(*command_of("csv", finished, "."))
    pd.testing.assert_frame_equal(pd.read_csv("of_copy.csv"), pd.read_csv("list.csv"))
    succeed("export", copied, "--out=vectors")
    said = succeed("evaluate", copied)
    assert ("it is damaged" in said.out) == (name == "result.json")
    succeed("run", f"--resume={copied}", "--epochs=4")


@pytest.mark.parametrize("name", ["tokens.parquet", "rows.npz"])
def test_command__with_half_of_a_file_and_other_data(finished, copied, name):
    cut(copied / name)
    write_events("other", "tiny", random_events(seed=1))
    for words in (["recommend", copied, "--users=all"], ["export", copied, "--out=v"], ["evaluate", copied]):
        said = main(*words, "--data_path=other")
        assert said.status == 2 and said.err.count("\n") == 1 and f"{copied / name}: " in said.err


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("damage", ["cut", "invert"])
def test_store__computes_a_damaged_part_again(own_folder, share, damage):
    store = Store(own_folder / "store", "key")
    store.write("line", x=np.arange(500.0))
    content = store.file("line").read_bytes()
    place = int(share * len(content))
    rest = b"" if damage == "cut" else bytes(byte ^ 255 for byte in content[place : place + 40]) + content[place + 40 :]
    store.file("line").write_bytes(content[:place] + rest)
    found = store.part("line", lambda: {"x": np.arange(500.0)})
    np.testing.assert_array_equal(found["x"], np.arange(500.0))
