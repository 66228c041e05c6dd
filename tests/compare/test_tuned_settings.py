"""Tables of tuned rows: which settings a row takes from which search, what the table says of it, what is an error."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recbole_samrec.cli import compare
from recbole_samrec.compare import captions, tuned_settings, write
from recbole_samrec.compare.provenance import Budget, Tuning
from recbole_samrec.compare.tuned_settings import describe_tuning, searches_under, tuned_rows
from recbole_samrec.compare.write import write_tables
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.jobs import plan, settings_shown
from recbole_samrec.experiments.results import Run
from recbole_samrec.tune import results
from recbole_samrec.tune import search_spec as tune_plan
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main, succeed
from tests.helpers.tiny import random_events, write_events

BEST = {"learning_rate": 0.002, "hidden_dropout_prob": 0.4, "attn_dropout_prob": 0.4}
SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 6, "train_batch_size": 256, "epochs": 2}
BUDGET = Budget(30, "random", "asha", 10, 300, (2020,), "NDCG@10")


def search(folder, row="SAMRec", dataset="ml-100k", best=BEST, complete=True, settings=None, model="SAMRec", **record):
    """Write the folder of a search for the learning rate and for dropout, which attention's follows."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    strategy = {"search": "random", "scheduler": "asha", "trials": 30, "grace": 10, "seed": 7}
    fields = {
        "row": row,
        "dataset": dataset,
        "sha256": "hash",
        "trials": 30,
        "epochs": 300,
        "seeds": [2020],
        "metric": "NDCG@10",
        "strategy": strategy | record.pop("strategy", {}),
        "space": {
            "parameters": [{"name": "learning_rate"}, {"name": "hidden_dropout_prob"}],
            "follow": {"attn_dropout_prob": "hidden_dropout_prob"},
        },
    }
    if complete:
        fields |= {"complete": True, "found": {"best": best and {"trial": 12, "settings": best}}}
        if best:
            stored = {"n_layers": 2, "model": model, "dataset": dataset, **(settings or {}), **best}
            (folder / "best.yaml").write_text(f"# A comment.\n{yaml.safe_dump(stored)}")
    (folder / "search.json").write_text(json.dumps(fields | record))
    return folder


def rows_of(names, folder=".", dataset="ml-100k", **wishes):
    return tuned_rows(searches_under([Path(folder)]), read_rows(names), dataset, wishes, str(folder))


def planned(names, tuned_of=None, **options):
    """The settings of each row's run on ml-100k."""
    found = {row: one.settings for row, one in (tuned_of or {}).items()}
    jobs = plan(read_rows(names), {"ml-100k": "hash"}, [1], [1.0], Path("out"), tuned={"ml-100k": found}, **options)
    return {job.row: job for job in jobs}


def test_the_files_are_those_that_a_search_writes():
    assert (tuned_settings.SEARCH, tuned_settings.BEST) == (tune_plan.PLAN, results.BEST)


def test_the_best_settings_reach_the_runs_of_their_row_alone():
    search("found/any/where", settings={"stopping_step": 7, "train_fraction": 0.3, "seed": 5})
    jobs = planned(["SAMRec", "SASRec"], rows_of(["SAMRec", "SASRec"], "found"))
    best, default = jobs["SAMRec"].settings, jobs["SASRec"].settings
    assert {key: best[key] for key in BEST} == BEST
    assert best["stopping_step"] == 7  # above what belongs to the data set, which is 20
    assert (best["seed"], best["train_fraction"]) == (1, 1.0)  # of the comparison's runs, not of the search's
    assert (default["learning_rate"], default["hidden_dropout_prob"], default["stopping_step"]) == (0.001, 0.2, 20)


