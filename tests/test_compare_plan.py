"""Which runs a comparison consists of: what names stand for, what all rows share, which folder a run has."""

import json
from pathlib import Path

import pytest
import yaml
from command import main
from tiny import random_events, write_events

from recbole_samrec import plugin
from recbole_samrec.compare.plan import alike, as_yaml, folder_of, plan, settings_of_rows, settings_shown, slug
from recbole_samrec.compare.rows import of_dataset, read_rows
from recbole_samrec.errors import ConfigError

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


def test_wrong_rows_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="no model or row SASRek; did you mean SASRec"):
        read_rows(["SASRek"])
    with pytest.raises(ConfigError, match="names SASRec twice"):
        read_rows(["SASRec", "SASRec"])
    file = tmp_path / "rows.yaml"
    file.write_text("rows: {Mine: {hidden_size: 3}}")
    with pytest.raises(ConfigError, match="the row Mine needs a model"):
        read_rows(["Mine"], [file])


def test_every_row_and_family_in_the_file_is_there():
    table = plugin.read_yaml(plugin.PROPERTIES / "compare.yaml")
    read_rows(list(table["rows"]))
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
    with pytest.raises(ConfigError, match="--hiden_size: nothing reads a setting of this name"):
        settings_of(["SAMRec", "Pop"], hiden_size=3)
    with pytest.raises(ConfigError, match="seed belongs to each run of a comparison; use --seeds"):
        settings_of(["SAMRec"], seed=3)


def test_runs_with_other_settings_or_data_keep_their_folders(tmp_path):
    def record(folder, settings, sha256="data"):
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps({"settings": settings, "sha256": sha256}))

    first = folder_of(tmp_path, "SAMRec", 1, 1.0, {"sam_rho": 0.1}, "data")
    record(first, {"sam_rho": 0.1})
    assert folder_of(tmp_path, "SAMRec", 1, 1.0, {"sam_rho": 0.1}, "data") == first
    second = folder_of(tmp_path, "SAMRec", 1, 1.0, {"sam_rho": 0.2}, "data")
    assert second.name == f"{first.name}-2"
    record(second, {"sam_rho": 0.2})
    assert folder_of(tmp_path, "SAMRec", 1, 1.0, {"sam_rho": 0.1}, "other data").name == f"{first.name}-3"
    assert folder_of(tmp_path, "SAMRec", 1, 1.0, {"sam_rho": 0.2, "new_setting": 1}, "data") == second


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
        (["--threads=0"], "--threads=0: give a number of at least 1"),
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
