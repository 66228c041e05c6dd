"""Which runs a comparison consists of: what names stand for, what all rows share, which folder a run has."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from recbole_samrec.cli import compare
from recbole_samrec.config.schema import RENAMED
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.entries import of_dataset, read_rows
from recbole_samrec.experiments.jobs import (
    JOB,
    Job,
    alike,
    as_yaml,
    folder_of,
    plan,
    recorded,
    settings_of_rows,
    settings_shown,
    slug,
)
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES
from tests.helpers.command import main
from tests.helpers.paths import ROOT
from tests.helpers.tiny import random_events, write_events

FAMILY = (
    "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob learning_rate train_batch_size"
).split()


@pytest.fixture
def data(own_folder):
    """A data set in the working folder."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    return own_folder


def settings_of(names, data="ml-100k", out="out", seeds=(1,), fractions=(1.0,), **given):
    """The settings of each row's first run."""
    jobs = plan(read_rows(names), {data: "hash"}, seeds, fractions, Path(out), given=given)
    return {job.row: job.settings for job in reversed(jobs)}


def test_samrec_differs_from_sasrec_in_sam_alone():
    rows = settings_of(["SAMRec", "SASRec"])
    different = {key for key in rows["SAMRec"] if rows["SAMRec"][key] != rows["SASRec"].get(key)}
    assert different == {"sam_rho"}
    assert rows["SASRec"]["sam_rho"] == 0 < rows["SAMRec"]["sam_rho"]


def test_a_family_shares_body_dropout_rate_and_batch():
    names = ["SAMRec", "SASRec", "S3Rec", "S3Rec (RecBole)", "CL4SRec", "DuoRec", "gSASRec", "BSARec", "BERT4Rec"]
    rows = settings_of([*names, "SASRec (RecBole's rows)", "LightSANs"])
    for key in FAMILY:
        assert {row[key] for row in rows.values()} == {rows["SAMRec"][key]}, key


def test_every_row_has_the_same_protocol():
    rows = settings_of(["SAMRec", "Pop", "BPR", "FPMC", "GRU4Rec", "Caser"])
    for key in ("eval_args", "repeatable", "topk", "valid_metric", "metrics", "epochs", "stopping_step"):
        assert len({json.dumps(row[key]) for row in rows.values()}) == 1, key
    assert all("timestamp" in row["load_col"]["inter"] for row in rows.values())


def test_sam_is_a_column():
    rows = settings_of(["GRU4Rec", "GRU4Rec+SAM", "SASRec+SAM", "BSARec+SAM"])
    assert rows["GRU4Rec"]["sam_rho"] == 0
    assert rows["GRU4Rec+SAM"]["sam_rho"] == rows["SASRec+SAM"]["sam_rho"] == 0.3
    assert rows["GRU4Rec+SAM"]["training"] == rows["GRU4Rec"]["training"] == "packed"
    assert rows["BSARec+SAM"]["training"] == "prefix"
    given = settings_of(["GRU4Rec", "GRU4Rec+SAM", "SAMRec"], sam_rho=0.1)
    assert [given[name]["sam_rho"] for name in ("GRU4Rec", "GRU4Rec+SAM", "SAMRec")] == [0, 0.1, 0.1]


def test_settings_of_the_user_win_but_not_over_what_a_name_says(tmp_path):
    given = settings_of(["SAMRec", "SASRec (RecBole's rows)", "Pop"], training="packed", hidden_dropout_prob=0.4)
    assert given["SAMRec"]["training"] == "packed" and given["SASRec (RecBole's rows)"]["training"] == "prefix"
    assert given["SAMRec"]["hidden_dropout_prob"] == 0.4 and "hidden_dropout_prob" not in given["Pop"]


def test_a_row_is_given_only_what_its_model_reads():
    said = []
    rows = read_rows(["SAMRec", "CORE", "LightSANs", "FEARec", "BERT4Rec"])
    plan(rows, {"ml-100k": "hash"}, [1], [1.0], Path("out"), note=said.append)
    assert not said


def test_what_belongs_to_a_data_set_goes_to_the_rows_that_read_it():
    given = settings_of_rows(read_rows(["SAMRec", "GRU4Rec", "Pop"]), "Amazon_Beauty", {}, {})
    assert [of.get("hidden_dropout_prob") for of in given.values()] == [0.4, None, None]
    long = settings_of_rows(read_rows(["GRU4Rec"]), "ml-1m", {}, {})
    assert long["GRU4Rec"]["MAX_ITEM_LIST_LENGTH"] == 200