def test_what_the_user_gives_wins_and_what_a_name_says_wins_over_all():
    search("found", row="SASRec", settings={"sam_rho": 0.7})
    wishes = {"learning_rate": 0.01}
    rows = rows_of(["SASRec"], "found", hidden_dropout_prob=0.1, **wishes)
    job = planned(["SASRec"], rows, files={"hidden_dropout_prob": 0.1}, given=wishes)["SASRec"]
    values = [job.settings[key] for key in ("learning_rate", "hidden_dropout_prob", "attn_dropout_prob", "sam_rho")]
    assert values == [0.01, 0.1, 0.4, 0]
    assert rows["SASRec"].remarks == (
        "learning_rate is 0.01 as given, where its search found 0.002",
        "hidden_dropout_prob is 0.1 as given, where its search found 0.4",
    )
    assert not rows_of(["SASRec"], "found", n_layers=3, learning_rate=0.002)["SASRec"].remarks


def test_the_page_shows_the_tuned_settings():
    search("found")
    shown = settings_shown(list(planned(["SAMRec", "SASRec"], rows_of(["SAMRec", "SASRec"], "found")).values()))
    assert {key: shown["SAMRec"][key] for key in BEST} == BEST
    assert shown["SASRec"]["hidden_dropout_prob"] == 0.2


def test_tuned_runs_have_folders_of_their_own():
    search("found")
    rows = rows_of(["SAMRec"], "found")
    before = planned(["SAMRec"])["SAMRec"]
    before.folder.mkdir(parents=True)
    (before.folder / "job.json").write_text(json.dumps({"settings": before.settings, "sha256": "hash"}, default=str))
    after = planned(["SAMRec"], rows)["SAMRec"]
    assert (before.folder.name, after.folder.name) == ("SAMRec-1", "SAMRec-1-2")
    after.folder.mkdir()
    (after.folder / "job.json").write_text(json.dumps({"settings": after.settings, "sha256": "hash"}, default=str))
    assert planned(["SAMRec"], rows)["SAMRec"].folder == after.folder
    assert planned(["SAMRec"])["SAMRec"].folder == before.folder


def test_searches_lie_in_several_folders_of_which_one_may_be_in_another():
    one, other = search("a/SAMRec"), search("b/c/SASRec", row="SASRec")
    found = searches_under([Path("a"), Path("b/c/SASRec"), Path("b")])
    assert [each.folder for each in found] == [one, other]
    assert found[0].trial == 12 and found[0].budget == BUDGET
    assert found[0].searched == ("learning_rate", "hidden_dropout_prob", "attn_dropout_prob")


def test_searches_of_other_rows_and_data_are_left_alone():
    search("a")
    search("b", dataset="ml-1m")
    search("c", row="GRU4Rec", complete=False)
    assert rows_of(["SAMRec"])["SAMRec"].search.folder == Path("a")
    assert rows_of(["SAMRec"], dataset="ml-1m")["SAMRec"].search.folder == Path("b")


def test_two_searches_of_a_row_are_an_error_unless_one_is_not_finished():
    search("one")
    search("two", complete=False)
    assert rows_of(["SAMRec"])["SAMRec"].search.folder == Path("one")
    search("three")
    with pytest.raises(ConfigError, match=r"SAMRec on ml-100k has two searches, in one and in three; name the one"):
        rows_of(["SAMRec"])
    assert rows_of(["SAMRec"], "three")["SAMRec"].search.folder == Path("three")


def test_rows_without_a_finished_search_keep_their_defaults_and_say_why():
    search("a")
    search("b c", row="SASRec", complete=False)
    search("d", row="GRU4Rec", best=None)
    rows = rows_of(["SAMRec", "SASRec", "GRU4Rec", "Pop"])
    assert [row for row, one in rows.items() if one.settings] == ["SAMRec"]
    assert list(map(str, describe_tuning(rows, "hash"))) == [
        "SAMRec: trial 12 of the search in a",
        "SASRec: not tuned; the search in b c is not finished; go on with python -m recbole_samrec tune --resume='b c'",
        "GRU4Rec: not tuned; no trial of the search in d came to a score; its trials.csv says why",
        "Pop: not tuned",
    ]


def test_a_search_on_other_data_is_told():
    search("a")
    (one,) = describe_tuning(rows_of(["SAMRec"]), "another hash")
    assert one == Tuning("SAMRec", BUDGET, 12, "a", ("its search was on other data of this name",))


