"""The check of a GPU machine: its parts run on the CPU, its results are stored, and its page shows them."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import gpu_check, gpu_data, gpu_measure
from benchmarks.gpu_page import render_page
from tests.helpers.paths import ROOT

MACHINE = {"device": "cuda", "host": "a CPU", "gpus": ["A GPU"], "gpu_memory_mb": 1024, "capability": "8.0"}
MACHINE |= {"cuda": "12.8", "cudnn": 91000, "bf16": True, "versions": {"torch": "2.13.0"}, "revision": "abc"}
MEASURED = {"step": 0.0123, "utilization": 0.456, "launches": 200.5, "waits": 2.0, "copies": 0.0, "peak_mb": 100.4}


# Measurements ---------------------------------------------------------------------------------------------------


def test_union__counts_overlaps_once():
    assert gpu_measure.measure_union([(0, 2), (5, 6), (1, 3), (5.5, 5.7)]) == 4
    assert gpu_measure.measure_union([]) == 0


def test_events__are_counted_per_step():
    events = [
        ("cudaLaunchKernel", False, (0, 1)),
        ("cudaLaunchKernelExC", False, (1, 2)),
        ("cudaStreamSynchronize", False, (2, 9)),
        ("aten::add", False, (0, 1)),
        ("void add_kernel", True, (1000, 3000)),
        ("void mul_kernel", True, (2000, 4000)),
        ("Memcpy HtoD (Pinned -> Device)", True, (6000, 7000)),
    ]
    found = gpu_measure.summarize_events(events, steps=2, seconds=0.004)
    assert found == {"launches": 1, "waits": 0.5, "copies": 0.5, "busy_seconds": 0.002, "utilization": 0.5}


def test_shape__is_that_of_ml_1m(tmp_path):
    size = gpu_data.Size(1, users=200, items=900, length=200, large_items=1, large_events=1, batch=1)
    folder = gpu_data.write_shape(tmp_path, size)
    head, *lines = (folder / gpu_data.SHAPE / f"{gpu_data.SHAPE}.inter").read_text().splitlines()
    users, items, times = zip(*(line.split("\t") for line in lines), strict=True)
    lengths = sorted(users.count(user) for user in set(users))
    assert head == "user_id:token\titem_id:token\ttimestamp:float"
    assert len(lengths) == 200 and lengths[0] >= 20 and 70 < lengths[100] < 130
    assert set(items) == set(map(str, range(1, 901))) and list(times) == sorted(times, key=int)
    assert items.count("1") > 20 * items.count("450")


# The command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stubs(monkeypatch):
    """Parts with two items each, which record their execution."""
    ran = []

    def make(part):
        def items(device, size, folder):
            for name in ("first", "second"):
                yield name, lambda seconds, name=name: ran.append(f"{part} {name}") or results.get((part, name), {})

        return items

    results = {("speed", "first"): {"fp32": MEASURED}}
    monkeypatch.setattr(gpu_check, "PARTS", {part: make(part) for part in gpu_check.BUDGETS})
    monkeypatch.setattr(gpu_check, "describe_machine", lambda device: {**MACHINE, "device": device})
    return ran, results


def check(*arguments):
    return gpu_check.main(["--device=cpu", "--out=gpu", *arguments])


def test_command__keeps_results_and_continues(stubs, own_folder, capsys):
    ran, _ = stubs
    assert check("--parts=checks") == 0 and ran == ["checks first", "checks second"]
    assert check() == 0
    assert ran == [f"{part} {item}" for part in gpu_check.BUDGETS for item in ("first", "second")]
    assert "checks  first  kept" in capsys.readouterr().out
    content = json.loads((own_folder / "gpu.json").read_text())
    assert list(content["parts"]) == list(gpu_check.BUDGETS)
    assert check("--parts=checks", "--fresh") == 0 and len(ran) == 8


def test_command__fails_where_a_check_failed(stubs, own_folder):
    ran, results = stubs
    results["checks", "second"] = {"failed": "RuntimeError: two devices"}
    assert check() == 1
    assert "| second | **failed**: RuntimeError: two devices |" in (own_folder / "gpu.md").read_text()
    assert len(ran) == 6  # the others ran all the same


def test_command__stops_when_its_time_is_over(stubs, own_folder, capsys):
    ran, _ = stubs
    assert check("--minutes=0") == 0 and ran == []
    assert "not run" in capsys.readouterr().out


def test_command__refuses_results_of_another_machine(stubs, own_folder, monkeypatch):
    check()
    monkeypatch.setattr(gpu_check, "describe_machine", lambda device: {**MACHINE, "gpus": ["Another"]})
    with pytest.raises(SystemExit, match=r"gpu.json holds results of another machine"):
        check()


@pytest.mark.parametrize("missing", ["texttable", "recbole"])
def test_command__names_missing_packages(monkeypatch, capsys, missing):
    find = gpu_check.importlib.util.find_spec
    monkeypatch.setattr(gpu_check.importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert check() == 2
    assert f"this Python lacks {missing}; install with" in capsys.readouterr().err


def test_command__says_that_there_is_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_check.main(["--out=gpu"]) == 2
    assert "sees no GPU" in capsys.readouterr().err


@pytest.mark.slow
def test_module__keeps_what_was_known_when_time_ran_out(tmp_path, monkeypatch):
    module = tmp_path / "slow_module.py"
    module.write_text("import sys, time\nopen(sys.argv[2], 'w').write('{\"fp32\": {}}')\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = gpu_check.run_module("slow_module", {}, 6)
    assert result == {"fp32": {}, "failed": "it took longer than 6 s"}


UNNEEDED = ("pytest", "ray", "plotly", "matplotlib", "jinja2", "rich", "psutil")
WITHOUT = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {unneeded}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Finder())
from benchmarks import gpu_check, gpu_measure, gpu_processes
from tests.helpers import device_checks
device_checks.check_training(device_checks.Device("cpu"), sys.argv[1], device_checks.MODELS["BPR"], False)
print("trained", gpu_processes.main({{"device": "cpu"}}))
"""