def test_rows_of_the_users_own(tmp_path):
    file = tmp_path / "rows.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "rows": {"SAMRec, wide": {"model": "SAMRec", "settings": {"hidden_size": 128}}},
                "datasets": {"mine": {"MAX_ITEM_LIST_LENGTH": 7}},
            }
        )
    )
    (row,) = read_rows(["SAMRec, wide"], [file])
    assert row.model == "SAMRec" and row.settings()["hidden_size"] == 128
    assert of_dataset("mine", [file]) == {"MAX_ITEM_LIST_LENGTH": 7} and of_dataset("mine") == {}


def test_rows_with_sam_are_variants_of_those_without():
    names = ["SAMRec", "GRU4Rec+SAM", "S3Rec (RecBole)", "S3Rec (RecBole)+SAM", "SASRec", "GRU4Rec"]
    varied = ["SASRec", "GRU4Rec", "S3Rec", "S3Rec (RecBole)", "", ""]
    assert [row.variant_of for row in read_rows(names)] == varied


def test_wrong_rows_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="no model or row SASRek; did you mean SASRec"):
        read_rows(["SASRek"])
    with pytest.raises(ConfigError, match="names SASRec twice"):
        read_rows(["SASRec", "SASRec"])
    file = tmp_path / "rows.yaml"
    file.write_text("rows: {Mine: {hidden_size: 3}}")
    with pytest.raises(ConfigError, match="the row Mine needs a model"):
        read_rows(["Mine"], [file])
    for of, words in [("SASRek", "SASRek; did you mean SASRec"), ("[a, b]", ".*a.*b"), ("Mine", "Mine")]:
        file.write_text(f"rows: {{Mine: {{model: SASRec, variant_of: {of}}}}}")
        with pytest.raises(ConfigError, match=f"variant_of of Mine: there is no other row {words}"):
            read_rows(["Mine"], [file])


def test_every_row_and_family_in_the_file_is_there():
    table = read_yaml(PROPERTIES / "compare.yaml")
    rows = {row.name: row for row in read_rows(list(table["rows"]))}
    for row in filter(lambda one: one.variant_of, rows.values()):
        (of,) = read_rows([row.variant_of])
        assert row.variant_of != row.name and (of.model == row.model or {of.model, row.model} == {"SAMRec", "SASRec"})
    for family in table["families"].values():
        read_rows(family["models"])


def test_the_first_seed_of_all_rows_comes_first():
    jobs = plan(read_rows(["SAMRec", "Pop"]), {"ml-100k": "hash"}, [5, 6], [0.5, 1.0], Path("out"))
    assert [(job.seed, job.row, job.fraction) for job in jobs[:5]] == [
        (5, "SAMRec", 0.5),
        (5, "SAMRec", 1.0),
        (5, "Pop", 0.5),
        (5, "Pop", 1.0),
        (6, "SAMRec", 0.5),
    ]
    assert [job.settings["train_fraction"] for job in jobs[:2]] == [0.5, 1.0]
    assert [str(job.folder) for job in jobs[:2]] == ["out/ml-100k/SAMRec-0.5-5", "out/ml-100k/SAMRec-5"]


def test_keys_that_no_row_reads_are_errors():
    with pytest.raises(ConfigError, match="unknown setting --hiden_size"):
        settings_of(["SAMRec", "Pop"], hiden_size=3)
    with pytest.raises(ConfigError, match="seed belongs to each run of a comparison; use --seeds"):
        settings_of(["SAMRec"], seed=3)


def job(settings, sha256="data", **more):
    """A run that asks for its folder."""
    return Job("SAMRec", "set", 1, 1.0, settings, sha256, Path(), **more)


