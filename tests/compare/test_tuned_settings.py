"""Settings that entries take from searches, their display in tables, and invalid searches."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recbole_samrec.compare import api, captions, tuned_settings, write
from recbole_samrec.compare.provenance import SearchBudget, Tuning
from recbole_samrec.compare.shown_settings import select_settings
from recbole_samrec.compare.tuned_settings import describe_tuning, find_searches, tune_entries
from recbole_samrec.compare.write import write_tables
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import plan_jobs
from recbole_samrec.experiments.results import Run
from recbole_samrec.tune import results
from recbole_samrec.tune import search_spec as tune_plan
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main, succeed
from tests.helpers.searches import BEST, write_search
from tests.helpers.tiny import random_events, write_events

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 6, "train_batch_size": 256, "epochs": 2}
BUDGET = SearchBudget(30, "random", "asha", 10, 300, (2020,), "NDCG@10")


def tune(names, folder=".", dataset="ml-100k", **wishes):
    return tune_entries(find_searches([Path(folder)]), read_entries(names), dataset, wishes, str(folder))


def planned(names, tuned_of=None, **options):
    """The job of each entry on ml-100k."""
    tuned = {"ml-100k": {entry: one.settings for entry, one in (tuned_of or {}).items()}}
    jobs = plan_jobs(read_entries(names), {"ml-100k": "hash"}, [1], [1.0], Path("out"), tuned=tuned, **options)
    return {job.entry: job for job in jobs}


def test_searches_have_the_files_that_are_read():
    assert (tuned_settings.SEARCH, tuned_settings.BEST) == (tune_plan.SEARCH, results.BEST)


def test_tune_entries_reaches_the_jobs_of_the_entry_only():
    write_search("found/any/where", settings={"stopping_step": 7, "train_fraction": 0.3, "seed": 5})
    jobs = planned(["SAMRec", "SASRec"], tune(["SAMRec", "SASRec"], "found"))
    best, default = jobs["SAMRec"].settings, jobs["SASRec"].settings
    assert {key: best[key] for key in BEST} == BEST
    assert best["stopping_step"] == 7  # above what belongs to the data set, which is 20
    assert (best["seed"], best["train_fraction"]) == (1, 1.0)  # of the comparison's runs, not of the search's
    assert (default["learning_rate"], default["hidden_dropout_prob"], default["stopping_step"]) == (0.001, 0.2, 20)


def test_tune_entries_lets_the_user_and_fixed_settings_win():
    write_search("found", entry="SASRec", settings={"sam_rho": 0.7})
    wishes = {"learning_rate": 0.01}
    rows = tune(["SASRec"], "found", hidden_dropout_prob=0.1, **wishes)
    job = planned(["SASRec"], rows, files={"hidden_dropout_prob": 0.1}, given=wishes)["SASRec"]
    values = [job.settings[key] for key in ("learning_rate", "hidden_dropout_prob", "attn_dropout_prob", "sam_rho")]
    assert values == [0.01, 0.1, 0.4, 0]
    assert rows["SASRec"].remarks == (
        "learning_rate is 0.01 as given, but its search found 0.002",
        "hidden_dropout_prob is 0.1 as given, but its search found 0.4",
    )
    assert not tune(["SASRec"], "found", n_layers=3, learning_rate=0.002)["SASRec"].remarks


def test_select_settings_shows_tuned_settings():
    write_search("found")
    shown = select_settings(list(planned(["SAMRec", "SASRec"], tune(["SAMRec", "SASRec"], "found")).values()))
    assert {key: shown["SAMRec"][key] for key in BEST} == BEST
    assert shown["SASRec"]["hidden_dropout_prob"] == 0.2


def test_plan_jobs_gives_tuned_runs_their_own_folders():
    write_search("found")
    rows = tune(["SAMRec"], "found")
    before = planned(["SAMRec"])["SAMRec"]
    before.folder.mkdir(parents=True)
    (before.folder / "job.json").write_text(json.dumps({"settings": before.settings, "sha256": "hash"}, default=str))
    after = planned(["SAMRec"], rows)["SAMRec"]
    assert (before.folder.name, after.folder.name) == ("SAMRec-1", "SAMRec-1-2")
    after.folder.mkdir()
    (after.folder / "job.json").write_text(json.dumps({"settings": after.settings, "sha256": "hash"}, default=str))
    assert planned(["SAMRec"], rows)["SAMRec"].folder == after.folder
    assert planned(["SAMRec"])["SAMRec"].folder == before.folder


def test_find_searches_reads_records_of_6de9c71():
    folder = write_search("a")
    record = json.loads((folder / "search.json").read_text())
    (folder / "search.json").write_text(json.dumps({"row": record.pop("entry"), **record}))
    (found,) = find_searches([Path("a")])
    assert found.entry == "SAMRec"


def test_find_searches_reads_nested_folders_once():
    one, other = write_search("a/SAMRec"), write_search("b/c/SASRec", entry="SASRec")
    found = find_searches([Path("a"), Path("b/c/SASRec"), Path("b")])
    assert [each.folder for each in found] == [one, other]
    assert found[0].trial == 12 and found[0].budget == BUDGET
    assert found[0].searched == ("learning_rate", "hidden_dropout_prob", "attn_dropout_prob")


def test_tune_entries_ignores_other_searches():
    write_search("a")
    write_search("b", dataset="ml-1m")
    write_search("c", entry="GRU4Rec", complete=False)
    assert tune(["SAMRec"])["SAMRec"].search.folder == Path("a")
    assert tune(["SAMRec"], dataset="ml-1m")["SAMRec"].search.folder == Path("b")


def test_tune_entries_rejects_two_finished_searches():
    write_search("one")
    write_search("two", complete=False)
    assert tune(["SAMRec"])["SAMRec"].search.folder == Path("one")
    write_search("three")
    with pytest.raises(ConfigError, match=r"SAMRec on ml-100k has two searches, in one and in three; name the one"):
        tune(["SAMRec"])
    assert tune(["SAMRec"], "three")["SAMRec"].search.folder == Path("three")


def test_describe_tuning_of_entries_without_a_search():
    write_search("a")
    write_search("b c", entry="SASRec", complete=False)
    write_search("d", entry="GRU4Rec", best=None)
    rows = tune(["SAMRec", "SASRec", "GRU4Rec", "Pop"])
    assert [row for row, one in rows.items() if one.settings] == ["SAMRec"]
    assert list(map(str, describe_tuning(rows, "hash"))) == [
        "SAMRec: trial 12 of the search in a",
        "SASRec: not tuned; the search in b c is not finished; resume it with python -m recbole_samrec tune "
        "--resume='b c'",
        "GRU4Rec: not tuned; no trial of the search in d has a score; see its trials.csv",
        "Pop: not tuned",
    ]


def test_describe_tuning_names_other_data():
    write_search("a")
    (one,) = describe_tuning(tune(["SAMRec"]), "another hash")
    assert one == Tuning("SAMRec", BUDGET, 12, "a", ("its search was on other data of this name",))


def test_tune_entries_needs_a_finished_search():
    write_search("a", dataset="ml-1m")
    with pytest.raises(ConfigError, match=r"--tuned=a: no entry has a finished search on ml-100k; make one: python -m"):
        tune(["S3Rec (RecBole)"], "a")
    with pytest.raises(ConfigError, match=r"tune --model='S3Rec \(RecBole\)' --dataset=ml-100k$"):
        tune(["S3Rec (RecBole)"], "nowhere")
    write_search("b", complete=False)
    with pytest.raises(ConfigError, match=r"finished search on ml-100k; SAMRec: .* resume it with .* --resume=b$"):
        tune(["SAMRec"], "b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"row": "SAMRec", "space": {}}', "\xff{"])
def test_find_searches_rejects_a_damaged_record(text):
    file = write_search("a") / "search.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^a/search.json: not a valid record of a search \(") as error:
        tune(["SAMRec"])
    assert "\n" not in str(error.value)


def test_find_searches_rejects_a_record_without_outcome():
    write_search("a", found=None)
    with pytest.raises(ConfigError, match=r"^a/search.json: not a valid record of a search"):
        tune(["SAMRec"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "it is missing although the search has finished"),
        ("model: SAMRec\ndataset: ml-100k\nlearning_rate: 0.1\n", "it lacks hidden_dropout_prob, attn"),
        ("", "it lacks learning_rate"),
        ("- one\n", "contains no settings"),
        ("a: [1\n", "not a yaml file"),
    ],
)
def test_tune_entries_rejects_damaged_best_settings(text, words):
    file = write_search("a") / "best.yaml"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(ConfigError, match=f"^a/best.yaml: {words}"):
        tune(["SAMRec"])


def test_tune_entries_rejects_settings_of_another_model():
    write_search("a", model="GRU4Rec")
    with pytest.raises(ConfigError, match=r"a/best.yaml: its model is GRU4Rec, but the entry SAMRec has SAMRec"):
        tune(["SAMRec"])
    write_search("b", settings={"dataset": "ml-1m"})
    with pytest.raises(ConfigError, match=r"b/best.yaml: its dataset is ml-1m"):
        tune(["SAMRec"], "b")


def test_find_searches_ignores_what_costs_nothing():
    write_search("a", strategy={"scheduler": "none", "grace": 3, "seed": 1})
    write_search(
        "b", strategy={"scheduler": "none", "grace": 5, "seed": 2}
    )  # neither grace nor what is drawn costs a thing
    write_search("c", strategy={"grace": 3})
    write_search("d", strategy={"grace": 5})
    a, b, c, d = (one.budget for one in find_searches([Path(".")]))
    assert a == b and c != d


def run(row, fraction=1.0):
    """A run of four users."""
    ranks = np.array([1, 3, 11, 40])
    frame = pd.DataFrame({"rank": ranks, "masked_rank": ranks, "history": 5, "popularity": range(4)})
    return Run(row, "tiny_set", 1, fraction, {"data": {"users": 4}, "device": "cpu"}, frame, "hash")


def test_write_tables_puts_tuned_pages_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "render_figure", lambda figure, form, dpi: form.encode())
    runs = [run("SAMRec"), run("Pop"), run("SAMRec", fraction=0.5)]
    write_tables(runs, tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    how = [Tuning("SAMRec", BUDGET, 12, "found"), Tuning("Pop", remarks=("a remark",))]
    for masked in (False, True):
        write_tables(runs, tmp_path, masked=masked, tuned={"tiny_set": how})
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


def test_write_tables_lists_searches_without_runs(tmp_path):
    how = {"ml-1m": [Tuning("SAMRec", BUDGET, 12, "found")]}
    write_tables([], tmp_path, reasons={"ml-1m": {"SAMRec": "needs a GPU"}}, tuned=how)
    text = (tmp_path / "ml-1m-tuned.md").read_text(encoding="utf-8")
    assert "- SAMRec: needs a GPU\n- SAMRec: trial 12 of the search in found\n" in text


def test_compare_uses_tuned_settings(monkeypatch):
    """With no finished runs: folders and pages are those of tuned entries."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    write_search("runs/tune/SAMRec-tiny", dataset="tiny", settings=SMALL | {"topk": [5, 10]})
    arguments = ["compare", "--models=SAMRec,Pop", "--datasets=tiny", "--seeds=1", "--topk=[5,10]", "--tuned"]
    monkeypatch.setattr(sys, "argv", ["recbole_samrec", *arguments, "--tables"])
    said = succeed(*arguments, "--tables")
    words = " ".join(said.out.split())
    assert "note: tiny: SAMRec: trial 12 of the search in runs/tune/SAMRec-tiny; its search was on" in words
    assert "note: tiny: Pop: not tuned" in words
    assert "tables and plots: runs/compare/tiny-tuned*" in words
    assert [file.name for file in Path("runs/compare").iterdir()] == ["tiny-tuned.md"]


