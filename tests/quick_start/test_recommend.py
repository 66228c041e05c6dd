"""Recommendations are the best items by the model's own scores, for known users and for new sequences."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from rich.console import Console

import recbole_samrec
from recbole_samrec.data.sequences import collect_sequences
from recbole_samrec.data.titles import find_title_column
from recbole_samrec.data.validate.layout import Column
from recbole_samrec.quick_start.recommend import Recommender
from recbole_samrec.utils.errors import UserError
from tests.helpers.command import main, succeed
from tests.helpers.tiny import build, cyclic, make_config, random_events, write_events

ITEMS = 24
CIRCLE = list(cyclic(users=80, items=ITEMS, length=9))
LEARNING = ["--hidden_size=16", "--inner_size=16", "--n_layers=1", "--learning_rate=0.02", "--train_batch_size=256"]
LEARNING += ["--epochs=15", "--MAX_ITEM_LIST_LENGTH=6", "--sam_rho=0", "--topk=[5]", "--valid_metric=NDCG@5"]


def histories(events):
    """The items of each user in the order of time."""
    found = {}
    for user, item, _ in sorted(events, key=lambda event: event[2]):
        found.setdefault(user, []).append(item)
    return found


def after(item):
    return f"i{(int(item[1:]) + 1) % ITEMS}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run whose model has learned that item i is followed by item i + 1."""
    folder = tmp_path_factory.mktemp("trained")
    path = write_events(folder / "data", "circle", CIRCLE)
    lines = (f"i{i}\t{i / 2}\tThe {i}th" for i in range(ITEMS))
    (path / "circle.item").write_text("\n".join(["item_id:token\tprice:float\tmovie_title:token_seq", *lines]) + "\n")
    where = [f"--data_path={folder / 'data'}", f"--run_dir={folder / 'run'}"]
    succeed("run", "--dataset=circle", *where, *LEARNING)
    return folder / "run"


# The command --------------------------------------------------------------------------------------------------------


def test_recommend__users_get_what_comes_next(trained):
    said = succeed("recommend", trained, "--users=all", "--k=3", "--out=recs.csv")
    assert said.out.strip() == "240 recommendations for 80 users in recs.csv"
    table = pd.read_csv("recs.csv")
    assert list(table) == ["user", "rank", "item", "score", "title"]
    assert (table["rank"].to_numpy().reshape(-1, 3) == [1, 2, 3]).all()
    assert (np.diff(table["score"].to_numpy().reshape(-1, 3)) <= 0).all()
    first = table[table["rank"] == 1].set_index("user")["item"]
    assert first.to_dict() == {user: after(items[-1]) for user, items in histories(CIRCLE).items()}
    assert (table["title"] == "The " + table["item"].str[1:] + "th").all()


def test_recommend__new_sequences_get_what_comes_next(trained):
    Path("new.csv").write_text("timestamp,item,user\n2,i4,a\n1,i3,a\n3,i5,a\n1,i22,b\n2,i23,b\n1,i9,u1\n")
    succeed("recommend", trained, "--sequences=new.csv", "--k=1", "--out=recs.tsv")
    table = pd.read_csv("recs.tsv", sep="\t")
    assert dict(zip(table["user"], table["item"], strict=True)) == {"a": "i6", "b": "i0", "u1": "i10"}


def test_recommend__shows_few_users(trained):
    said = succeed("recommend", trained, "--users=u7,u3", "--k=2")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines() if "│" in line]
    items = {user: items[-1] for user, items in histories(CIRCLE).items()}
    assert [row[:3] for row in rows[::2]] == [[user, "1", after(items[user])] for user in ("u7", "u3")]
    assert rows[1][0] == "" and rows[0][4] == f"The {rows[0][2][1:]}th"
    said = succeed("recommend", trained, "--users=all", "--k=1")
    assert "the first 20 of 80 users; --out=FILE writes all" in said.out and said.out.count("│") == 20 * 6


def test_recommend__masks_history(trained):
    succeed("recommend", trained, "--users=u1,u2", "--k=23", "--mask_history", "--out=recs.csv")
    for user, rows in pd.read_csv("recs.csv").groupby("user"):
        assert set(rows["item"]) == {f"i{i}" for i in range(ITEMS)} - set(histories(CIRCLE)[user])
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    Path("new.csv").write_text("user,item\n" + "".join(f"a,i{i}\n" for i in range(1, 12)))  # more than a row holds
    succeed("recommend", trained, "--sequences=new.csv", "--k=23", "--mask_history", "--out=recs.csv", "--overwrite")
    assert set(pd.read_csv("recs.csv")["item"]) == {"i0", *(f"i{i}" for i in range(12, ITEMS))}


