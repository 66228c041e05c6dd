"""The benchmarks run with tiny settings, count correctly, and judge by the figures; nothing is timed."""

import json
import subprocess

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import arithmetic, cases, cluster_coverage, inference, measure, speed
from benchmarks.arithmetic import Shape, Work, count_products
from benchmarks.breakdown import find_group
from benchmarks.interval_coverage import measure_coverage
from benchmarks.records import Measurement, Records
from benchmarks.report import Results, find_first_reaching, format_markdown, judge_targets, render_page
from benchmarks.synthetic import draw_sequences
from recbole_samrec.data.batches import PackedBatches
from recbole_samrec.layers.transformer import transformer_states
from recbole_samrec.utils.malloc import LARGE_PAGES
from tests.helpers.tiny import SMALL, random_events, write_events


def request(folder, row, **changed):
    settings = {**cases.COMMON, **SMALL, **row.settings, "train_batch_size": 16}
    settings |= {"model": row.model, "dataset": "tiny", "data_path": str(folder), "checkpoint_dir": str(folder)}
    asked = {"what": "epochs", "settings": settings, "recbole": row.recbole, "warm_up": 1, "batches": None}
    asked |= {"epochs": 2, "explain": row.explain, "compiled": False, "threads": 1, "device": "cpu"}
    return asked | changed


# What is counted ------------------------------------------------------------------------------------------------


