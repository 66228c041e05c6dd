"""Folders of jobs: runs that count as finished, and runs that have to be trained again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from recbole_samrec.config.schema import RENAMED
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.job_folders import (
    JOB,
    complete_from_record,
    find_folder,
    have_equal_results,
    read_made_for,
    read_recorded_hash,
    slug,
)
from recbole_samrec.experiments.jobs import Job, plan_jobs
from tests.helpers.paths import ROOT


def job(settings, sha256="data", **more):
    """A run that needs a folder."""
    return Job("SAMRec", "set", 1, 1.0, settings, sha256, Path(), **more)


def record(folder, job):
    """Write the files that a run writes before it starts."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"entry": job.entry, **job.made_for}))


def test_find_folder_of_other_settings_or_data(tmp_path):
    one, two = job({"sam_rho": 0.1}), job({"sam_rho": 0.2})
    first = find_folder(tmp_path, one)
    record(first, one)
    assert find_folder(tmp_path, one) == first
    second = find_folder(tmp_path, two)
    assert second.name == f"{first.name}-2"
    record(second, two)
    assert find_folder(tmp_path, job({"sam_rho": 0.1}, "other data")).name == f"{first.name}-3"
    assert find_folder(tmp_path, job({"sam_rho": 0.2, "new_setting": 1})) == second


def test_find_folder_counts_chosen_settings(tmp_path):
    plain, chosen = job({"a": 1}), job({"a": 1, "foo": 5}, chosen=("foo",))
    first = find_folder(tmp_path, plain)
    record(first, plain)
    second = find_folder(tmp_path, chosen)
    assert second != first
    record(second, chosen)
    assert find_folder(tmp_path, plain) == first and find_folder(tmp_path, chosen) == second
    assert find_folder(tmp_path, job({"a": 1, "foo": 6}, chosen=("foo",))).name == f"{first.name}-3"
    record(tmp_path / "removed" / first.name, chosen)  # the user took the setting back
    assert find_folder(tmp_path / "removed", plain).name == f"{first.name}-2"


@pytest.mark.parametrize("key", ["source_sha256", "attributes_sha256"])
def test_find_folder_of_another_source_or_attributes(tmp_path, key):
    old, new, said = job({"a": 1}, **{key: "old"}), job({"a": 1}, **{key: "new"}), []
    first = find_folder(tmp_path, old, note=said.append)
    record(first, old)
    assert find_folder(tmp_path, old, note=said.append) == first and not said
    second = find_folder(tmp_path, new, note=said.append)
    assert second.name == f"{first.name}-2"
    assert len(said) == 1 and said[0].endswith("changed since the run was trained; training it again")
    record(second, new)
    assert find_folder(tmp_path, new, note=said.append) == second and len(said) == 1
    record(tmp_path / "older" / first.name, old)
    made_for = {"settings": {"a": 1}, "sha256": "data"}  # as before there were such hashes
    (tmp_path / "older" / first.name / "job.json").write_text(json.dumps(made_for))
    assert find_folder(tmp_path / "older", new).name == first.name


def test_find_folder_without_data(tmp_path):
    """The record supplies what cannot be read from the data; interactions and settings have to be equal."""
    made_for = job({"a": 1, "item_attribute": "tags", "load_col": {"item": ["tags"]}}, attributes_sha256="items")
    folder = find_folder(tmp_path, made_for)
    record(folder, made_for)
    (tmp_path / "unreadable").mkdir()
    assert read_recorded_hash(tmp_path) == "data" and read_recorded_hash(tmp_path / "none") is None
    settings = {"a": 1, "item_attribute": None, "load_col": None}
    here, away = job(settings), job(settings, without_data=True)
    assert find_folder(tmp_path, away) == folder != find_folder(tmp_path, here)
    completed = complete_from_record(replace(away, folder=folder))
    assert (completed.settings, completed.attributes_sha256) == (made_for.settings, "items")
    assert complete_from_record(replace(away, folder=tmp_path / "new")).settings == settings
    wanted = {**settings, "item_attribute": "brand"}
    for other in (
        replace(away, settings={**settings, "a": 2}),
        replace(away, sha256="other"),
        replace(away, settings=wanted, chosen=("item_attribute",)),
    ):
        assert find_folder(tmp_path, other) != folder


