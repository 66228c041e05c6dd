"""The figures of the README that are no tables of results."""

import json

from tools.figures import QUICK_START, make_badges, render_quick_start


def test_make_badges__need_a_public_repository():
    assert make_badges("") == ""
    address = "https://example.org/name/repository"
    assert make_badges(address).count(f"({address}/actions/workflows/ci.yml") == 2


def test_render_quick_start__has_all_metrics_as_printed():
    record, text = json.loads(QUICK_START.read_text(encoding="utf-8")), render_quick_start()
    assert text.startswith("```text\nSAMRec on ml-100k, best epoch ") and text.endswith("\n```")
    assert all(line == line.rstrip() for line in text.splitlines())
    for part in ("valid", "test"):
        assert all(f"{value:.4f}" in text for value in record[part].values())


def test_quick_start__is_the_run_of_make_run():
    record = json.loads(QUICK_START.read_text(encoding="utf-8"))
    assert (record["model"], record["dataset"]) == ("SAMRec", "ml-100k")
    assert record["epochs_run"] < record["config"]["epochs"]  # it converged
