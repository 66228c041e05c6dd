"""``sharpness`` on finished runs: the loss that it measures, the files that it writes, and its errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_samrec.analysis.hessian import compute_gradient, compute_hvp
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.sharpness import api, finished_run, measure, robustness
from recbole_samrec.sharpness.measure import Budget
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.exact_floats import exact_floats
from tests.helpers.command import main, succeed
from tests.helpers.tiny import cyclic, write_events

ANY = ["--dataset=tiny", "--train_batch_size=64", "--topk=[5]", "--valid_metric=NDCG@5", "--epochs=2"]
BODY = ["--hidden_size=8", "--inner_size=8", "--n_layers=1", "--MAX_ITEM_LIST_LENGTH=6", *ANY]
MODELS = {
    "SAMRec": BODY,
    "SAMRec of rows": ["--model=SAMRec", "--training=prefix", *BODY],
    "SASRec": BODY,
    "SASRec as it is": ["--model=SASRec", "--fast_dropout=False", *BODY],
    "gSASRec": BODY,
    "CL4SRec": BODY,
    "GRU4Rec": ["--hidden_size=8", "--embedding_size=8", "--training=packed", "--MAX_ITEM_LIST_LENGTH=6", *ANY],
    "BERT4Rec": BODY,
    "BPR": ["--embedding_size=8", *ANY],
    "LightGCN": ["--embedding_size=8", *ANY],
}
TINY = Budget(
    targets=100,
    eigenvalues=2,
    products=40,
    trace_probes=4,
    density_steps=8,
    density_probes=2,
    rhos=(0.1, 0.3),
    adaptive_rhos=(0.3, 1.0),
    random_draws=2,
    climb=2,
    grid=3,
    points=5,
    noise=(0.0, 0.2, 0.5),
    changes=(0.0, 0.4, 0.6),
    draws=2,
)


@pytest.fixture(autouse=True)
def data(own_folder):
    write_events("dataset", "tiny", cyclic(users=40, items=12))


def trained(name, folder="run", *more):
    model = [] if any(word.startswith("--model") for word in MODELS[name]) else [f"--model={name}"]
    succeed("run", *model, *MODELS[name], f"--run_dir={folder}", *more)
    return Path(folder)


@pytest.mark.parametrize("name", MODELS)
def test_load_run_has_the_training_loss(name):
    found = finished_run.load_run(trained(name), targets=80)
    assert found.loss.weights and 80 <= found.targets <= found.all_targets
    slow = compute_gradient(found.loss, found.weights)
    assert torch.equal(compute_gradient(found.loss, found.weights), slow)  # the same draws each time

    fast, of_batch = torch.zeros_like(slow), found.trainer.training_loss()
    kept = finished_run.load_run(Path("run"), targets=80)  # the same batches, and the draws of each
    for share, chunk in kept.loss:
        cells = dict(zip(chunk.__code__.co_freevars, (cell.cell_contents for cell in chunk.__closure__), strict=True))
        RandomState.set(dict(cells["draws"]))
        loss = of_batch(cells["batch"])
        loss = sum(loss) if isinstance(loss, tuple) else loss
        parts = torch.autograd.grad(loss, found.weights, allow_unused=True)
        flat = [torch.zeros_like(w) if g is None else g for w, g in zip(found.weights, parts, strict=True)]
        fast += share * torch.cat([part.flatten() for part in flat])
    assert torch.allclose(fast, slow, rtol=1e-4, atol=1e-6 * float(slow.abs().max()) + 1e-9)

    direction = torch.randn(slow.shape, generator=torch.Generator().manual_seed(1))
    direction /= direction.norm()
    step, before = 1e-2, [weight.detach().clone() for weight in found.weights]
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, start, part in zip(found.weights, before, unflat(direction, before), strict=True):
                weight.copy_(start + sign * step * part)
        sides.append(compute_gradient(found.loss, found.weights))
    with torch.no_grad():
        for weight, start in zip(found.weights, before, strict=True):
            weight.copy_(start)
    product = compute_hvp(found.loss, found.weights, direction)
    difference = (sides[0] - sides[1]) / (2 * step)
    assert (product - difference).norm() < 0.05 * product.norm() + 1e-4


def unflat(vector, like):
    return [part.view_as(w) for part, w in zip(vector.split([w.numel() for w in like]), like, strict=True)]


@pytest.mark.slow
def test_sharpness_writes_stores_and_continues_a_report(monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    runs = [str(trained("SAMRec", "flat")), str(trained("SAMRec", "sharp", "--sam_rho=0", "--track_sharpness=1"))]
    before = {file: file.read_bytes() for folder in runs for file in Path(folder).rglob("*") if file.is_file()}
    said = succeed("sharpness", *runs, "--quick", "--out=out")
    assert "1 of 2: SAMRec, seed 2020" in said.out and "2 of 2: SASRec, seed 2020" in said.out
    assert "training targets" in said.out and "report: out/report.html" in said.out
    assert {file: file.read_bytes() for file in before} == before  # runs are read, never written
    page = Path("out/report.html").read_text()
    assert "SASRec" in page and "SAMRec" in page and "http" not in page.split("<body")[1].split("arxiv")[0]
    for number, folder in enumerate(runs):
        stored = json.loads(Path(folder, "result.json").read_text())["test"]
        for table in ("noise", "histories"):
            frame = pd.read_csv(f"out/{table}-{number}.csv", **exact_floats())
            still = frame[frame["level"] == 0]
            assert len(still) and all((still[metric] == value).all() for metric, value in stored.items())
    counts = pd.read_csv("out/runs.csv").filter(like="training targets").to_numpy()
    assert all(some < slope == everything for some, slope, everything in counts)
    between = pd.read_csv("out/between.csv")
    assert set(between["first"]) == {"SAMRec, seed 2020"} and np.isfinite(between["loss"]).all()

    stamps = {file: file.stat().st_mtime_ns for file in Path("out/data").rglob("*.npz")}
    assert len(stamps) == 2 * 6 + 1
    lost = next(file for file in stamps if file.name == "surface.npz")
    lost.unlink()
    succeed("sharpness", *runs, "--quick", "--out=out")
    again = {file: file.stat().st_mtime_ns for file in Path("out/data").rglob("*.npz")}
    assert [file for file in stamps if again[file] != stamps[file]] == [lost]
    succeed("sharpness", *reversed(runs), "--quick", "--targets=50", "--out=out")
    assert all(file.stat().st_mtime_ns != stamps[file] for file in stamps if file.name == "curvature.npz")


@pytest.mark.slow
def test_seconds_are_those_of_all_calls(monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    run = str(trained("SAMRec"))
    succeed("sharpness", run, "--quick", "--out=out")
    before = json.loads(Path("out/report.json").read_text())
    spent = sum(float(np.load(file)["seconds"]) for file in Path("out/data").rglob("*.npz"))
    assert before["seconds"] == round(spent, 1) > 0
    succeed("sharpness", run, "--quick", "--out=out")
    assert json.loads(Path("out/report.json").read_text())["seconds"] == before["seconds"]


def test_a_grid_that_goes_on_adds_its_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(measure.time, "monotonic", lambda: now[0])
    store = measure.Store(tmp_path, "key")
    for spent in (3, 4):
        assert store.read("other") is None  # what came before belongs to no part
        now[0] += spent
        store.write("grid", loss=np.zeros(2))
    assert store.seconds == {"grid": 7}
    later = measure.Store(tmp_path, "key")
    now[0] += 50
    assert list(later.read("grid")) == ["loss"]
    now[0] += 5
    later.write("grid", loss=np.ones(2))
    assert later.seconds == {"grid": 12}
    assert measure.Store(tmp_path, "another").read("grid") is None


@pytest.mark.slow
def test_sharpness_removes_what_a_larger_report_left(monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    runs = [str(trained("SAMRec", "one", "--track_sharpness=1")), str(trained("SASRec", "two"))]
    succeed("sharpness", *runs, "--quick", "--out=out")
    of_others = [Path("out/noise-my.csv"), Path("out/figures/mine.png"), Path("out/title.txt")]
    for file in of_others:
        file.write_text("")
    gone = ["noise-1.csv", "histories-1.csv", "figures/training.png", "figures/training.pdf", "figures/between.png"]
    assert all(Path("out", name).exists() for name in gone)
    succeed("sharpness", runs[1], "--quick", "--out=out")
    assert not any(Path("out", name).exists() for name in gone)
    assert all(file.exists() for file in of_others) and len(list(Path("out/data").iterdir())) == 2
    drawn = set(json.loads(Path("out/report.json").read_text())["figures"])
    assert {file.stem for file in Path("out/figures").iterdir()} == {*drawn, "mine"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["uni10", "pop10"])
def test_sampled_items_are_the_same_at_all_levels(mode, monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    split = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    run = trained("SAMRec", "run", f"--eval_args={split}")
    found = finished_run.load_run(run, targets=50)
    state = RandomState.get()["torch"]
    one, two = (robustness.score_test_set(found) for _ in range(2))
    assert one == two and torch.equal(RandomState.get()["torch"], state)  # and nobody else's draws are moved
    succeed("sharpness", str(run), "--quick", "--out=out")
    about = json.loads(Path("out/report.json").read_text())
    assert "sampled" in about["notes"] and about["entries"][0]["ranking"] == mode
    noise, histories = (pd.read_csv(f"out/{name}-0.csv") for name in ("noise", "histories"))
    assert histories.loc[histories["level"] == 0, "ndcg@5"].nunique() == 1
    assert set(noise.loc[noise["level"] == 0, "ndcg@5"]) == set(histories.loc[histories["level"] == 0, "ndcg@5"])


@pytest.mark.slow
def test_runs_may_be_given_labels(monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    for name, rate in {"much": 0.5, "little": 0.1}.items():
        trained("SAMRec", name, f"--hidden_dropout_prob={rate}")
    said = succeed("sharpness", "with much=much", "with little=little", "--quick", "--out=out")
    assert "1 of 2: with much, seed 2020" in said.out and "2 of 2: with little, seed 2020" in said.out
    assert set(pd.read_csv("out/measures.csv")["entry"]) == {"with much", "with little"}


def test_sharpness_of_models_without_histories(monkeypatch):
    monkeypatch.setattr(api, "QUICK", TINY)
    said = succeed("sharpness", str(trained("BPR")), "--quick")
    assert "report: runs/sharpness-tiny/report.html" in said.out
    assert not robustness.reads_histories(finished_run.load_run(Path("run"), targets=50))


def test_noise_is_drawn_alike_and_taken_back():
    found = finished_run.load_run(trained("SAMRec"), targets=50)
    before = [weight.detach().clone() for weight in found.weights]
    one, two = (robustness.measure_under_noise(found, (0.0, 0.5), draws=2) for _ in range(2))
    assert one.equals(two) and len(one) == 3
    assert all(torch.equal(weight, start) for weight, start in zip(found.weights, before, strict=True))
    generator = torch.Generator().manual_seed(0)
    with robustness.add_noise(found.trainer.model, found.weights, 0.5, generator):
        for weight, start in zip(found.weights, before, strict=True):
            if start.numel() > 60 and start.any():
                size = (weight - start).square().mean().sqrt() / start.square().mean().sqrt()
                assert abs(size - 0.5) < 0.15
        assert torch.equal(found.trainer.model.item_embedding.weight[0], before[0][0])  # padding


def spoil(file):
    state = checkpoint_io.load(file)
    state["state_dict"]["item_embedding.weight"][3, 2] = float("nan")
    checkpoint_io.save(file, state)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda: None, "is not the data that the run was trained on"),
        (lambda: Path("run/result.json").write_text("{"), "run/result.json: it is damaged"),
        (lambda: Path("run/result.json").unlink(), "it is no finished run"),
        (lambda: Path("run/best.pth").unlink(), "the run's best weights are not there"),
        (lambda: Path("run/best.pth").write_bytes(b"no"), "run/best.pth"),
        (lambda: spoil("run/best.pth"), "run/best.pth: item_embedding.weight is not finite"),
    ],
)
def test_runs_that_cannot_be_measured_are_one_line(break_it, words):
    trained("SAMRec")
    if words == "is not the data that the run was trained on":
        with open("dataset/tiny/tiny.inter", "a") as file:
            file.write("u1\ti1\t99999\n")
    break_it()
    said = main("sharpness", "run", "--quick", "--out=out")
    assert said.status == 2 and words in " ".join(said.err.split()) and not Path("out").exists()


def test_what_is_named_wrongly_is_one_line(monkeypatch):
    trained("SAMRec")
    succeed("run", "--model=Pop", *ANY, "--run_dir=pop")
    said = main("sharpness", "pop", "--out=out")
    assert said.status == 2 and "Pop" in said.err
    write_events("dataset", "other", cyclic(users=30, items=12, seed=1))
    succeed("run", "--model=SAMRec", *[word.replace("=tiny", "=other") for word in BODY], "--run_dir=other")
    succeed("run", "--model=SAMRec", *(word.replace("5", "3") for word in BODY), "--run_dir=hits")
    shutil.copytree("run", "copy")
    Path("elsewhere").mkdir()
    Path("shares.csv").write_text("row,fraction,auc_mean\nA,1,0.5\n")
    monkeypatch.setattr(api, "load_run", None)  # all that is known from records and tables comes first
    for arguments, words in (
        (["nowhere"], "nowhere: there is no such run"),
        (["run", "run"], "run is named twice"),
        (["run"] * 7, "up to 6"),
        (["run", "other"], "a report is about one data set"),
        (["run", "--targets=0"], "--targets=0: must be a whole number of at least 1"),
        (["run", "--fractions=nowhere.csv"], "--fractions=nowhere.csv: it cannot be read"),
        (["run", "copy"], "both are one run"),
        (["run", "elsewhere/../run"], "is named twice"),
        (["run", "hits"], "no test metric in common"),
        (["run", "--fractions=shares.csv"], "missing column(s) ndcg@5_mean, ndcg@5_std"),
        (["run", "--out=pop/result.json"], "--out=pop/result.json: it cannot be written"),
        (["run", "--sam_rho=1"], "this command takes no such argument"),
    ):
        said = main("sharpness", "--out=out", *arguments)
        assert said.status == 2 and words in " ".join(said.err.split()), said.err
    assert not Path("out").exists()
