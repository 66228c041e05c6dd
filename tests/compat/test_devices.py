"""The device of a run: `choose_device`."""

import os

import pytest
import torch
from recbole.config import Config

from recbole_samrec.compat import devices
from recbole_samrec.config.build import configure
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.toy_data import suspend

VISIBLE = devices.VISIBLE
PROCESSES = {"local_rank": 1, "nproc": 2, "world_size": 4, "offset": 2, "ip": "host", "port": 77}


@pytest.fixture(autouse=True)
def no_choice_yet(monkeypatch):
    """No GPU has been chosen yet, by a user or by an earlier configuration."""
    monkeypatch.setattr(devices, "_visible_by_us", None)
    monkeypatch.setattr(devices, "_was_read", False)
    for name in (VISIBLE, devices.WORKSPACE):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)


@pytest.fixture
def gpus(monkeypatch):
    """Let torch report a number of GPUs, of which CUDA shows those in the variable."""

    def count():
        shown = [int(one) for one in os.environ.get(VISIBLE, "0,1,2,3,4,5,6,7").split(",") if one]
        return sum(one < number for one in shown)

    def set_number(value):
        nonlocal number
        number = value

    number = 0
    monkeypatch.setattr(torch.cuda, "device_count", count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count() > 0)
    return set_number


@pytest.fixture
def joined(monkeypatch):
    """Record the call that joins the process group, and the selected GPU."""
    found = {}
    monkeypatch.setattr(torch.cuda, "set_device", lambda rank: found.update(on=rank))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **how: found.update(how))
    return found


def device(**values):
    """The device for these settings, given as RecBole's users give them."""
    return Config(model="BPR", dataset="tiny", config_dict=values)["device"]


def visible(**values):
    device(**values)
    return os.environ.get(VISIBLE)


def test_gpu_choice__leaves_that_of_user_or_scheduler_alone(monkeypatch):
    for chosen in ("3", "", "GPU-1234"):
        monkeypatch.setenv(VISIBLE, chosen)
        assert visible(gpu_id="0") == chosen
    with suspend("choose_device"):
        assert visible(gpu_id="0") == "0"


def test_gpu_choice__follows_gpu_id_where_nobody_else_chose():
    assert visible(gpu_id=1) == "1"
    assert visible(gpu_id="0,2") == "0,2"
    assert visible(gpu_id=(1, 3)) == "1,3"


def test_gpu_choice__uses_gpus_that_are_there_and_wanted(gpus, monkeypatch):
    gpus(1)
    assert device(gpu_id="0") == torch.device("cuda")
    for unwanted in ({"use_gpu": False}, {"use_gpu": "False"}, {"gpu_id": ""}, {"gpu_id": -1}):
        assert device(**unwanted) == torch.device("cpu"), unwanted
    with suspend("choose_device"):
        assert device(use_gpu=False) == torch.device("cuda")
    gpus(0)
    assert device(gpu_id="0") == torch.device("cpu")


def test_gpu_choice__is_none_for_the_cpu(gpus):
    gpus(2)
    assert visible(use_gpu=False) is None


def test_gpu_choice__is_none_for_a_plan(gpus, monkeypatch):
    """A driver leaves the variable to Ray and does not ask CUDA, whose answer would be final for the process."""
    gpus(4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("a plan asked CUDA"))
    for more in ({}, {"gpu_id": "2"}, {"deterministic": True}):
        config = configure({"model": "BPR", "dataset": "tiny"}, more, plans=True)
        assert config["device"] == torch.device("cpu") and config["single_spec"] is True
        assert VISIBLE not in os.environ and devices.WORKSPACE not in os.environ


def test_gpu_choice__warns_of_a_second_one(gpus, caplog):
    gpus(2)
    assert visible(gpu_id=0) == "0" and visible(gpu_id=0) == "0" and not caplog.records
    assert visible(gpu_id=1) == "0"  # CUDA has read the variable
    assert caplog.messages == [
        "gpu_id=1 has no effect: this process uses gpu_id=0 since its first run, and CUDA takes another GPU in a new "
        "process only"
    ]


@pytest.mark.parametrize("built", [True, False])
def test_gpu_choice__warns_of_a_gpu_that_is_missing(built, gpus, caplog, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    gpus(2)
    assert device(gpu_id=5) == torch.device("cpu")
    assert caplog.messages == ["gpu_id=5: there is no such GPU; using the CPU"] * built
    caplog.clear()
    gpus(0)
    device()  # nobody named a GPU
    assert not caplog.records


@pytest.mark.parametrize("number", [0, 2])
def test_process_group__is_gloo_without_gpus_and_nccl_with(number, gpus, joined):
    gpus(number)
    config = Config(model="BPR", dataset="tiny", config_dict={**PROCESSES, "gpu_id": "0,1"})
    expected = {"rank": 3, "world_size": 4, "init_method": "tcp://host:77"}
    if number:
        assert joined == {**expected, "backend": "nccl", "on": 1} and config["device"] == torch.device("cuda", 1)
    else:
        assert joined == {**expected, "backend": "gloo"} and config["device"] == torch.device("cpu")
    assert config["single_spec"] is False and config["state"] == "error"
    with suspend("choose_device"):
        Config(model="BPR", dataset="tiny", config_dict={**PROCESSES, "gpu_id": "0,1"})
    assert joined["backend"] == "nccl"


def test_process_group__takes_the_first_gpus(gpus, joined):
    gpus(4)
    assert device(**PROCESSES) == torch.device("cuda", 1)
    assert os.environ[VISIBLE] == "0,1" and joined["backend"] == "nccl"


@pytest.mark.parametrize(
    ("given", "variable", "words"),
    [
        ({}, None, "this machine has only 2 GPUs; give --nproc=2 or"),
        ({"gpu_id": "1"}, None, "gpu_id=1 names only 1 GPU of this machine; give --nproc=1 or"),
        ({"gpu_id": "0,1,2"}, None, "gpu_id=0,1,2 names only 2 GPUs of this machine"),
        ({}, "1", "CUDA_VISIBLE_DEVICES=1 shows only 1 GPU; "),
    ],
)
def test_process_group__needs_a_gpu_for_each_process(given, variable, words, gpus, joined, monkeypatch):
    gpus(2)
    if variable:
        monkeypatch.setenv(VISIBLE, variable)
    with pytest.raises(ConfigError) as error:
        device(**{**PROCESSES, "nproc": 3}, **given)
    assert str(error.value).startswith("--nproc=3: ") and words in str(error.value)
    assert not joined


def test_withdraw_choice__of_ours_only(gpus, monkeypatch):
    gpus(2)
    device(gpu_id="1")
    with devices.withdraw_choice():
        assert VISIBLE not in os.environ
    assert os.environ[VISIBLE] == "1"
    monkeypatch.setenv(VISIBLE, "0")  # the user's
    with devices.withdraw_choice():
        assert os.environ[VISIBLE] == "0"


def test_deterministic__needs_its_variable_on_a_gpu(gpus):
    gpus(1)
    device(deterministic=True, use_gpu=False)
    assert devices.WORKSPACE not in os.environ
    device(deterministic=True)
    assert os.environ[devices.WORKSPACE] == ":4096:8"
