"""Short trainings give the results in tests/reference, and their comparison detects differences."""

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.reference_runs import RUNS, Record, compare_all, find_differences, main, record_all

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "reference"
TOLERANCE = 3e-4
"""Some 25 times what other instructions of the processor change, a thirtieth of a single step of Adam's."""


def draws_as_recorded() -> bool:
    """True if torch draws from weights as in the recorded runs, which S3Rec needs for segments. Torch 2.6 does not."""
    return torch.multinomial(torch.ones(4, 9), 1, generator=torch.Generator().manual_seed(5)).tolist() == [
        [1], [5], [4], [8],
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="torch draws other dropout there")
def test_trainings_end_as_recorded(tmp_path):
    record_all(ROOT, tmp_path)
    others = () if draws_as_recorded() else ("S3Rec:",)
    assert [line for line in compare_all(REFERENCE, tmp_path, TOLERANCE) if not line.startswith(others)] == []


@pytest.fixture
def record() -> Record:
    return Record.load(REFERENCE, "SAMRec")


def nudged(arrays: dict[str, np.ndarray], name: str, by: float, entries: int = 1) -> dict[str, np.ndarray]:
    """Arrays of which one has changed first entries."""
    values = arrays[name].copy()
    values.flat[:entries] += np.asarray(by, values.dtype)
    return arrays | {name: values}


def test_a_record_equals_itself(capsys):
    assert main(["--compare", str(REFERENCE), str(REFERENCE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(RUNS)
    assert all(line.endswith("tensors, 30 metrics, 8 rank arrays equal") for line in lines)


def test_a_missing_record_is_a_difference(tmp_path, capsys):
    assert main(["--compare", str(REFERENCE), str(tmp_path)]) == 1
    assert f"BPR: differs\n  no record in {tmp_path}\n" in capsys.readouterr().out


def test_one_bit_of_a_weight_is_a_difference(record):
    name = "last item_embedding.weight"
    flipped = record.weights[name].copy()
    flipped.view(np.int32).flat[5] ^= 1
    other = replace(record, weights=record.weights | {name: flipped})
    (line,) = find_differences(record, other)
    assert line.startswith(f"{name}: 1 of {flipped.size} values differ")
    assert not list(find_differences(record, other, TOLERANCE))
    far = replace(record, weights=nudged(record.weights, name, 0.01))
    assert list(find_differences(record, far, TOLERANCE))


def test_biases_without_influence_may_differ_by_rounding(record):
    name = "best trm_encoder.layer.0.multi_head_attention.key.bias"
    other = replace(record, weights=nudged(record.weights, name, 0.01))
    assert list(find_differences(record, other)) and not list(find_differences(record, other, TOLERANCE))


def test_tensors_may_neither_come_nor_go(record):
    fewer = replace(record, weights=dict(list(record.weights.items())[1:]))
    for tolerance in (None, TOLERANCE):
        assert "missing in the new record" in next(find_differences(record, fewer, tolerance))
        assert "missing in the old record" in next(find_differences(fewer, record, tolerance))


def test_ranks_and_metrics_may_come_but_not_go(record):
    more = replace(record, ranks=record.ranks | {"also": np.zeros(3)}, metrics=record.metrics | {"test also@10": 0.5})
    assert not list(find_differences(record, more))
    assert [line.partition(":")[0] for line in find_differences(more, record)] == ["also", "test also@10"]


def test_few_ranks_may_move_by_rounding(record):
    few, many = (replace(record, ranks=nudged(record.ranks, "rank", 1, entries)) for entries in (2, 9))
    assert not list(find_differences(record, few, TOLERANCE)) and list(find_differences(record, few))
    assert list(find_differences(record, many, TOLERANCE))
    for name in ("history", "popularity"):
        other = replace(record, ranks=nudged(record.ranks, name, 1))
        assert list(find_differences(record, other, TOLERANCE))
    other = replace(record, ranks=record.ranks | {"test": np.array("0" * 64)})
    assert list(find_differences(record, other, TOLERANCE)) == ["test: 1 of 1 values differ"]


def test_metrics_move_with_ranks_only(record):
    better = replace(record, metrics=record.metrics | {"test hr@10": record.metrics["test hr@10"] + 1 / 90})
    (line,) = find_differences(record, better, TOLERANCE)
    assert line.startswith("test hr@10: ")
    assert not list(find_differences(record, replace(better, ranks=nudged(record.ranks, "rank", 1)), TOLERANCE))


def test_another_best_epoch_is_a_difference(record):
    assert list(find_differences(record, replace(record, best_epoch=0), TOLERANCE)) == ["best epoch: 3 and 0"]
