"""Records of finished runs as files for tests."""

import json
from pathlib import Path


def record_of_a_run(**changes) -> dict:
    """The content of a ``result.json`` with some fields changed; a field set to ``...`` is removed."""
    content = {
        "schema_version": 1,
        "model": "SAMRec",
        "label": "SAMRec",
        "dataset": "tiny",
        "seed": 1,
        "config": {"valid_metric": "NDCG@10"},
        "data": {"users": 9, "items": 8, "interactions": 99, "sha256": "0" * 64},
        "versions": {"python": "3.11.7", "ray": None},
        "revision": None,
        "device": "cpu (1 thread)",
        "parameters": 100,
        "epochs_run": 3,
        "best_epoch": 1,
        "seconds_per_epoch": 0.5,
        "seconds_total": 1.5,
        "peak_memory_mb": 3,
        "skipped_steps": 0,
        "valid": {"ndcg@10": 0.5},
        "test": {"ndcg@10": 0.5},
        **changes,
    }
    return {name: value for name, value in content.items() if value is not ...}


def write_record(file, **changes) -> dict:
    """Write the content of a ``result.json``, and return it."""
    content = record_of_a_run(**changes)
    Path(file).write_text(json.dumps(content), encoding="utf-8")
    return content