@pytest.mark.slow
def test_checks__need_no_other_packages(own_folder):
    """Packages that training does not need are not required; checks that need rich are skipped."""
    code = WITHOUT.format(unneeded=UNNEEDED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code, str(own_folder)], env=environment, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1:] == ["trained {'skipped': 'rich is not installed'}"], run.stderr


def test_requests__are_ten_in_all_precisions(tmp_path):
    requests = dict(gpu_data.make_requests("cuda", gpu_data.TINY, tmp_path))
    assert len(requests) == 10 and set(gpu_data.TINY.speeds) <= set(requests)
    for name, request in requests.items():
        assert request["recbole"] == name.startswith("RecBole") and request["device"] == "cuda"
        assert request["precisions"] == (gpu_data.RECBOLES if request["recbole"] else gpu_data.OURS)
        assert bool(request["settings"].get("sam_rho")) == name.startswith("SAMRec")


@pytest.mark.slow
def test_command__runs_on_the_cpu(own_folder, monkeypatch, capsys):
    """All parts, with tiny sizes; two processes use gloo."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(own_folder)
    assert check("--tiny", "--minutes=100") == 0, capsys.readouterr()
    parts = json.loads((own_folder / "gpu.json").read_text())["parts"]
    assert set(parts["checks"]) == set(gpu_data.TINY.checks)
    assert set(parts["processes"]["two processes"]["ndcg@5"]) == {"one", "two"}
    assert set(parts["speed"]) == set(gpu_data.TINY.speeds)
    for name, result in parts["speed"].items():
        precisions = gpu_data.RECBOLES if name.startswith("RecBole") else gpu_data.OURS
        assert [key for key in result if key != "seconds"] == list(precisions), result
        assert all(of["step"] > 0 for of in result.values() if isinstance(of, dict)), (name, result)


def test_page__shows_what_was_measured():
    parts = {
        "checks": {"train SAMRec packed": {"seconds": 1.25}, "train BPR": {"failed": "a | b", "seconds": 2}},
        "processes": {"two processes": {"skipped": "there is one GPU only", "seconds": 0}},
        "speed": {
            "SAMRec packed on ml-100k": {"fp32": MEASURED, "bf16": {"failed": "out of memory"}, "seconds": 9},
            "RecBole's SASRec on ml-100k": {"fp32": {**MEASURED, "step_without_anomaly_detection": 0.01}},
            "broken": {"failed": "it took longer than 9 s"},
        },
    }
    page = render_page({"machine": MACHINE, "parts": parts})
    assert "- GPU: A GPU" in page and "native bf16: yes" in page
    assert "| train SAMRec packed | passed | 1.2 |" in page and "| train BPR | **failed**: a \\| b | 2.0 |" in page
    assert "| SAMRec packed on ml-100k | fp32 | 12.30 | 46 % | 200.5 | 2 | 0 | 100 |" in page
    assert "| SAMRec packed on ml-100k | bf16 | out of memory |" in page
    assert "| RecBole's SASRec on ml-100k, without it | fp32 | 10.00 |" in page
    assert "| broken | **failed**: it took longer than 9 s | 0.0 |" in page