def test_recommend__all_items_and_never_the_padding(trained):
    succeed("recommend", trained, "--users=u1", f"--k={ITEMS}", "--out=recs.csv")
    assert set(pd.read_csv("recs.csv")["item"]) == {f"i{i}" for i in range(ITEMS)}


def test_recommend__writes_parquet(trained):
    pytest.importorskip("pyarrow")
    succeed("recommend", trained, "--users=u1,u2", "--k=4", "--out=recs.parquet")
    succeed("recommend", trained, "--users=u1,u2", "--k=4", "--out=recs.csv")
    one, other = pd.read_parquet("recs.parquet"), pd.read_csv("recs.csv")
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_recommend__users_of_a_file(trained):
    Path("users.txt").write_text("u3\nu1\n")
    succeed("recommend", trained, "--users_file=users.txt", "--k=2", "--out=one.jsonl")
    succeed("recommend", trained, "--users=u3,u1", "--k=2", "--out=other.csv")
    one = pd.read_json("one.jsonl", lines=True)
    pd.testing.assert_frame_equal(one, pd.read_csv("other.csv"), rtol=1e-6)
    assert list(one["user"]) == ["u3", "u3", "u1", "u1"]


def test_recommend__sequences_of_parquet_in_any_order(trained):
    events = pd.DataFrame({"user": ["a"] * 4, "item": ["i5", "i3", "i4", "i6"], "timestamp": [2, 1, 2, 0]})
    events.to_parquet("new.parquet")
    succeed("recommend", trained, "--sequences=new.parquet", "--k=1", "--out=recs.csv")
    events.iloc[[3, 1, 0, 2]].drop(columns="timestamp").to_csv("new.csv", index=False)  # equal times keep their order
    succeed("recommend", trained, "--sequences=new.csv", "--k=1", "--out=other.csv")
    pd.testing.assert_frame_equal(pd.read_csv("recs.csv"), pd.read_csv("other.csv"))


def test_recommend__parquet_without_its_package(trained, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name, *rest)
    )
    said = main("recommend", trained, "--users=u1", "--out=recs.parquet")
    assert said.status == 2 and "Parquet needs pyarrow; install it with " in said.err


def test_recommend__replaces_a_file_only_when_asked(trained):
    Path("recs.csv").write_text("precious")
    said = main("recommend", trained, "--users=u1", "--out=recs.csv")
    assert said.status == 2 and "recs.csv: the file exists; add --overwrite" in said.err
    assert Path("recs.csv").read_text() == "precious"
    succeed("recommend", trained, "--users=u1", "--out=recs.csv", "--overwrite")
    assert len(pd.read_csv("recs.csv")) == 10 and sorted(Path().iterdir()) == [Path("recs.csv")]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--users=u1,x,y,z,w"], "circle has no events of 'x', 'y', 'z' and 1 more"),
        (["--users=x"], "(the run's filters may have removed them); its users have ids such as 'u"),
        (["--users=u1", "--k=25"], "--k=25: give a number from 1 to 24, the number of items"),
        (["--users=u1", "--k=0"], "--k=0: must be a whole number of at least 1"),
        (["--users=u1", "--out=recs.txt"], "name a file that ends in .csv, .tsv, .jsonl, .parquet"),
        (["--users=u1", "--out=away/recs.csv"], "there is no folder away"),
        (["--users=u1", "--eval_memory=0"], "eval_memory=0"),
        ([], "one of the arguments --users --users_file --sequences is required"),
        (["--users=u1", "--sequences=new.csv"], "not allowed with argument"),
        (["--sequences=new.csv"], "new.csv is missing"),
    ],
)
def test_recommend__errors(trained, arguments, words):
    said = main("recommend", trained, *arguments)
    assert said.status == 2 and words in said.err and said.err.count("\n") == 1


def test_recommend__a_damaged_run(trained):
    Path("run").mkdir()
    said = main("recommend", "run", "--users=u1")
    assert said.status == 2 and "run/best.pth: there is no such checkpoint" in said.err
    Path("run/best.pth").write_bytes((trained / "best.pth").read_bytes()[:1000])
    said = main("recommend", "run", "--users=u1")
    assert said.status == 2 and "run/best.pth: not a checkpoint, or a damaged one" in said.err


