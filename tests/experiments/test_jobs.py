"""Jobs of a comparison: their order, their settings, and the changes after which they are trained again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from recbole_samrec.experiments import worker
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import choose_settings, plan_jobs
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main
from tests.helpers.jobs import settings_of
from tests.helpers.tiny import random_events, write_events


def record(folder, job):
    """Write the files that a run writes before it starts."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"row": job.entry, **job.made_for}))


def test_choose_settings_lets_the_user_and_fixed_ones_win(tmp_path):
    given = settings_of(["SAMRec", "SASRec (RecBole's rows)", "Pop"], training="packed", hidden_dropout_prob=0.4)
    assert given["SAMRec"]["training"] == "packed" and given["SASRec (RecBole's rows)"]["training"] == "prefix"
    assert given["SAMRec"]["hidden_dropout_prob"] == 0.4 and "hidden_dropout_prob" not in given["Pop"]


def test_plan_jobs_gives_a_model_only_what_it_reads():
    said = []
    rows = read_entries(["SAMRec", "CORE", "LightSANs", "FEARec", "BERT4Rec"])
    plan_jobs(rows, {"ml-100k": "hash"}, [1], [1.0], Path("out"), note=said.append)
    assert not said


def test_choose_settings_of_a_data_set():
    given = choose_settings(read_entries(["SAMRec", "GRU4Rec", "Pop"]), "Amazon_Beauty", {}, {})
    assert [of.get("hidden_dropout_prob") for of in given.values()] == [0.4, None, None]
    long = choose_settings(read_entries(["GRU4Rec"]), "ml-1m", {}, {})
    assert long["GRU4Rec"]["MAX_ITEM_LIST_LENGTH"] == 200


def test_choose_settings_of_a_data_set_by_model():
    """Otherwise a setting of one entry would make the finished runs of all others count as unfinished."""
    settings = choose_settings(read_entries(["SASRec", "SAMRec", "CL4SRec", "BSARec"]), "ml-1m", {}, {})
    assert [row for row, given in settings.items() if "cl_batch_users" in given] == ["CL4SRec"]
    assert all(given["MAX_ITEM_LIST_LENGTH"] == 200 for given in settings.values())


def test_plan_jobs_orders_by_seed():
    jobs = plan_jobs(read_entries(["SAMRec", "Pop"]), {"ml-100k": "hash"}, [5, 6], [0.5, 1.0], Path("out"))
    assert [(job.seed, job.entry, job.fraction) for job in jobs[:5]] == [
        (5, "SAMRec", 0.5),
        (5, "SAMRec", 1.0),
        (5, "Pop", 0.5),
        (5, "Pop", 1.0),
        (6, "SAMRec", 0.5),
    ]
    assert [job.settings["train_fraction"] for job in jobs[:2]] == [0.5, 1.0]
    assert [str(job.folder) for job in jobs[:2]] == ["out/ml-100k/SAMRec-0.5-5", "out/ml-100k/SAMRec-5"]


def test_plan_jobs_rejects_unknown_keys():
    with pytest.raises(ConfigError, match="unknown setting --hiden_size"):
        settings_of(["SAMRec", "Pop"], hiden_size=3)
    with pytest.raises(ConfigError, match="seed belongs to each run of a comparison; use --seeds"):
        settings_of(["SAMRec"], seed=3)


OWN = """from recbole.model.general_recommender.bpr import BPR


class Planned(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.foo = config["foo"]
"""


def planned(*names, out="out", **more):
    """The jobs of these entries on the data set in the working folder, and the warnings."""
    said = []
    jobs = plan_jobs(read_entries(names), {"tiny": "hash"}, [1], [1.0], Path(out), note=said.append, **more)
    return jobs, said


def test_plan_jobs_trains_an_edited_model_again(data):
    Path("mine.py").write_text(OWN)
    (mine, bpr), _ = planned("mine.py:Planned", "BPR")
    for one in (mine, bpr):
        record(one.folder, one)
    found, said = planned("mine.py:Planned", "BPR")
    assert [one.folder for one in found] == [mine.folder, bpr.folder] and not said
    Path("mine.py").write_text(OWN + "        self.changed = True\n")
    (again, same), said = planned("mine.py:Planned", "BPR")
    assert again.folder.name == "Planned-1-2" and same.folder == bpr.folder
    assert said == ["Planned on tiny: the source of the model changed since it was trained; it is trained again"]
    Path("other").mkdir()
    Path("other", "mine.py").write_text(OWN)
    assert planned("other/mine.py:Planned")[0][0].folder == mine.folder  # the same as before in another place


def test_plan_jobs_counts_the_file_of_a_base_class(data, monkeypatch):
    monkeypatch.syspath_prepend(".")
    Path("base_of_mine.py").write_text(OWN)
    Path("derived.py").write_text("from base_of_mine import Planned\n\n\nclass Derived(Planned):\n    pass\n")
    before = planned("derived.py:Derived")[0][0].source_sha256
    Path("base_of_mine.py").write_text(OWN + "        self.changed = True\n")
    assert planned("derived.py:Derived")[0][0].source_sha256 != before


