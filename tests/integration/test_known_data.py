"""A run recognizes its data: rewritten files, with more or fewer users and items, or from an older revision."""

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recbole.quick_start import load_data_and_model
from rich.console import Console

from recbole_samrec import Recommender, evaluate, measure_sharpness, run
from recbole_samrec.data.row_order import ROWS
from recbole_samrec.data.vocabulary import TOKENS
from recbole_samrec.utils.errors import DataError
from tests.helpers.every_model import FEATURES, KG, RATINGS, write_everything
from tests.helpers.tiny import SMALL, cyclic, random_events, write_events

QUIET = Console(quiet=True)
FEW = {
    "epochs": 2, "topk": [3], "valid_metric": "NDCG@3", "metrics": ["NDCG"], "data_path": "dataset", "console": QUIET,
    "train_batch_size": 64,
}  # fmt: skip
SEQUENCES = {**FEW, **{key: SMALL[key] for key in ("hidden_size", "inner_size", "MAX_ITEM_LIST_LENGTH")}}
LABELED = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "labeled", "order": "TO"}}
SHUFFLED = {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": "user", "mode": "full"}


def rewrite(folder: Path, suffix: str, change) -> None:
    """Rewrite a file of a data set with other lines below its header."""
    file = folder / f"{folder.name}.{suffix}"
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *change(lines)]) + "\n")


def shuffle_lines(folder: Path, *suffixes: str) -> None:
    """Rewrite files of a data set with their lines in another order, as an export from a database may."""
    for suffix in suffixes:
        rewrite(folder, suffix, lambda lines: random.Random(5).sample(lines, len(lines)))