def record(folder, job):
    """Leave what a run writes before it starts."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"row": job.row, **job.made_for}))


def test_runs_with_other_settings_or_data_keep_their_folders(tmp_path):
    one, two = job({"sam_rho": 0.1}), job({"sam_rho": 0.2})
    first = folder_of(tmp_path, one)
    record(first, one)
    assert folder_of(tmp_path, one) == first
    second = folder_of(tmp_path, two)
    assert second.name == f"{first.name}-2"
    record(second, two)
    assert folder_of(tmp_path, job({"sam_rho": 0.1}, "other data")).name == f"{first.name}-3"
    assert folder_of(tmp_path, job({"sam_rho": 0.2, "new_setting": 1})) == second


def test_a_setting_that_was_chosen_counts_also_where_the_other_run_has_none(tmp_path):
    plain, chosen = job({"a": 1}), job({"a": 1, "foo": 5}, chosen=("foo",))
    first = folder_of(tmp_path, plain)
    record(first, plain)
    second = folder_of(tmp_path, chosen)
    assert second != first
    record(second, chosen)
    assert folder_of(tmp_path, plain) == first and folder_of(tmp_path, chosen) == second
    assert folder_of(tmp_path, job({"a": 1, "foo": 6}, chosen=("foo",))).name == f"{first.name}-3"
    record(tmp_path / "removed" / first.name, chosen)  # the user took the setting back
    assert folder_of(tmp_path / "removed", plain).name == f"{first.name}-2"


@pytest.mark.parametrize("key", ["source_sha256", "attributes_sha256"])
def test_runs_of_another_source_or_other_attributes_keep_their_folders(tmp_path, key):
    old, new, said = job({"a": 1}, **{key: "old"}), job({"a": 1}, **{key: "new"}), []
    first = folder_of(tmp_path, old, note=said.append)
    record(first, old)
    assert folder_of(tmp_path, old, note=said.append) == first and not said
    second = folder_of(tmp_path, new, note=said.append)
    assert second.name == f"{first.name}-2"
    assert len(said) == 1 and said[0].endswith("changed since it was trained; it has to be trained again")
    record(second, new)
    assert folder_of(tmp_path, new, note=said.append) == second and len(said) == 1
    record(tmp_path / "older" / first.name, old)
    made_for = {"settings": {"a": 1}, "sha256": "data"}  # as before there were such hashes
    (tmp_path / "older" / first.name / "job.json").write_text(json.dumps(made_for))
    assert folder_of(tmp_path / "older", new).name == first.name


def test_a_finished_run_is_known_by_its_result_alone(tmp_path):
    """Repositories keep no more of it."""
    old, new = job({"a": 1}, source_sha256="old"), job({"a": 1}, source_sha256="new")
    folder = folder_of(tmp_path, old)
    folder.mkdir()
    result = {"config": {"a": 1}, "data": {"sha256": "data"}, "source_sha256": "old"}
    (folder / "result.json").write_text(json.dumps(result))
    assert folder_of(tmp_path, old) == folder != folder_of(tmp_path, new)


OWN = """from recbole.model.general_recommender.bpr import BPR