def test_no_search_for_any_row_is_an_error_with_the_command_that_makes_one():
    search("a", dataset="ml-1m")
    with pytest.raises(ConfigError, match=r"--tuned=a: no row has a finished search on ml-100k; make one: python -m"):
        rows_of(["S3Rec (RecBole)"], "a")
    with pytest.raises(ConfigError, match=r"tune --model='S3Rec \(RecBole\)' --dataset=ml-100k$"):
        rows_of(["S3Rec (RecBole)"], "nowhere")
    search("b", complete=False)
    with pytest.raises(ConfigError, match=r"finished search on ml-100k; SAMRec: .* go on with .* --resume=b$"):
        rows_of(["SAMRec"], "b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"row": "SAMRec", "space": {}}', "\xff{"])
def test_a_damaged_record_is_an_error(text):
    file = search("a") / "search.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^a/search.json: this is no record of a search \(") as error:
        rows_of(["SAMRec"])
    assert "\n" not in str(error.value)


def test_a_record_that_lacks_what_came_out_is_damaged():
    search("a", found=None)
    with pytest.raises(ConfigError, match=r"^a/search.json: this is no record of a search"):
        rows_of(["SAMRec"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "it is missing, and the search is finished"),
        ("model: SAMRec\ndataset: ml-100k\nlearning_rate: 0.1\n", "it says nothing of hidden_dropout_prob, attn"),
        ("", "it says nothing of learning_rate"),
        ("- one\n", "it holds no settings"),
        ("a: [1\n", "not a yaml file"),
    ],
)
def test_damaged_best_settings_are_an_error(text, words):
    file = search("a") / "best.yaml"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(ConfigError, match=f"^a/best.yaml: {words}"):
        rows_of(["SAMRec"])


def test_best_settings_of_another_model_or_data_set_are_an_error():
    search("a", model="GRU4Rec")
    with pytest.raises(ConfigError, match=r"a/best.yaml: it is of the model GRU4Rec, and the row SAMRec is of SAMRec"):
        rows_of(["SAMRec"])
    search("b", settings={"dataset": "ml-1m"})
    with pytest.raises(ConfigError, match=r"b/best.yaml: it is of the dataset ml-1m"):
        rows_of(["SAMRec"], "b")


def test_what_makes_budgets_equal():
    search("a", strategy={"scheduler": "none", "grace": 3, "seed": 1})
    search("b", strategy={"scheduler": "none", "grace": 5, "seed": 2})  # neither grace nor what is drawn costs a thing
    search("c", strategy={"grace": 3})
    search("d", strategy={"grace": 5})
    a, b, c, d = (one.budget for one in searches_under([Path(".")]))
    assert a == b and c != d


def run(row, fraction=1.0):
    """A run of four users."""
    ranks = np.array([1, 3, 11, 40])
    frame = pd.DataFrame({"rank": ranks, "masked_rank": ranks, "history": 5, "popularity": range(4)})
    return Run(row, "tiny_set", 1, fraction, {"data": {"users": 4}, "device": "cpu"}, frame, "hash")


def test_tuned_pages_are_written_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "render_figure", lambda figure, form, dpi: form.encode())
    runs = [run("SAMRec"), run("Pop"), run("SAMRec", fraction=0.5)]
    write_tables(runs, tmp_path, draws=200)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    how = [Tuning("SAMRec", BUDGET, 12, "found"), Tuning("Pop", remarks=("a remark",))]
    for masked in (False, True):
        write_tables(runs, tmp_path, masked=masked, tuned={"tiny_set": how}, draws=200)
    assert all(file.read_bytes() == content for file, content in before.items())
    new = {file.stem for file in tmp_path.iterdir()} - {file.stem for file in before}
    parts = ("", "-groups", "-fractions")
    assert new == {f"tiny_set-tuned{masked}{part}" for masked in ("", "-masked") for part in parts}
    page = (tmp_path / "tiny_set-tuned-masked.md").read_text(encoding="utf-8")
    assert page.startswith("# tiny\\_set, tuned, history masked\n") and "\n- Pop: a remark\n" in page
    assert "\n| SAMRec | 30 | random | asha | 10 | 300 | 2020 | NDCG@10 | 12 | found |\n" in page
    for file in tmp_path.glob("*.md"):
        assert ("-tuned" in file.name) == (captions.UNTUNED not in file.read_text(encoding="utf-8"))
    label = r"\label{tab:tiny-set-tuned-accuracy}"
    assert label in (tmp_path / "tiny_set-tuned.tex").read_text(encoding="utf-8")