def test_find_folder_reads_the_result_alone(tmp_path):
    """Repositories contain no other file of a run."""
    old, new = job({"a": 1}, source_sha256="old"), job({"a": 1}, source_sha256="new")
    folder = find_folder(tmp_path, old)
    folder.mkdir()
    result = {"config": {"a": 1}, "data": {"sha256": "data"}, "source_sha256": "old"}
    (folder / "result.json").write_text(json.dumps(result))
    assert find_folder(tmp_path, old) == folder != find_folder(tmp_path, new)


def test_find_folder_separates_names_with_one_slug(tmp_path):
    file = tmp_path / "rows.yaml"
    rows = {name: {"model": "SAMRec", "settings": {"sam_rho": rho}} for name, rho in (("a (1)", 0.1), ("a [1]", 0.7))}
    file.write_text(yaml.safe_dump({"rows": rows}))
    jobs = plan_jobs(read_entries(list(rows), [file]), {"ml-100k": "hash"}, [1], [1.0], tmp_path)
    assert [job.folder.name for job in jobs] == ["a-1-1", "a-1-1-2"]


def test_have_equal_results():
    equal = have_equal_results
    assert equal({"a": 1, "eval_memory": 5}, {"a": 1, "eval_memory": 6, "b": 2})
    assert not equal({"a": 1}, {"a": 2})
    assert not equal({"a": 1}, {"a": 1, "b": 2}, ["b"]) and equal({"a": 1}, {"a": 1, "eval_memory": 2}, ["eval_memory"])
    assert equal({"topk": [5]}, {"topk": [5]}) and not equal({"topk": [5]}, {"topk": [10]})


def test_slug():
    assert slug("SASRec (RecBole's rows)") == "SASRec-RecBoles-rows"
    assert slug("GRU4Rec+SAM") == "GRU4Rec+SAM" and slug("../up, ÿ") == "..-up-ÿ"


(RECORDS,) = (file.parents[1] for file in ROOT.glob("results/**/ml-100k/SAMRec-2020-2/result.json"))


def test_read_made_for_upgrades_earlier_records(tmp_path):
    """A record has the names of its time; settings that were added later do not count."""
    folder = tmp_path / "SAMRec-2020"
    folder.mkdir()
    shutil.copy(RECORDS / "SAMRec-2020-2" / "result.json", folder)
    then = json.loads((folder / "result.json").read_text(encoding="utf-8"))["config"]
    assert {"sam_row_radius", "sam_leave_out"} <= set(then)
    made_for = read_made_for(folder)
    assert set(made_for["settings"]) == set(then) - set(RENAMED) | set(RENAMED.values())
    now = {**made_for["settings"], "a_setting_of_tomorrow": 1}
    assert have_equal_results(made_for["settings"], now, ("sam_item_rho", "sam_exclude"))
    assert not have_equal_results(made_for["settings"], {**now, "sam_item_rho": "frequency"})
    (folder / JOB).write_text(json.dumps({"sha256": "x", "settings": then, "chosen": ["sam_row_radius"]}))
    assert read_made_for(folder)["chosen"] == ["sam_item_rho"]


@pytest.mark.parametrize("entry", ["SAMRec", "SASRec", "GRU4Rec+SAM", "S3Rec", "Pop"])
@pytest.mark.parametrize("with_job_file", [False, True])
def test_find_folder_knows_records_of_6de9c71(tmp_path, entry, with_job_file):
    """Records that revision 6de9c71 wrote count as finished for the command that made them."""
    folder = tmp_path / "ml-100k" / f"{entry}-2020"
    shutil.copytree(RECORDS / folder.name, folder)
    result = json.loads((folder / "result.json").read_text())
    sha256 = result["data"]["sha256"]
    if with_job_file:  # as that revision wrote it before a run
        stored = {"row": entry, **result["data"], "source_sha256": None, "chosen": []}
        (folder / "job.json").write_text(json.dumps({**stored, "settings": result["config"]}, indent=2))
    (found,) = plan_jobs(read_entries([entry]), {"ml-100k": sha256}, [2020], [1.0], tmp_path)
    assert found.folder == folder and found.finished
