"""The command ``evaluate``."""

import json
from pathlib import Path

from tests.helpers.command import succeed
from tests.helpers.tiny import random_events, write_events


def test_evaluate__allows_rounding_on_another_device(own_folder):
    write_events("dataset", "tiny", random_events())
    succeed("run", "--model=Pop", "--dataset=tiny", "--run_dir=one")
    assert "the same figures as in one/result.json" in succeed("evaluate", "one").out
    record = json.loads(Path("one/result.json").read_text())
    record["test"]["hr@5"] += 1e-5
    Path("one/result.json").write_text(json.dumps(record))
    assert "these figures differ from one/result.json\n" in succeed("evaluate", "one").out
    record["device"] = "NVIDIA A100"
    Path("one/result.json").write_text(json.dumps(record))
    said = " ".join(succeed("evaluate", "one").out.split())
    about = "(largest difference 1.0e-05; recorded on NVIDIA A100)"
    assert f"the same figures up to rounding as in one/result.json {about}" in said
    record["test"]["hr@5"] += 0.5
    Path("one/result.json").write_text(json.dumps(record))
    said = " ".join(succeed("evaluate", "one").out.split())
    assert "these figures differ from one/result.json (largest difference 5.0e-01; recorded on NVIDIA A100)" in said