def test_train_job_fails_if_the_source_changed(data):
    Path("mine.py").write_text(OWN)
    (mine,), _ = planned("mine.py:Planned")
    Path("mine.py").write_text(OWN + "        self.changed = True\n")
    read_entries(["mine.py:Planned"])  # as the process of a run does that starts later
    assert "mine.py has changed since the comparison was started" in worker.train_job(mine, print)["failed"]


def test_plan_jobs_passes_keys_of_files(data):
    Path("mine.py").write_text(OWN)
    files = {"foo": 5, "hidden_size": 8}
    jobs, said = planned("mine.py:Planned", "BPR", "SAMRec", files=files)
    given = {one.entry: {key: one.settings[key] for key in files if key in one.settings} for one in jobs}
    assert given == {"Planned": files, "BPR": {}, "SAMRec": {"hidden_size": 8}}
    assert not said
    (plain, bpr), _ = planned("mine.py:Planned", "BPR")
    for one in (plain, bpr):
        record(one.folder, one)
    (chosen, same), _ = planned("mine.py:Planned", "BPR", files={"foo": 5})
    assert chosen.folder != plain.folder and same.folder == bpr.folder


def test_plan_jobs_ignores_settings_at_their_default(data):
    (one,), _ = planned("SAMRec")
    older = {key: value for key, value in one.settings.items() if key != "sam_item_rho"}
    record(one.folder, replace(one, settings=older))
    assert planned("SAMRec", files={"sam_item_rho": "uniform"})[0][0].folder == one.folder
    assert planned("SAMRec", files={"sam_item_rho": "frequency"})[0][0].folder != one.folder


def test_plan_jobs_warns_of_slips_in_files_once(data):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    Path("s.yaml").write_text("hidden_size: 8\nhiden_size: 8\n")
    said = main("compare", "--models=SAMRec,BPR", "--datasets=tiny,tiny2", "--config_files=s.yaml", "--tables")
    assert said.status == 0 and said.out.count("unknown setting hiden_size in the files") == 1
    assert "hiden_size in the files; did you mean hidden_size" in said.out


def with_attributes(name, of="c"):
    """Give the items of a data set an attribute."""
    lines = ["item_id:token\tclass:token_seq", *(f"i{i}\t{of}{i % 3}" for i in range(25))]
    Path("dataset", name, f"{name}.item").write_text("\n".join(lines) + "\n")


def test_plan_jobs_leaves_the_choice_of_gpus_to_ray(data, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    notes = []
    entries, hashes = read_entries(["Pop"]), {"tiny": "hash"}
    for ids, said in ((0, []), ("0", []), ("2", ["gpu_id=2 in the files has no effect: Ray gives each run its GPU; "])):
        plan_jobs(entries, hashes, [1], [1.0], Path("out"), files={"gpu_id": ids}, note=notes.append)
        assert [note[: len(said[0])] for note in notes] == said
    plan_jobs(entries, hashes, [1], [1.0], Path("out"), given={"gpu_id": "-1"})  # the CPU
    with pytest.raises(
        ConfigError, match=r"^--gpu_id=0,1: Ray gives each run its GPU; set CUDA_VISIBLE_DEVICES=0,1 to"
    ):
        plan_jobs(entries, hashes, [1], [1.0], Path("out"), given={"gpu_id": "0,1"})
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_plan_jobs_counts_attributes_of_items(data):
    with_attributes("tiny")
    before, _ = planned("S3Rec", "SAMRec")
    for one in before:
        record(one.folder, one)
    assert [one.folder for one in planned("S3Rec", "SAMRec")[0]] == [one.folder for one in before]
    with_attributes("tiny", "d")
    (s3rec, samrec), said = planned("S3Rec", "SAMRec")
    assert s3rec.folder.name == "S3Rec-1-2" and samrec.folder == before[1].folder
    assert len(said) == 1 and "S3Rec on tiny: the attributes in the data set's other files changed" in said[0]


def test_choose_settings_lets_validation_win_over_the_user():
    entries = read_entries(["SAMRec", "SASRec"])
    chosen = {"SAMRec": {"sam_rho": 0.1, "epochs": 8}, "SASRec": {"sam_rho": 0.2}}
    settings = choose_settings(entries, "ml-100k", {}, {"epochs": 4}, (), {"SAMRec": {"sam_rho": 1}}, chosen)
    assert (settings["SAMRec"]["sam_rho"], settings["SAMRec"]["epochs"]) == (0.1, 8)
    assert (settings["SASRec"]["sam_rho"], settings["SASRec"]["epochs"]) == (0, 4)  # fixed


def test_plan_jobs__without_a_test_names_no_targets():
    def plan(target):
        split = {"GTS": {"quantile": 0.8, "target": target, "retrain": True}}
        given = {"eval_args": {"split": split, "order": "TO", "group_by": "user", "mode": "full"}}
        return plan_jobs(
            read_entries(["SAMRec"]), {"ml-100k": "hash"}, [5], [1.0], Path("out"), given=given, tested=False
        )

    (one,), (other,) = plan("last"), plan("successive")
    assert one.settings == other.settings and not one.tested
    assert one.settings["eval_args"]["split"]["GTS"]["retrain"] is False