def test_compare_shows_the_command_and_the_settings(monkeypatch):
    write_events("dataset", "tiny", random_events(users=30, items=25))
    for entry in ("SAMRec", "SASRec"):
        write_search(f"mine/{entry}", entry=entry, dataset="tiny", settings=SMALL | {"topk": [5, 10]})
    arguments = ["compare", "--models=SAMRec,SASRec", "--datasets=tiny", "--seeds=1", "--tuned", "mine"]
    monkeypatch.setattr(sys, "argv", ["recbole_samrec", *arguments])
    finish(monkeypatch)
    succeed(*arguments)
    page = Path("runs/compare/tiny-tuned.md").read_text(encoding="utf-8")
    assert f"```bash\npython -m recbole_samrec {' '.join(arguments)}\n```" in page
    assert "| SASRec | 30 | random | asha | 10 | 300 | 2020 | NDCG@10 | 12 | mine/SASRec |" in page
    settings = yaml.safe_load(page.rpartition("```yaml\n")[2].partition("```")[0])
    shared = settings["all entries that read them"]
    assert {key: shared[key] for key in BEST} == BEST and shared["hidden_size"] == 8


def finish(monkeypatch):
    """Train runs in this process, one after the other."""

    def train_all(jobs, *more, **options):
        for job in jobs:
            worker.train_job(job, lambda progress: None)

    monkeypatch.setattr(api, "train_all", train_all)