def test_arithmetic__counts_the_products_that_torch_counts():
    """On full rows with a target everywhere; torch counts the full square of attention."""
    rows, length, size, inner, heads, items = 3, 4, 8, 16, 2, 11
    work = Work(1, rows, rows * length, rows * length, *[rows * length * (length + 1) // 2] * 2)
    needed = count_products(work, Shape(size, inner, heads, 2, items))
    counted = {kind: sum(one.flops for one in needed if one.kind == kind) for kind in ("linear", "attention", "items")}
    from recbole.model.layers import TransformerEncoder

    encoder = TransformerEncoder(2, heads, size, inner, 0.5, 0.5)
    x, table = torch.randn(rows, length, size, requires_grad=True), torch.randn(items, size, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        states = transformer_states(x, encoder.layer, torch.arange(rows * length))
        (states @ table.T).sum().backward()
    of_torch = {str(name): flops for name, flops in counter.get_flop_counts()["Global"].items()}
    attention = of_torch.pop("aten.bmm") + of_torch.pop("aten.baddbmm")
    assert counted["linear"] + counted["items"] == sum(of_torch.values())
    assert counted["attention"] * 2 * length == attention * (length + 1)
    assert counted["items"] == 3 * 2 * rows * length * size * items


def test_arithmetic__counts_the_last_layer_on_targets():
    shape = Shape(size=4, inner=8, heads=1, layers=1, items=5)
    work = Work(steps=1, windows=1, tokens=10, targets=3, pairs=55, target_pairs=27)
    flops = sum(one.flops for one in count_products(work, shape))
    keys_and_values, rest = 10 * 4 * 8, 3 * (4 * 4 + 4 * 4 + 4 * 8 + 8 * 4)
    assert flops == 2 * (3 * (keys_and_values + rest) + 6 * 27 * 4 + 3 * 3 * 4 * 5)


def test_arithmetic__counts_the_windows():
    loader = PackedBatches(np.arange(1, 14), np.array([0, 9, 11, 13]), length=4, batch_size=5)
    work, windows = Work.count(loader), loader.windows
    rows = [[n for n in windows.targets[a:b]] for a, b in zip(windows.bounds, windows.bounds[1:], strict=False)]
    seen = [[target - start for target in row] for row, start in zip(rows, windows.starts, strict=True)]
    assert (work.windows, work.targets, work.steps) == (len(rows), 10, len(loader))
    assert work.tokens == sum(row[-1] for row in seen)
    assert work.pairs == sum(sum(range(1, row[-1] + 1)) for row in seen)
    assert work.target_pairs == sum(map(sum, seen))


def test_synthetic__has_whole_sequences():
    items, offsets = draw_sequences(5000, 100)
    lengths = np.diff(offsets)
    assert (offsets[0], offsets[-1], len(items)) == (0, 5000, 5000)
    assert lengths.min() >= 2 and lengths.max() <= 96
    assert items.min() >= 1 and items.max() <= 100
    counts = np.bincount(items, minlength=101)
    assert counts[1] > counts[10] > counts[100]


# What is measured -----------------------------------------------------------------------------------------------


def test_cases__has_recboles_own_alone(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    trainer, (train_data, *_) = measure.build(request(tmp_path, cases.MAIN[cases.RECBOLE]))
    assert type(trainer).__module__ == "recbole.trainer.trainer" and type(trainer).__name__ == "Trainer"
    assert {type(m) for m in trainer.model.modules() if isinstance(m, nn.Dropout)} == {nn.Dropout}
    assert type(train_data).__module__.startswith("recbole.")
    assert type(train_data._dataset).__module__.startswith("recbole.")


def test_measure__takes_an_epoch_whole_or_from_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "SECONDS", 0)
    monkeypatch.setattr(measure, "PROFILED", 1)
    write_events(tmp_path, "tiny", random_events())
    sampled = measure.main(request(tmp_path, cases.MAIN[cases.RECBOLE], batches=3, epochs=1))
    assert sampled["epoch"] == sampled["step"] * sampled["steps"]
    assert sampled["estimated_from"] == 3 and sampled["calm_epoch"] > 0
    assert not torch.is_anomaly_enabled()
    whole = measure.main(request(tmp_path, cases.MAIN[cases.SAMREC]))
    assert whole["estimated_from"] is None and whole["peak_mb"] > 0
    assert whole["passes"] == 2
    assert sum(whole["breakdown"].values()) == pytest.approx(1)
    json.dumps(whole)


def test_measure__ends_after_so_many_steps(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    trainer, (train_data, *_) = measure.build(request(tmp_path, cases.MAIN[cases.SASREC]))
    loader = measure.time_batches(train_data)
    taken = []
    trainer.optimizer.register_step_post_hook(lambda *_: taken.append(1))
    assert len(measure.time_steps(trainer, loader, 2)) == len(taken) == 2
    assert len(measure.time_steps(trainer, loader, None)) == len(taken) - 2 == len(train_data)


def test_measure__keeps_every_epoch_of_convergence(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    asked = request(tmp_path, cases.CONVERGENCE[cases.SASREC], what="convergence")
    asked["settings"] |= {"epochs": 3, "topk": [10], "valid_metric": "NDCG@10"}
    found = measure.main(asked)
    assert len(found["seconds"]) == len(found["scores"]) == 3
    assert found["seconds"] == sorted(found["seconds"])


def test_measure__trains_on_arrays_for_growth(tmp_path):
    asked = cases.make_growth_requests(1)[cases.growth_name("CE", cases.INTERACTIONS[0], cases.ITEMS[0])]
    asked |= {"interactions": 2000, "items": 50, "batches": 4}
    asked["settings"] |= SMALL | {"train_batch_size": 64, "checkpoint_dir": str(tmp_path)}
    found = measure.main(asked)
    assert found["estimated_from"] == 4 < found["steps"]


@pytest.mark.parametrize(
    ("names", "group"),
    [
        (["aten::mm", "softmax and loss"], "matrix products"),
        (["aten::add_", "autograd::engine::evaluate_function: AddmmBackward0"], "matrix products"),
        (["aten::bmm", "attention"], "attention"),
        (["aten::random_", "dropout", "attention"], "dropout"),
        (["aten::mul", "autograd::engine::evaluate_function: _BulkDropoutBackward"], "dropout"),
        (["aten::softmax", "softmax and loss"], "softmax and loss"),
        (["aten::_foreach_add_", "Optimizer.step#Adam.step"], "optimizer"),
        (["aten::mul_", "SAM's vector work", "Optimizer.step#Adam.step"], "SAM's vector work"),
        (["aten::cat"], "rest"),
    ],
)
def test_breakdown__groups_operations_by_the_nearest_name(names, group):
    event = None
    for name in reversed(names):
        event = type("Event", (), {"name": name, "cpu_parent": event})()
    assert find_group(event) == group


# Records, plan and page -----------------------------------------------------------------------------------------


def test_records__answer_the_very_same_request(tmp_path):
    records = Records(tmp_path / "bench")
    one = Measurement("epochs", "ml-100k", cases.RECBOLE, 1, {"threads": 2})
    assert records.find(one) is None
    records.keep(one, {"epoch": 3.0})
    assert records.find(one) == {"epoch": 3.0}
    assert records.find(Measurement("epochs", "ml-100k", cases.RECBOLE, 1, {"threads": 1})) is None
    assert records.find(Measurement("epochs", "ml-100k", cases.RECBOLE, 2, {"threads": 2})) is None
    assert Records(tmp_path / "bench", fresh=True).find(one) is None


@pytest.mark.parametrize(("status", "said", "why"), [(1, "in f\nValueError: x", "ValueError: x"), (-9, "", "signal 9")])
def test_records__keep_nothing_that_failed(status, said, why, tmp_path, monkeypatch):
    records, one = Records(tmp_path), Measurement("growth", "synthetic", "a", 1, {"threads": 1})
    ended = subprocess.CompletedProcess([], status, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: ended)
    assert why in records.measure(one)["failed"]
    assert records.find(one) is None


@pytest.mark.parametrize(("recbole", "asked"), [(True, "0"), (False, "1")])
def test_measure__asks_for_no_large_pages_with_recbole(recbole, asked, tmp_path, monkeypatch):
    environments = []
    monkeypatch.setenv(LARGE_PAGES, "1")  # as importing this package sets it
    ended = subprocess.CompletedProcess([], 1, "", "ended")
    monkeypatch.setattr(subprocess, "run", lambda *args, env, **kwargs: environments.append(env) or ended)
    Records(tmp_path).measure(Measurement("epochs", "tiny", "a", 1, {"threads": 1, "recbole": recbole}))
    assert [one[LARGE_PAGES] for one in environments] == [asked]


def test_measure__refuses_an_unknown_data_set(capsys):
    with pytest.raises(SystemExit):
        speed.main(["--datasets", "ml-100k,ml-2m"])
    assert "ml-2m: choose among ml-100k, ml-1m, Amazon_Beauty" in capsys.readouterr().err


def test_report__takes_turns_and_leaves_out_what_is_missing():
    results = Results(skipped={"ml-1m": "it is not there"})
    planned = list(speed.plan_measurements(["ml-100k", "ml-1m"], ["epochs"], 2, 1, results))
    assert [(m.entry, m.repetition) for m in planned] == [(row, n) for n in (1, 2) for row in cases.MAIN]
    assert {m.dataset for m in planned} == {"ml-100k"}
    names = [m.name for m in speed.plan_measurements(["ml-100k"], speed.PARTS, 2, 1, results)]
    assert len(names) == len(set(names))


def results_of(seconds, peaks):
    """Results of the main comparison on all data sets, one repetition for each number of seconds."""
    results = Results()
    spent = dict.fromkeys(cases.GROUPS, 0.0) | {"dropout": 0.75, "data": 0.25}
    limit = {"seconds": 1.0, "flops": 1e9, "gflops": {"linear": 1.0}}
    explained = {"limit": limit, "passes": 2, "tokens": 100, "breakdown": spent}
    for dataset in cases.DATASETS:
        for row, figures in seconds.items():
            for one in figures:
                result = {"epoch": one, "step": one / 10, "steps": 10, "peak_mb": peaks[row], "revision": "r"}
                result["calm_epoch"] = one / 2
                results.add(Measurement("epochs", dataset, row, 1, {}), result | explained)
    return results


def test_report__judges_targets_by_medians():
    seconds = {cases.RECBOLE: [400.0, 450.0, 900.0], cases.SAMREC: [8.0, 9.0, 10.0], cases.SASREC: [5.0]}
    results = results_of(seconds, {cases.RECBOLE: 5000, cases.SAMREC: 400, cases.SASREC: 300})
    found = judge_targets(results).set_index("target")
    (fast,) = (row for name, row in found.iterrows() if "40 times" in name)
    (faster,) = (row for name, row in found.iterrows() if "150 times" in name)
    (small,) = (row for name, row in found.iterrows() if "memory" in name)
    (limit,) = (row for name, row in found.iterrows() if "limit" in name)
    assert fast["figure"] == "50.0x (25.0x without its anomaly detection)"
    assert (fast["verdict"], fast["what explains it"]) == ("met", "")
    assert (faster["verdict"], faster["what explains it"]) == ("not met", "dropout 75.0 %, data 25.0 %")
    assert (small["figure"], small["verdict"]) == ("8.0 %", "met")
    assert (limit["figure"], limit["verdict"]) == ("22.2 %", "not met")  # two passes of 1 s in 9 s
    assert set(found["verdict"]) == {"met", "not met", "not measured"}


def test_report__holds_command_machine_and_omissions():
    seconds = {cases.RECBOLE: [400.0], cases.SAMREC: [8.0], cases.SASREC: [5.0]}
    results = results_of(seconds, dict.fromkeys(cases.MAIN, 1000))
    results.add(Measurement("growth", "synthetic", "SSM, 10 x 10", 1, {}), {"failed": "out of memory"})
    text = render_page(results, "make bench", "a machine")
    assert "make bench" in text and "a machine" in text
    assert "SSM, 10 x 10 (synthetic): out of memory" in text and "entries on a GPU" in text
    assert "## Training on ml-1m" in text


def test_report__finds_the_first_epoch_of_a_score():
    assert find_first_reaching([0.1, 0.3, 0.2, 0.4], 0.3) == 2
    assert find_first_reaching([0.1], 0.3) is None


def test_report__writes_a_frame_as_markdown():
    frame = judge_targets(Results()).head(1)[["target", "verdict"]]
    assert format_markdown(frame).splitlines()[:2] == ["| target | verdict |", "| --- | ---: |"]


def test_measure_coverage__covers_over_users_and_seeds():
    found = measure_coverage(40)
    assert (found["users and seeds, %"] >= 80).all()
    large = found[found["seed effect"] == 1]
    assert (large["users, %"] < 50).all() and set(found["seeds"]) == {3, 5}


def test_cluster_coverage__is_right_by_user_only():
    found = cluster_coverage.measure_coverage(60, events=(1, 10), tastes=(1.0,)).set_index("events")
    clustered = [column for column in cluster_coverage.COLUMNS if column.startswith("by user")]
    assert (found[clustered] >= 85).all(axis=None)
    assert (found.loc[10, ["by event", "by event, with seeds"]] < 70).all()
    assert found.loc[1, "by event"] == found.loc[1, "by user, one by one"]


def test_measure_inference__of_unequal_numbers_of_seeds():
    found = inference.measure_inference(60, seeds=((5, 2), (1, 5)), events=(3,), effects=(0.0, 0.3))
    assert (found["coverage"] >= 85).all() and (found["false positives"] <= 13).all()
    assert found.loc[1, "false positives, users alone"] > 20 + found.loc[1, "false positives"]


def test_expect_metric__is_the_mean_of_simulated_ranks(monkeypatch):
    monkeypatch.setattr(inference, "USERS", 20_000)
    case = inference.Case((1, 3), 1, 0.0)
    estimate = inference.simulate(np.random.default_rng(0), case, inference.BETTER)[0]
    truth = inference.expect_metric(0.0, inference.BETTER) - inference.expect_metric(0.0)
    assert abs(estimate.difference[0] - truth) < 4 * estimate.error[0] < truth
