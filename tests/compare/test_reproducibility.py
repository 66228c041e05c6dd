"""The reproducibility page contains the values from the records of the runs."""

import json
from dataclasses import replace

from recbole_samrec.compare.formats import write_markdown
from recbole_samrec.compare.layout import NOTHING, Made
from recbole_samrec.compare.provenance import SearchBudget, Tuning
from recbole_samrec.compare.reproducibility import lay_out_reproducibility
from recbole_samrec.compare.write import write_reproducibility
from tests.helpers.compared import make_run

LOO = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": {"valid": "full", "test": "full"}}
GTS = {"split": {"GTS": {"quantile": 0.9}}, "order": "TO", "mode": {"valid": "full", "test": "full"}}
CONFIG = {"epochs": 300, "stopping_step": 10, "valid_metric": "NDCG@10", "mask_history": False, "eval_step": 1}
CONFIG |= {"eval_args": LOO, "user_inter_num_interval": "[5,inf)"}
COSTS = {"epochs_run": 40, "best_epoch": 29, "parameters": 7000, "seconds_total": 60.0, "peak_memory_mb": 512.0}


def make_record(model="SAMRec", **changes) -> dict:
    """The parts of a ``result.json`` that the page reads."""
    data = {"users": 9, "items": 8, "interactions": 1234, "sha256": "ab" * 32}
    versions = {"python": "3.11.7", "torch": "2.13.0", "recbole": "1.2.1", "numpy": "2.4"}
    record = {"model": model, "config": CONFIG, "data": data, "versions": versions, "device": "A CPU (1 thread)"}
    return {**record, "revision": "abc", **COSTS, **changes}


def make_runs() -> list:
    """Two entries with two seeds, one with another number of epochs."""
    runs = [make_run("SAMRec", seed, **make_record(gradient_passes=80.0, cpu_seconds=100.0 * seed)) for seed in (1, 2)]
    others = {"config": {**CONFIG, "epochs": 50}, "epochs_run": 50, "revision": "def-dirty"}
    return [*runs, *(make_run("GRU4Rec", seed, **make_record("GRU4Rec", **others)) for seed in (1, 2))]


def read_grid(page, title: str) -> dict[str, list[str]]:
    """The cells of a table by its first column."""
    grid = next(grid for grid in page.grids if grid.title == title)
    assert all(len(line) == len(grid.header) for line in grid.body)
    return {line[0].text: [cell.text for cell in line[1:]] for line in grid.body}


def test_page__has_data_and_filters():
    found = read_grid(lay_out_reproducibility(make_runs()), "Data")
    assert found == {
        "interactions (sha256)": ["ab" * 32],
        "users": ["9"],
        "items": ["8"],
        "interactions": ["1,234"],
        "user_inter_num_interval": ["[5,inf)"],
    }


def test_page__has_a_column_for_each_protocol():
    runs = [replace(run, protocol="loo") for run in make_runs()]
    config = {**CONFIG, "eval_args": GTS}
    data = {**make_record()["data"], "split": {"cut": 1e9, "train_events": 700, "early_events": 900, "candidates": 6}}
    runs.append(replace(make_run("SAMRec", 1, **make_record(config=config, data=data)), protocol="gts-last"))
    page = lay_out_reproducibility(runs)
    assert page.grids[1].header == ["", "loo", "gts-last"]
    found = read_grid(page, "Splits")
    assert found["split"][0].startswith("leave-one-out") and "0.9" in found["split"][1]
    assert found["events before the test / trained on"] == [NOTHING, "900 / 700"]
    assert found["test begins"] == [NOTHING, "2001-09-09 01:46:40"]
    assert found["candidates of a ranking"] == ["all items"] * 2
    assert found["validation: valid_metric"] == ["NDCG@10"] * 2
    seeds = next(grid for grid in page.grids if grid.title == "Seeds")
    assert [[cell.text for cell in line] for line in seeds.body] == [
        ["SAMRec", "loo", "1, 2", "no"], ["GRU4Rec", "loo", "1, 2", "no"], ["SAMRec", "gts-last", "1", "no"],
    ]  # fmt: skip


def test_page__has_budgets_and_their_means():
    page = lay_out_reproducibility(make_runs())
    found = read_grid(page, "Budgets")
    assert found["SAMRec"] == ["300", "10", "40", "30", "80", "150", "60", "7,000"]
    assert found["GRU4Rec"] == ["50", "10", "50", "30", NOTHING, NOTHING, "60", "7,000"]


def test_page__names_the_entries_of_a_value():
    found = read_grid(lay_out_reproducibility(make_runs()), "Environment")
    assert found["revision of the code"] == ["abc (SAMRec); def-dirty (GRU4Rec)"]
    assert found["torch"] == ["2.13.0"] and found["device (threads of a run)"] == ["A CPU (1 thread)"]
    assert found["memory of a run, at most"] == ["0.5 GB"]


def test_page__names_deterministic_entries():
    found = read_grid(lay_out_reproducibility([make_run("Pop", 3, **make_record("Pop"))]), "Seeds")
    assert found == {"Pop": ["3", "yes"]}