class Planned(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.foo = config["foo"]
"""


def planned(*names, out="out", **more):
    """The jobs of these rows on the data set in the working folder, and what was said."""
    said = []
    jobs = plan(read_rows(names), {"tiny": "hash"}, [1], [1.0], Path(out), note=said.append, **more)
    return jobs, said


def test_a_model_whose_file_was_edited_is_trained_again(data):
    Path("mine.py").write_text(OWN)
    (mine, bpr), _ = planned("mine.py:Planned", "BPR")
    for one in (mine, bpr):
        record(one.folder, one)
    found, said = planned("mine.py:Planned", "BPR")
    assert [one.folder for one in found] == [mine.folder, bpr.folder] and not said
    Path("mine.py").write_text(OWN + "        self.changed = True\n")
    (again, same), said = planned("mine.py:Planned", "BPR")
    assert again.folder.name == "Planned-1-2" and same.folder == bpr.folder
    assert said == ["Planned on tiny: the source of the model changed since it was trained; it has to be trained again"]
    Path("other").mkdir()
    Path("other", "mine.py").write_text(OWN)
    assert planned("other/mine.py:Planned")[0][0].folder == mine.folder  # the same as before in another place


def test_a_model_counts_with_the_file_of_its_base(data, monkeypatch):
    monkeypatch.syspath_prepend(".")
    Path("base_of_mine.py").write_text(OWN)
    Path("derived.py").write_text("from base_of_mine import Planned\n\n\nclass Derived(Planned):\n    pass\n")
    before = planned("derived.py:Derived")[0][0].source_sha256
    Path("base_of_mine.py").write_text(OWN + "        self.changed = True\n")
    assert planned("derived.py:Derived")[0][0].source_sha256 != before


def test_a_source_that_changes_while_runs_wait_fails_them(data):
    Path("mine.py").write_text(OWN)
    (mine,), _ = planned("mine.py:Planned")
    Path("mine.py").write_text(OWN + "        self.changed = True\n")
    read_rows(["mine.py:Planned"])  # as the process of a run does that starts later
    assert "mine.py has changed since the comparison was started" in worker.carry_out(mine, 1, print)["failed"]


def test_keys_of_files_go_to_the_rows_that_know_them_and_to_the_users_own_models(data):
    Path("mine.py").write_text(OWN)
    files = {"foo": 5, "hidden_size": 8}
    jobs, said = planned("mine.py:Planned", "BPR", "SAMRec", files=files)
    given = {one.row: {key: one.settings[key] for key in files if key in one.settings} for one in jobs}
    assert given == {"Planned": files, "BPR": {}, "SAMRec": {"hidden_size": 8}}
    assert not said
    (plain, bpr), _ = planned("mine.py:Planned", "BPR")
    for one in (plain, bpr):
        record(one.folder, one)
    (chosen, same), _ = planned("mine.py:Planned", "BPR", files={"foo": 5})
    assert chosen.folder != plain.folder and same.folder == bpr.folder


def test_a_setting_of_a_file_at_its_default_makes_no_new_run(data):
    (one,), _ = planned("SAMRec")
    older = {key: value for key, value in one.settings.items() if key != "sam_item_rho"}
    record(one.folder, replace(one, settings=older))
    assert planned("SAMRec", files={"sam_item_rho": "uniform"})[0][0].folder == one.folder
    assert planned("SAMRec", files={"sam_item_rho": "frequency"})[0][0].folder != one.folder


def test_alike_reads_records_of_earlier_revisions(tmp_path):
    """A record has the names of its time; a setting that was added since has no say."""
    (file,) = ROOT.glob("results/**/ml-100k/SAMRec-2020-2/result.json")
    folder = tmp_path / "SAMRec-2020"
    folder.mkdir()
    shutil.copy(file, folder)
    then = json.loads(file.read_text(encoding="utf-8"))["config"]
    assert {"sam_row_radius", "sam_leave_out"} <= set(then)
    made_for = recorded(folder)
    assert set(made_for["settings"]) == set(then) - set(RENAMED) | set(RENAMED.values())
    now = {**made_for["settings"], "a_setting_of_tomorrow": 1}
    assert alike(made_for["settings"], now, ("sam_item_rho", "sam_exclude"))
    assert not alike(made_for["settings"], {**now, "sam_item_rho": "frequency"})
    (folder / JOB).write_text(json.dumps({"sha256": "x", "settings": then, "chosen": ["sam_row_radius"]}))
    assert recorded(folder)["chosen"] == ["sam_item_rho"]


def test_slips_in_files_are_said_once(data):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    Path("s.yaml").write_text("hidden_size: 8\nhiden_size: 8\n")
    said = main("compare", "--models=SAMRec,BPR", "--datasets=tiny,tiny2", "--config_files=s.yaml", "--tables")
    assert said.status == 0 and said.out.count("unknown setting hiden_size in the files") == 1
    assert "hiden_size in the files; did you mean hidden_size" in said.out


def with_attributes(name, of="c"):
    """Give the items of a data set an attribute."""
    lines = ["item_id:token\tclass:token_seq", *(f"i{i}\t{of}{i % 3}" for i in range(25))]
    Path("dataset", name, f"{name}.item").write_text("\n".join(lines) + "\n")


def test_other_attributes_of_the_items_make_another_run_of_what_reads_them(data):
    with_attributes("tiny")
    before, _ = planned("S3Rec", "SAMRec")
    for one in before:
        record(one.folder, one)
    assert [one.folder for one in planned("S3Rec", "SAMRec")[0]] == [one.folder for one in before]
    with_attributes("tiny", "d")
    (s3rec, samrec), said = planned("S3Rec", "SAMRec")
    assert s3rec.folder.name == "S3Rec-1-2" and samrec.folder == before[1].folder
    assert len(said) == 1 and "S3Rec on tiny: the attributes in the data set's other files changed" in said[0]


@pytest.mark.parametrize("models", ["S3Rec,SAMRec", "SAMRec,S3Rec"])
def test_a_row_that_a_data_set_does_not_suit_is_left_out_there(data, monkeypatch, models):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    with_attributes("tiny")
    todo = []
    monkeypatch.setattr(compare, "train_all", lambda jobs, *more, **options: todo.extend(jobs))
    said = main("compare", f"--models={models}", "--datasets=tiny,tiny2", "--seeds=1,")
    assert said.status == 3
    rows = [(one.dataset, one.row) for one in todo]
    assert sorted(rows) == [("tiny", "S3Rec"), ("tiny", "SAMRec"), ("tiny2", "SAMRec")]
    reason = "left out: S3Rec on tiny2: dataset/tiny2/tiny2.item is missing"
    assert said.out.count(reason) == 1 and "tiny2.item is missing" in Path("runs/compare/tiny2.md").read_text()


def test_a_data_set_that_suits_no_row_stops_no_other(data, monkeypatch):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    with_attributes("tiny")
    todo = []
    monkeypatch.setattr(compare, "train_all", lambda jobs, *more, **options: todo.extend(jobs))
    assert main("compare", "--models=S3Rec", "--datasets=tiny2,tiny", "--seeds=1,").status == 3
    assert [(one.dataset, one.row) for one in todo] == [("tiny", "S3Rec")]
    said = main("compare", "--models=S3Rec", "--datasets=tiny2", "--seeds=1,")
    assert said.status == 2 and "tiny2.item is missing" in said.err and "left out" not in said.out


def test_two_names_that_make_one_folder_keep_apart(tmp_path):
    file = tmp_path / "rows.yaml"
    rows = {name: {"model": "SAMRec", "settings": {"sam_rho": rho}} for name, rho in (("a (1)", 0.1), ("a [1]", 0.7))}
    file.write_text(yaml.safe_dump({"rows": rows}))
    jobs = plan(read_rows(list(rows), [file]), {"ml-100k": "hash"}, [1], [1.0], tmp_path)
    assert [job.folder.name for job in jobs] == ["a-1-1", "a-1-1-2"]


def test_what_a_page_says_of_the_settings():
    jobs = plan(read_rows(["SAMRec", "SASRec", "CL4SRec", "Pop"]), {"ml-100k": "hash"}, [1, 2], [1.0], Path("out"))
    said = yaml.safe_load(as_yaml(settings_shown(jobs)))
    assert said["SAMRec"]["sam_rho"] == 0.3 and said["SASRec"]["sam_rho"] == said["Pop"]["sam_rho"] == 0
    assert said["CL4SRec"]["cl_weight"] == 0.1
    shared = said["all rows that know them"]
    assert shared["hidden_size"] == 64 and shared["repeatable"] is True and "seed" not in shared


def test_what_makes_two_runs_alike():
    assert alike({"a": 1, "eval_memory": 5}, {"a": 1, "eval_memory": 6, "b": 2})
    assert not alike({"a": 1}, {"a": 2})
    assert not alike({"a": 1}, {"a": 1, "b": 2}, ["b"]) and alike({"a": 1}, {"a": 1, "eval_memory": 2}, ["eval_memory"])
    assert alike({"topk": [5]}, {"topk": [5]}) and not alike({"topk": [5]}, {"topk": [10]})


def test_names_become_folders():
    assert slug("SASRec (RecBole's rows)") == "SASRec-RecBoles-rows"
    assert slug("GRU4Rec+SAM") == "GRU4Rec+SAM" and slug("../up, ÿ") == "..-up-ÿ"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models=SASRek"], "no model or row SASRek"),
        (["--models=,"], "--models: name at least one"),
        (["--seeds=0"], "--seeds=0: give how many"),
        (["--seeds=1,1"], "a seed is named twice"),
        (["--seeds=many"], "--seeds=many: give how many"),
        (["--seeds=2020"], "--seeds=2020: give how many"),
        (["--eval_args={'mode':'uni100','split':{'LS':'valid_and_test'},'order':'TO'}"], "ranks all items, not uni100"),
        (["--models=XGBoost"], "--models: XGBoost: it needs the package"),
        (["--models=missing.py:Mine"], "missing.py cannot be imported"),
        (["--train_fraction=0,1"], "above 0 and at most 1"),
        (["--train_fraction=half"], "--train_fraction=half: give numbers"),
        (["--threads=0"], "--threads=0: must be a whole number of at least 1"),
        (["--gpus=1.5"], "--gpus=1.5: give a part of a GPU"),
        (["--datasets=nowhere"], "nowhere"),
        (["--sam_rho=-1"], "sam_rho=-1"),
        (["--learning_rate=fast"], "learning_rate=fast"),
        (["--rows=missing.yaml"], "missing.yaml"),
    ],
)
def test_wrong_arguments_end_before_anything_starts(data, arguments, words):
    said = main("compare", *arguments)
    assert said.status == 2 and words in " ".join(said.err.split()) and said.err.count("error:") == 1
    assert not Path("runs").exists()


def test_settings_of_a_data_set_go_to_the_models_that_read_them_alone():
    """Else a setting of one row would make the finished runs of all others count as not trained."""
    settings = settings_of_rows(read_rows(["SASRec", "SAMRec", "CL4SRec", "BSARec"]), "ml-1m", {}, {})
    assert [row for row, given in settings.items() if "cl_batch_users" in given] == ["CL4SRec"]
    assert all(given["MAX_ITEM_LIST_LENGTH"] == 200 for given in settings.values())