# From Python --------------------------------------------------------------------------------------------------------


def test_recommender__returns_what_the_command_writes(trained):
    succeed("recommend", trained, "--users=u7,u3", "--k=4", "--out=recs.csv")
    recommender = recbole_samrec.Recommender(trained, console=Console(quiet=True))
    frame = recommender.recommend(["u7", "u3"], 4)
    pd.testing.assert_frame_equal(frame, pd.read_csv("recs.csv"), check_dtype=False)
    assert repr(recommender) == "Recommender(SAMRec on circle: 80 users, 24 items)"
    assert len(recommender.recommend("all", 1)) == 80
    masked = recommender.recommend("u1", 23, mask_history=True)
    assert set(masked["item"]).isdisjoint(histories(CIRCLE)["u1"])


@pytest.mark.parametrize("times", [[2, 1, 1], pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-01"]), None])
def test_recommender__reads_sequences_of_a_frame(trained, times):
    events = {"user": [7, 7, 8], "item": ["i4", "i3", "i22"]} if times is not None else {}
    events = events or {"user": [7, 7, 8], "item": ["i3", "i4", "i22"]}
    frame = pd.DataFrame(events if times is None else {**events, "timestamp": times})
    recommender = recbole_samrec.Recommender(trained, console=Console(quiet=True))
    found = recommender.recommend(sequences=frame, k=1)
    assert dict(zip(found["user"], found["item"], strict=True)) == {"7": "i5", "8": "i23"}


def test_recommender__says_what_is_wrong_with_a_frame(trained):
    recommender = recbole_samrec.Recommender(trained, console=Console(quiet=True))
    with pytest.raises(UserError, match="sequences has no column item: it has 'user, thing'"):
        recommender.recommend(sequences=pd.DataFrame({"user": ["a"], "thing": ["i1"]}))
    with pytest.raises(UserError, match="sequences row 1: the time nothing is neither"):
        table = {"user": ["a", "a"], "item": ["i1", "i2"], "time": [1.0, None]}
        recommender.recommend(sequences=pd.DataFrame(table))
    with pytest.raises(UserError, match="either users or sequences"):
        recommender.recommend()


# Files of sequences ---------------------------------------------------------------------------------------------------


def test_recommend__notes_which_sequences_it_leaves_out(trained):
    Path("new.csv").write_text("user,item\na,i3\na,x\na,i4\na,y\nb,x\nc,\n,i4\nd,i7\n")
    said = succeed("recommend", trained, "--sequences=new.csv", "--k=1", "--out=recs.csv").out
    table = pd.read_csv("recs.csv", dtype=str)
    assert dict(zip(table["user"], table["item"], strict=True)) == {"a": "i5", "d": "i8"}
    assert "note: 2 events without sequence or item were skipped" in said
    assert "note: 3 events with items that are not in the data set were skipped: x, y" in said
    assert "note: no recommendations for b, c, which have no known items" in said


def test_recommend__reports_a_file_of_unknown_items(trained):
    Path("new.csv").write_text("user,item\na,I7\n")
    said = main("recommend", trained, "--sequences=new.csv")
    assert said.status == 2 and said.err.count("\n") == 1
    assert "new.csv: none of its items is in circle ('I7' here, 'i7' there)" in said.err


# Scores ---------------------------------------------------------------------------------------------------------------

MODELS = ["SASRec", "SAMRec", "GRU4Rec", "Caser", "FPMC", "SHAN", "BERT4Rec", "DIN"]
FILTERS = {"user_inter_num_interval": "[6,inf)", "item_inter_num_interval": "[11,inf)"}


def made(folder, model, **settings):
    """A recommender for a checkpoint of an untrained model, and RecBole's data set and trainer for the same run."""
    if model == "DIN":
        settings |= {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}, "mlp_hidden_size": [8]}
    settings = {"topk": [3], "valid_metric": "NDCG@3", "checkpoint_dir": str(folder), **settings}
    loaders, _, trainer = build(make_config(model, folder, **settings))
    trainer.write_checkpoint(str(folder / "one.pth"), 0)
    recommender = Recommender.from_config(make_config(model, folder, **settings), folder / "one.pth")
    return recommender, loaders[2]._dataset, trainer


def best_one_by_one(dataset, trainer, events, k):
    """The best items and scores of each user, with each row made and scored separately."""
    config, found = trainer.config, {}
    model, length = trainer.model.eval(), config["MAX_ITEM_LIST_LENGTH"]
    transform = construct_transform(config)
    trainer.tot_item_num, trainer.item_tensor = dataset.item_num, dataset.get_item_feature()
    for user, items in histories(events).items():
        ids = [dataset.token2id("item_id", item) for item in items if item in dataset.field2token_id["item_id"]]
        if user not in dataset.field2token_id["user_id"]:
            continue
        row = torch.zeros(1, length, dtype=torch.long)
        row[0, : min(len(ids), length)] = torch.tensor(ids[-length:])
        batch = {"user_id": torch.tensor([dataset.token2id("user_id", user)]), "item_id_list": row}
        batch = Interaction({**batch, "item_length": torch.tensor([min(len(ids), length)])})
        batch = transform(dataset, batch)
        with torch.no_grad():
            if type(model).__name__ == "DIN":
                pairs = batch.repeat_interleave(dataset.item_num)
                pairs.update(Interaction({"item_id": torch.arange(dataset.item_num)}))
                scores = model.predict(pairs)
            else:
                scores = model.full_sort_predict(batch).view(-1)
        scores[0] = -torch.inf
        found[user] = scores.topk(k)
    return found


@pytest.mark.parametrize("filtered", [False, True], ids=["", "filtered"])
@pytest.mark.parametrize("model", MODELS)
def test_best__equals_each_user_scored_alone(own_folder, model, filtered):
    events = list(dict.fromkeys(random_events(users=25, items=18)))
    write_events(own_folder, "tiny", events)
    recommender, dataset, trainer = made(own_folder, model, **FILTERS if filtered else {})
    assert recommender.dataset.field2token_id == dataset.field2token_id
    sequences = collect_sequences(recommender.dataset)
    if filtered:
        assert 3 < len(sequences) < 25 and dataset.item_num < 19
    expected = best_one_by_one(dataset, trainer, events, 5)
    assert set(sequences.names) == set(expected)
    for memory in (256, 1e-9):
        recommender.trainer.config["eval_memory"] = memory
        items, scores = recommender.best(sequences, 5)
        for name, mine, figures in zip(sequences.names, items, scores, strict=True):
            assert mine.tolist() == expected[name].indices.tolist()
            torch.testing.assert_close(torch.from_numpy(figures), expected[name].values)


@pytest.mark.parametrize("model", ["BPR", "LightGCN"])
def test_best__of_models_that_read_no_sequences(own_folder, model):
    events = list(random_events(users=25, items=18))
    write_events(own_folder, "tiny", events)
    split = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user"}}
    recommender, dataset, trainer = made(own_folder, model, **split)
    sequences = collect_sequences(recommender.dataset)
    items, scores = recommender.best(sequences, 18, mask_history=True)
    with torch.no_grad():
        expected = trainer.model.full_sort_predict(Interaction({"user_id": torch.arange(26)})).view(26, -1)
    for name, mine, figures in zip(sequences.names, items, scores, strict=True):
        user, rest = dataset.token2id("user_id", name), torch.arange(19)
        had = [dataset.token2id("item_id", item) for item in histories(events)[name]]
        left = torch.tensor([item for item in rest[1:].tolist() if item not in had])
        kept = figures > -np.inf
        assert set(mine[kept]) == set(left.tolist())
        torch.testing.assert_close(torch.from_numpy(figures[kept]), expected[user][left].sort(descending=True).values)


def test_best__keeps_within_the_memory(own_folder):
    write_events(own_folder, "tiny", random_events(users=25))
    recommender, *_ = made(own_folder, "GRU4Rec", eval_memory=1)
    model, seen = recommender.trainer.model, []
    model.full_sort_predict = lambda batch: (seen.append(batch["item_length"]), torch.rand(len(batch), 21))[1]
    sequences = collect_sequences(recommender.dataset)
    recommender.best(sequences, 3)
    assert [len(part) for part in seen] == [25]
    recommender.trainer.config["eval_memory"] = 7.5 * 8 * 4 * 8 * 32 / 2**20  # rows of 8 items, layers of width 32
    seen.clear()
    recommender.best(sequences, 3)
    assert [len(part) for part in seen] == [7, 7, 7, 4]
    assert torch.cat(seen).tolist() == sorted(torch.cat(seen).tolist(), reverse=True)  # like lengths together


def test_recommender__makes_no_table_of_prefixes(own_folder, monkeypatch):
    write_events(own_folder, "tiny", random_events())
    config = make_config("SASRec", own_folder, topk=[3], valid_metric="NDCG@3", checkpoint_dir=str(own_folder))
    _, _, trainer = build(config)
    trainer.write_checkpoint("one.pth", 0)
    monkeypatch.setattr("recbole.data.dataset.SequentialDataset.data_augmentation", None)
    assert len(collect_sequences(Recommender.from_config(config, Path("one.pth")).dataset)) == 30


def test_recommend__models_of_users_take_no_sequences(own_folder):
    write_events("dataset", "tiny", random_events())
    small = ["--dataset=tiny", "--epochs=1", "--embedding_size=8", "--topk=[3]", "--valid_metric=NDCG@3"]
    Path("new.csv").write_text("user,item\na,i3\n")
    succeed("run", "--model=FPMC", *small, "--run_dir=one")
    said = main("recommend", "one", "--sequences=new.csv")
    assert (
        said.status == 2
        and "FPMC needs field user_id, which is not known before an event (known: item_id_list" in said.err
    )
    succeed("run", "--model=BPR", *small, "--run_dir=two")
    said = main("recommend", "two", "--sequences=new.csv")
    assert said.status == 2 and "BPR does not read sequences; use --users" in said.err
    assert "title" not in succeed("recommend", "two", "--users=u1").out


# Users that a model is not trained on ---------------------------------------------------------------------------------


@pytest.fixture
def split_by_time(own_folder):
    """Settings of a run that is tested on events from time 20 on, without users that it is not trained on.

    User late begins after the split, and the second and last early event of user brief is for validation.
    """
    events = [(f"u{n}", f"i{(n + time) % 6}", 2 * time + 11) for n in range(12) for time in range(7)]
    events += [("late", "i1", 21), ("late", "i2", 22), ("late", "i3", 23)]
    events += [("brief", "i1", 12), ("brief", "i2", 14), ("brief", "i3", 24)]
    write_events("dataset", "tiny", events)
    options = {"cut": 20, "validation": "last_train_item", "unseen_users": "drop"}
    small = ["--epochs=1", "--embedding_size=8", "--topk=[3]", "--valid_metric=NDCG@3"]
    return ["--dataset=tiny", f"--eval_args={{'split': {{'GTS': {options}}}}}", *small]


@pytest.mark.parametrize("model", ["BPR", "FPMC", "ItemKNN"])
def test_recommend__serves_no_user_that_was_not_trained_on(split_by_time, model):
    said = succeed("run", f"--model={model}", *split_by_time, "--run_dir=run")
    assert "12 test targets of 12 users" in said.out
    said = succeed("recommend", "run", "--users=all", "--k=3", "--out=all.csv")
    assert f"no recommendations for late, brief: {model} was not trained on them, and it" in said.out
    assert set(pd.read_csv("all.csv")["user"]) == {f"u{n}" for n in range(12)}
    said = main("recommend", "run", "--users=late")
    assert said.status == 2 and f"no recommendations for late: {model} was not trained on them" in said.err


def test_recommend__serves_all_users_by_their_items(split_by_time):
    succeed("run", "--model=GRU4Rec", *split_by_time, "--run_dir=run")
    said = succeed("recommend", "run", "--users=all", "--k=3", "--out=all.csv")
    assert "no recommendations" not in said.out and {"late", "brief"} < set(pd.read_csv("all.csv")["user"])


def test_run__refuses_users_that_it_is_not_trained_on(split_by_time):
    kept = [one.replace("drop", "keep") for one in split_by_time]
    lines = Path("dataset/tiny/tiny.inter").read_text().splitlines()
    Path("dataset/tiny/tiny.inter").write_text("\n".join(line for line in lines if "late" not in line))
    said = main("run", "--model=FPMC", *kept)  # brief has one training event, so FPMC has no sample of it
    assert said.status == 2 and "none for users with fewer than two training events" in said.err


# Titles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, chosen",
    [
        ({"brand": "token", "title": "token_seq", "movie_title": "token"}, "title"),
        ({"Name": "token", "movie_title": "token_seq"}, "movie_title"),
        ({"class": "token", "song_name": "token_seq"}, "song_name"),
        ({"title": "float", "class": "token"}, None),
        ({}, None),
    ],
)
def test_title_column__is_found_by_name(names, chosen):
    found = find_title_column([Column(name, kind, f"{name}:{kind}") for name, kind in names.items()])
    assert (found.name if found else None) == chosen