def test_page__has_the_code_and_departures_of_models():
    without_sam = {"model": "SAMRec", "config": {**CONFIG, "sam_rho": 0}}
    runs = [*make_runs(), make_run("SASRec", 1, **make_record(**without_sam))]
    runs.append(make_run("Mine", 1, **make_record("Mine", source_sha256="cd" * 32)))
    page = lay_out_reproducibility(runs)
    found = read_grid(page, "Code of the models")
    assert found["SAMRec"][:3] == ["SAMRec", "recbole_samrec.model.samrec", "arXiv 2308.10347"]
    assert found["SASRec"][1] == "recbole_samrec.model.samrec" and "Self-Attentive" in found["SASRec"][2]
    assert found["GRU4Rec"][1] == "recbole.model.sequential_recommender.gru4rec"
    assert found["Mine"][1] == f"not installed, sha256 {'cd' * 32}"
    (note,) = page.notes
    assert note.startswith("SAMRec: Departures from the paper: its tables")


def test_page__has_search_spaces_and_what_was_found(tmp_path):
    parameters = [
        {"name": "learning_rate", "kind": "loguniform", "values": [], "low": 0.0003, "high": 0.003, "step": None},
        {"name": "dropout", "kind": "choice", "values": [0.1, 0.2], "low": None, "high": None, "step": None},
    ]
    best = {"trial": 7, "settings": {"learning_rate": 0.001, "dropout": 0.2}}
    record = {"space": {"parameters": parameters, "follow": {"other": "dropout"}}, "found": {"best": best}}
    (tmp_path / "search.json").write_text(json.dumps(record))
    budget = SearchBudget(30, "random", "asha", 10, 300, (2020,), "NDCG@10")
    page = lay_out_reproducibility(make_runs(), tuned=[Tuning("SAMRec", budget, 7, str(tmp_path)), Tuning("GRU4Rec")])
    assert read_grid(page, "Searches") == {
        "SAMRec": [str(tmp_path), "30", "random", "asha, from epoch 10 on", "300", "2020", "NDCG@10", "7"],
        "GRU4Rec": ["not tuned", *[NOTHING] * 7],
    }
    spaces = next(grid for grid in page.grids if grid.title == "Search spaces")
    assert [[cell.text for cell in line[1:]] for line in spaces.body] == [
        ["learning_rate", "loguniform, 0.0003 to 0.003", "0.001"],
        ["dropout", "0.1, 0.2", "0.2"],
        ["other", "that of dropout", "0.2"],
    ]


def make_choice(passes=None) -> dict:
    """The content of a file of chosen settings, in which the second of two candidates is chosen."""
    scores = {"scores": {"7": 0.1, "8": None}, "runs": ["a", "b"], "failures": ["b"], "passes": 1234.56}
    best = {"settings": {"sam_rho": 0.1}, "mean": 0.2, "behind_best": 0.0, "standard_error": 0.0, **scores}
    other = {"settings": {"sam_rho": 0}, "mean": 0.19, "behind_best": 0.01, "standard_error": None, **scores}
    entry = {"settings": {"sam_rho": 0}, "why": "the smallest", "edges": ["sam_rho"], "tuned_as": "", "seeds": [7, 8]}
    entry |= {"metric": "ndcg@10", "history": "masked", "passes": passes, "best": 0, "chosen": 1}
    return {"rule": "The rule.", "entries": {"SAMRec": {**entry, "candidates": [best, other]}}}


def test_page__has_chosen_settings_and_all_candidates():
    page = lay_out_reproducibility(make_runs(), chosen={"": make_choice(passes=2469.12)})
    seeds, validation = "7, 8", "NDCG@10, history masked"
    assert read_grid(page, "Chosen settings") == {
        "SAMRec": [seeds, validation, "sam_rho: 0", "the smallest", "sam_rho", "2,469.1"]
    }
    grid = next(grid for grid in page.grids if grid.title == "Candidates")
    assert [[cell.text for cell in line] for line in grid.body] == [
        ["SAMRec", "sam_rho: 0.1", "0.2000", "0.0000", "0.0000", "1,234.6"],
        ["SAMRec", "sam_rho: 0 (chosen)", "0.1900", "0.0100", NOTHING, "1,234.6"],
    ]
    both = lay_out_reproducibility(make_runs(), chosen={"loo": make_choice(), "gts-last": make_choice()})
    grid = next(grid for grid in both.grids if grid.title == "Chosen settings")
    assert [[cell.text for cell in line[:2]] for line in grid.body] == [["SAMRec", "loo"], ["SAMRec", "gts-last"]]
    assert grid.body[0][-1].text == NOTHING and grid.captions == ["The rule."]


def test_page__has_the_values_of_continued_searches():
    choice = make_choice()
    titles = [grid.title for grid in lay_out_reproducibility(make_runs(), chosen={"loo": choice}).grids]
    assert "Chosen settings" in titles and "Continued searches" not in titles
    choice["entries"]["SAMRec"]["equal_passes"] = {
        "space": {"learning_rate": "0.1 to 1, logarithmic", "n": "one of 1, 2"}
    }
    page = lay_out_reproducibility(make_runs(), chosen={"loo": choice})
    grid = next(grid for grid in page.grids if grid.title == "Continued searches")
    assert [[cell.text for cell in line] for line in grid.body] == [
        ["SAMRec", "loo", "learning_rate", "0.1 to 1, logarithmic"],
        ["SAMRec", "loo", "n", "one of 1, 2"],
    ]


def test_page__shows_the_command_and_settings():
    text = write_markdown(lay_out_reproducibility(make_runs(), made=Made("the command", "shared: 1\n", [])))
    assert "the command" in text and "shared: 1" in text


def test_write_reproducibility__names_share_and_tuning(tmp_path):
    runs = [replace(run, fraction=0.2) for run in make_runs()]
    path = write_reproducibility(runs, tmp_path, tuned=[Tuning("SAMRec")], command="x")
    assert path == tmp_path / "tiny_set-0.2-tuned-reproducibility.md"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