def test_tuned_pages_without_finished_runs_list_the_searches(tmp_path):
    how = {"ml-1m": [Tuning("SAMRec", BUDGET, 12, "found")]}
    write_tables([], tmp_path, reasons={"ml-1m": {"SAMRec": "needs a GPU"}}, tuned=how)
    text = (tmp_path / "ml-1m-tuned.md").read_text(encoding="utf-8")
    assert "- SAMRec: needs a GPU\n- SAMRec: trial 12 of the search in found\n" in text


def test_the_command(monkeypatch):
    """Tables of what is finished, which is nothing: the runs' folders and pages are those of tuned rows."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    search("runs/tune/SAMRec-tiny", dataset="tiny", settings=SMALL | {"topk": [5, 10]})
    arguments = ["compare", "--models=SAMRec,Pop", "--datasets=tiny", "--seeds=1", "--topk=[5,10]", "--tuned"]
    monkeypatch.setattr(sys, "argv", ["recbole_samrec", *arguments, "--tables"])
    said = succeed(*arguments, "--tables")
    words = " ".join(said.out.split())
    assert "note: tiny: SAMRec: trial 12 of the search in runs/tune/SAMRec-tiny; its search was on" in words
    assert "note: tiny: Pop: not tuned" in words
    assert "tables and plots: runs/compare/tiny-tuned*" in words
    assert [file.name for file in Path("runs/compare").iterdir()] == ["tiny-tuned.md"]


def test_the_page_has_the_command_and_the_settings(monkeypatch):
    write_events("dataset", "tiny", random_events(users=30, items=25))
    for row in ("SAMRec", "SASRec"):
        search(f"mine/{row}", row=row, dataset="tiny", settings=SMALL | {"topk": [5, 10]})
    arguments = ["compare", "--models=SAMRec,SASRec", "--datasets=tiny", "--seeds=1", "--tuned", "mine"]
    monkeypatch.setattr(sys, "argv", ["recbole_samrec", *arguments])
    finish(monkeypatch)
    succeed(*arguments)
    page = Path("runs/compare/tiny-tuned.md").read_text(encoding="utf-8")
    assert f"```bash\npython -m recbole_samrec {' '.join(arguments)}\n```" in page
    assert "| SASRec | 30 | random | asha | 10 | 300 | 2020 | NDCG@10 | 12 | mine/SASRec |" in page
    settings = yaml.safe_load(page.rpartition("```yaml\n")[2].partition("```")[0])
    shared = settings["all rows that know them"]
    assert {key: shared[key] for key in BEST} == BEST and shared["hidden_size"] == 8


def finish(monkeypatch):
    """Let runs be carried out in this process, one after the other."""

    def train_all(jobs, *more, **options):
        for job in jobs:
            worker.carry_out(job, 1, lambda report: None)

    monkeypatch.setattr(compare, "train_all", train_all)


@pytest.mark.parametrize(
    ("tuned_is", "words"),
    [
        ("--tuned=", "--tuned: name a folder of searches"),
        ("--tuned", "--tuned=runs/tune: no row has a finished search on tiny; make one"),
        ("--tuned=a b", "--tuned=a b: no row has a finished search on tiny; make one"),
    ],
)
def test_wrong_folders_end_before_anything_starts(tuned_is, words):
    said = main("compare", "--models=SAMRec", "--datasets=tiny", tuned_is)
    assert said.status == 2 and words in " ".join(said.err.split()) and said.err.count("error:") == 1
    assert not Path("runs").exists()