@pytest.mark.parametrize(
    ("tuned_is", "words"),
    [
        ("--tuned=", "--tuned: name a folder of searches"),
        ("--tuned", "--tuned=runs/tune: no entry has a finished search on tiny; make one"),
        ("--tuned=a b", "--tuned=a b: no entry has a finished search on tiny; make one"),
    ],
)
def test_compare_rejects_wrong_folders_of_searches(tuned_is, words):
    said = main("compare", "--models=SAMRec", "--datasets=tiny", tuned_is)
    assert said.status == 2 and words in " ".join(said.err.split()) and said.err.count("error:") == 1
    assert not Path("runs").exists()


def test_find_searches__sums_gradient_passes(tmp_path):
    folder = write_search(tmp_path / "one")
    (one,) = find_searches([tmp_path])
    assert np.isnan(one.passes)  # an earlier version wrote no table of passes
    for lines, passes in [
        ("0,finished,12.5\n1,stopped early,7.5\n", 20),
        ("0,finished,12.5\n1,finished,\n", np.nan),
        ("0,finished,12.5\n1,failed,\n", 13.5),  # a trial that failed counts at least one
        ("0,finished,12.5\n1,failed,0.0\n2,failed,3.0\n", 16.5),
    ]:
        (folder / "trials.csv").write_text(f"trial,status,passes\n{lines}")
        (one,) = find_searches([tmp_path])
        assert one.passes == pytest.approx(passes, nan_ok=True), lines
