"""Measured parts are stored with the key of their inputs, and recomputed if the key differs or a file is damaged."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_samrec.sharpness.measure import FULL, QUICK, Store


def test_budget__has_a_key_of_its_own():
    assert QUICK.key == replace(QUICK).key != replace(QUICK, targets=2049).key
    assert FULL.key != QUICK.key and len(QUICK.key) == 12


def test_store__computes_a_part_once(tmp_path):
    computed = []

    def compute():
        computed.append(1)
        return {"values": np.arange(3.0)}

    for _ in range(2):
        store = Store(tmp_path / "run", "key")
        assert store.part("line", compute)["values"].tolist() == [0, 1, 2]
        assert store.seconds["line"] >= 0
    assert computed == [1]
    assert Store(tmp_path / "run", "other").read("line") is None


@pytest.mark.parametrize("keep", [0, 10, 100, -30])
def test_store__reads_a_damaged_file_as_none(tmp_path, keep):
    store = Store(tmp_path, "key")
    store.write("line", values=np.random.default_rng(0).random(99))
    content = store.file("line").read_bytes()
    store.file("line").write_bytes(content[:keep])
    assert store.read("line") is None
    store.file("line").write_bytes(content[:200] + b"\0" * 50 + content[250:])
    assert store.read("line") is None
    assert store.part("line", lambda: {"values": np.ones(1)})["values"].tolist() == [1]