def ties(events):
    """Events in groups of three with equal times, so that the order of the file decides."""
    return [(user, item, time // 3) for user, item, time in events]


def slow(model: str, settings: dict):
    """A slow case, since another model of its kind is tested by default."""
    return pytest.param(model, settings, marks=pytest.mark.slow)


@pytest.fixture
def ring(own_folder):
    """A data set of users on a circle of items, and a run that was trained on it."""
    folder = write_events("dataset", "ring", cyclic(users=30, length=8))
    return folder, run("GRU4Rec", "ring", **FEW).folder


@pytest.mark.parametrize(
    "model, settings",
    [
        ("SAMRec", SEQUENCES),
        ("SASRec", SEQUENCES | {"training": "prefix"}),
        ("BPR", FEW | {"eval_args": SHUFFLED}),
        ("LightGCN", FEW),
        ("ItemKNN", FEW | {"eval_args": SHUFFLED}),
    ],
)
def test_read_known_data__same_rows_in_another_order(own_folder, model, settings):
    folder = write_events("dataset", "tiny", ties(random_events()))
    done = run(model, "tiny", **settings)
    before = Recommender(done.folder, console=QUIET).recommend("all", 4)
    shuffle_lines(folder, "inter")
    again = evaluate(done.folder, console=QUIET)
    assert again.as_recorded and again.scores[False]["test"] == done.record["test"]
    pd.testing.assert_frame_equal(before, Recommender(done.folder, console=QUIET).recommend("all", 4))


@pytest.mark.parametrize(
    "model, settings",
    [
        ("CKE", KG),
        slow("MKR", KG),
        slow("CFKG", KG),
        slow("RippleNet", KG),
        slow("KGNNLS", KG),
        ("FM", RATINGS | LABELED),
        slow(
            "DIN",
            RATINGS | {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "labeled", "order": "TO"}},
        ),
        ("GRU4RecF", FEATURES),
        slow("FDSA", FEATURES),
        ("S3Rec", FEATURES | {"pretrain_epochs": 1}),
    ],
)
def test_read_known_data__of_models_that_read_other_files(own_folder, model, settings):
    (own_folder / "dataset").mkdir()
    write_everything(own_folder / "dataset")
    settings = FEW | settings
    done = run(model, "toy", **settings)
    shuffle_lines(own_folder / "dataset" / "toy", "inter", "item", "user", "kg", "link")
    again = evaluate(done.folder, console=QUIET)
    assert again.as_recorded


def test_read_known_data__resumes_like_an_uninterrupted_run(own_folder):
    folder = write_events("dataset", "tiny", ties(random_events()))
    whole = run("SAMRec", "tiny", **SEQUENCES | {"epochs": 3})
    part = run("SAMRec", "tiny", **SEQUENCES | {"epochs": 1})
    shuffle_lines(folder, "inter")
    resumed = run(resume=part.folder, epochs=3, console=QUIET)
    assert resumed.record["test"] == whole.record["test"]
    assert resumed.record["valid"] == whole.record["valid"]


def test_read_known_data__with_new_users_and_items(ring):
    folder, done = ring
    rewrite(folder, "inter", lambda lines: ["new\ti3\t1", "new\ti99\t2", "new\ti4\t3", "newer\ti98\t1", *lines])
    with pytest.raises(DataError, match=r"has 2 users and 2 items that the run does not know.*--data_path.*=drop"):
        evaluate(done, console=QUIET)
    with pytest.raises(DataError, match="2 users and 2 items that the run does not know"):
        run(resume=done, epochs=3, console=QUIET)
    with pytest.raises(DataError, match="2 users and 2 items that the run does not know"):
        load_data_and_model(str(done / "best.pth"))
    with pytest.raises(DataError, match="2 users and 2 items that the run does not know"):
        measure_sharpness(done, console=QUIET)


def test_read_known_data__recommends_what_the_model_knows(ring, capsys):
    folder, done = ring
    before = Recommender(done, console=QUIET).recommend(["u3", "u7"], 3)
    rewrite(folder, "inter", lambda lines: ["new\ti3\t1", "new\ti99\t2", "new\ti4\t3", "newer\ti98\t1", *lines])
    recommender = Recommender(done, console=Console(width=400))
    assert (
        "ring has 2 users and 2 items that the run does not know; 2 of 244 events were left out"
        in capsys.readouterr().out
    )
    pd.testing.assert_frame_equal(recommender.recommend(["u3", "u7"], 3), before)
    served = recommender.recommend("new", 3)  # the model reads no users, so it serves one with known items
    asked = recommender.recommend(sequences=pd.DataFrame({"user": "a", "item": ["i3", "i4"]}), k=3)
    assert list(served["item"]) == list(asked["item"])


def test_read_known_data__recommends_to_no_user_without_vector(own_folder, capsys):
    folder = write_events("dataset", "tiny", random_events())
    done = run("BPR", "tiny", **FEW)
    before = Recommender(done.folder, console=QUIET).recommend("all", 3)
    rewrite(folder, "inter", lambda lines: ["new\ti3\t1", "new\ti5\t2", *lines])
    recommender = Recommender(done.folder, console=Console(width=400))
    assert "has 1 user that the run does not know; 2 of" in capsys.readouterr().out
    pd.testing.assert_frame_equal(recommender.recommend("all", 3), before)


@pytest.mark.parametrize(
    "model, settings",
    [
        ("SASRec", SEQUENCES),
        ("SASRec", SEQUENCES | {"eval_args": {"split": {"GTS": {"quantile": 0.7}}}}),
        ("BPR", FEW | {"eval_args": {"split": {"GTS": {"quantile": 0.7, "unseen_users": "drop"}}}}),
        ("BPR", FEW | {"eval_args": {"split": {"TS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": None}}),
    ],
)
@pytest.mark.parametrize("place", ["top", "end"])
def test_read_known_data__keeps_the_time_of_each_event(own_folder, model, settings, place):
    """Unknown rows are dropped; those after them must not take their times, which float32 cannot tell apart."""
    draw = random.Random(3)
    events = [(f"u{draw.randrange(25)}", f"i{draw.randrange(18)}", 1_500_000_000 + 3 * time) for time in range(400)]
    draw.shuffle(events)  # the order of the file is not that of the times
    folder = write_events("dataset", "tiny", events)
    done = run(model, "tiny", **settings)
    before = Recommender(done.folder, console=QUIET).recommend("all", 4)
    new = [f"u{number}\ti99\t{1_500_000_000 + number}" for number in range(2)]
    rewrite(folder, "inter", lambda lines: [*new, *lines] if place == "top" else [*lines, *new])
    scored = evaluate(done.folder, changed_data="drop", console=QUIET)
    assert scored.scores[False] == {"valid": done.record["valid"], "test": done.record["test"]}
    pd.testing.assert_frame_equal(Recommender(done.folder, console=QUIET).recommend("all", 4), before)


def test_read_known_data__with_items_that_are_gone(ring, capsys):
    folder, done = ring
    rewrite(folder, "inter", lambda lines: [line for line in lines if "\ti5\t" not in line])
    with pytest.raises(DataError, match="it has no 1 item that the run knows"):
        evaluate(done, console=QUIET)
    recommender = Recommender(done, console=Console(width=400))
    assert "ring no longer has 1 item that the run knows" in capsys.readouterr().out
    assert recommender.dataset.item_num == 13  # ids and weights keep their places


def test_read_known_data__with_other_events_of_the_same_users(ring):
    folder, done = ring
    rewrite(folder, "inter", lambda lines: [*lines, "u3\ti7\t99999"])
    with pytest.raises(DataError, match="it has other events of the same users and items"):
        evaluate(done, console=QUIET)
    scored = evaluate(done, changed_data="drop", console=QUIET)
    assert not scored.as_recorded and scored.scores[False]["test"]["ndcg@3"] > 0


@pytest.mark.parametrize("change", ["shuffled", "same"])
def test_read_known_data__of_a_run_that_stores_no_tokens(ring, change):
    folder, done = ring
    for name in (TOKENS, ROWS):
        (done / name).unlink()
    if change == "same":
        assert evaluate(done, console=QUIET).as_recorded
        return
    shuffle_lines(folder, "inter")
    for use in (evaluate, Recommender):
        with pytest.raises(DataError, match=r"ring has changed since the run was trained \(sha256\)"):
            use(done, console=QUIET)


def test_read_known_data__of_benchmark_files(own_folder):
    events = ties(cyclic(users=20, length=8))
    folder = own_folder / "dataset" / "tiny"
    parts = {"train": [], "valid": [], "test": []}
    for number, event in enumerate(events):
        parts[{6: "valid", 7: "test"}.get(number % 8, "train")].append(event)
    for part, rows in parts.items():
        write_events("dataset", "tiny", rows)
        (folder / "tiny.inter").rename(folder / f"tiny.{part}.inter")
    settings = FEW | {"benchmark_filename": list(parts), "eval_args": {"mode": "full"}}
    done = run("BPR", "tiny", **settings)
    shuffle_lines(folder, *(f"{part}.inter" for part in parts))
    assert evaluate(done.folder, console=QUIET).as_recorded


def test_tokens__can_be_read_without_this_package(ring):
    _, done = ring
    table = pd.read_parquet(done / TOKENS)
    items = table[table["field"] == "item_id"]
    assert list(items["id"]) == list(range(13)) and items["token"].iloc[0] == "[PAD]"
    assert set(items["token"].iloc[1:]) == {f"i{number}" for number in range(12)}
    assert items["read"].all() and not table.loc[table["field"] == "user_id", "read"].any()
    assert "tokens" not in json.loads((done / "result.json").read_text())
    with np.load(done / ROWS) as rows:
        assert sorted(rows["inter_feat"]) == list(range(240))
