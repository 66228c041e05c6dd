"""The ranks of test items agree with RecBole's metrics, and are stored for every run."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_samrec.evaluator import test_ranks, user_metrics
from recbole_samrec.utils.errors import DataError
from tests.helpers.command import SMALL, succeed
from tests.helpers.tiny import cyclic, random_events, write_events

PROTOCOL = [
    "--epochs=2",
    "--repeatable=True",
    "--eval_args={'split':{'LS':'valid_and_test'},'order':'TO','mode':'full'}",
    "--load_col={'inter':['user_id','item_id','timestamp']}",
]


@pytest.fixture
def data(own_folder):
    """Users with histories of random items."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    return own_folder


def trained(folder, *arguments):
    """The result of a run, and its ranks."""
    succeed("run", "--dataset=tiny", f"--run_dir={folder}", *arguments)
    return json.loads(Path(folder, "result.json").read_text()), test_ranks.load_ranks(Path(folder, "ranks.npz"))


def metrics(rank):
    """HR and NDCG by their definition."""
    found = {k: rank <= k for k in (5, 10, 20)}
    hr = {f"hr@{k}": hit.mean() for k, hit in found.items()}
    return hr | {f"ndcg@{k}": np.where(hit, 1 / np.log2(rank + 1), 0).mean() for k, hit in found.items()}


def test_places_without_and_with_equal_scores():
    scores = torch.tensor([[-math.inf, 3.0, 1.0, 2.0, 0.5], [-math.inf, 1.0, 1.0, 1.0, 1.0]])
    rows, items = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 3, 4, 2])
    assert test_ranks.find_ranks(scores[:1], rows[:3], items[:3], best=1).tolist() == [1, 2, 4]
    listed = torch.topk(scores, 2, dim=-1).indices[1].tolist()
    tied = test_ranks.find_ranks(scores[1:], torch.zeros(4, dtype=int), torch.tensor([1, 2, 3, 4]), best=2).tolist()
    assert {item: place for item, place in zip([1, 2, 3, 4], tied, strict=True) if place < 3} == {
        item: place for place, item in enumerate(listed, 1)
    }
    assert sorted(tied) == [1, 2, 3, 3]  # behind the list, and not on it however the rest is ordered


@pytest.mark.parametrize("model", ["SAMRec", "Pop", "BPR", "GRU4Rec"])
@pytest.mark.parametrize("masked", [False, True])
def test_ranks_give_the_reported_metrics(data, model, masked):
    result, kept = trained("one", f"--model={model}", f"--mask_history={masked}", *PROTOCOL)
    wanted = metrics(kept.frame["masked_rank" if masked else "rank"])
    for name, value in wanted.items():
        assert result["test"][name] == pytest.approx(value, abs=1e-6), name  # RecBole counts in float32 at times
    if model != "Pop":  # many of its items have the same score, and their order is nobody's
        assert (kept.frame["masked_rank"] <= kept.frame["rank"]).all()


def test_what_is_told_of_each_test_event(data):
    """Counted again from the file, by hand."""
    _, kept = trained("one", *SMALL)
    lines = [line.split("\t") for line in Path("dataset/tiny/tiny.inter").read_text().splitlines()[1:]]
    users = {}
    for user, item, _ in sorted(lines, key=lambda line: int(line[2])):
        users.setdefault(user, []).append(item)
    training = [item for items in users.values() for item in items[:-2]]
    assert kept.frame["history"].tolist() == [len(users[user]) - 1 for user in sorted(users)]
    assert kept.frame["popularity"].tolist() == [training.count(users[user][-1]) for user in sorted(users)]


def test_masked_places_leave_the_history_out(own_folder):
    """On a circle that is completed once, the best model ranks no item of the history."""
    write_events("dataset", "tiny", cyclic(users=60, items=30, length=10))
    _, kept = trained("one", "--sam_rho=0", *SMALL)
    frame = kept.frame
    assert (frame["masked_rank"] >= frame["rank"] - frame["history"]).all()
    assert (frame["masked_rank"] < frame["rank"]).any()


def test_all_models_rank_the_same_items_for_the_same_users(data):
    tests = {m: trained(m, f"--model={m}", *PROTOCOL)[1].test for m in ("SAMRec", "BPR", "Pop", "FPMC")}
    assert len(set(tests.values())) == 1


def test_another_test_set_has_another_hash(data):
    _, one = trained("one", *SMALL)
    write_events("dataset", "tiny", random_events(users=30, items=25, seed=1))
    _, other = trained("other", *SMALL)
    assert one.test != other.test


@pytest.mark.parametrize("damage", ["none", "empty", "no zip", "cut", "flipped", "packed otherwise", "another array"])
def test_a_damaged_file_is_an_error(tmp_path, damage):
    file = tmp_path / "ranks.npz"
    columns = {name: np.arange(1, 400) for name in test_ranks.COLUMNS + test_ranks.INDEX}
    test_ranks.Ranks(pd.DataFrame(columns), "hash").save(file)
    whole = file.read_bytes()
    if damage == "none":
        assert test_ranks.load_ranks(file).frame["rank"].tolist() == list(range(1, 400))
        return
    if damage == "another array":
        with open(file, "wb") as stream:
            np.save(stream, np.arange(3))
    else:
        method = whole.index(b"PK\x01\x02") + 10  # of the first array, as the archive's table says
        file.write_bytes(
            {
                "empty": b"",
                "no zip": b"PK no archive",
                "cut": whole[: len(whole) // 2],
                "flipped": whole[:200] + bytes(byte ^ 255 for byte in whole[200:240]) + whole[240:],
                "packed otherwise": whole[:method] + b"\x63" + whole[method + 1 :],
            }[damage]
        )
    with pytest.raises(DataError, match=r"no ranks of a run.*rm .*ranks\.npz"):
        test_ranks.load_ranks(file)


RATIO = "--eval_args={'split':{'RS':[0.5,0.2,0.3]},'order':'TO','mode':'full','group_by':'user'}"


@pytest.mark.parametrize("model", ["SASRec", "SAMRec", "BPR"])
def test_several_events_of_a_user(data, model):
    """Users, events and histories counted again from the file, and the metrics of RecBole's evaluator."""
    result, kept = trained("one", f"--model={model}", *PROTOCOL[:2], RATIO, PROTOCOL[3])
    frame = kept.frame
    lines = [line.split("\t") for line in Path("dataset/tiny/tiny.inter").read_text().splitlines()[1:]]
    users = {}
    for user, item, _ in sorted(lines, key=lambda line: int(line[2])):
        users.setdefault(user, []).append(item)
    assert frame["user"].is_monotonic_increasing and frame["user"].nunique() == len(users)
    for (_, part), user in zip(frame.groupby("user"), sorted(users), strict=True):
        tested = part.sort_values("event")
        assert tested["event"].tolist() == list(range(len(part)))
        before = len(users[user]) - len(part)
        if model == "BPR":
            (before,) = set(tested["history"])
            assert len(part) == len(set(users[user][before:]))  # an item that is tested twice counts once
        else:
            assert tested["history"].tolist() == [before + n for n in range(len(part))]
    assert frame["event"].max() > 0
    alone = np.arange(len(frame)) if model != "BPR" else frame["user"].to_numpy()
    assert kept.prediction == (user_metrics.AT_ONCE if model == "BPR" else user_metrics.ONE_BY_ONE)
    for name in ("hr@5", "hr@10", "ndcg@5", "ndcg@10", "ndcg@20"):
        assert user_metrics.score_users(frame["rank"], name, alone, kept.prediction).mean() == pytest.approx(
            result["test"][name], abs=1e-6
        )


def test_gather__numbers_the_samples_of_all_processes(monkeypatch):
    """Each of two processes scores every other sample; together they have the ranks of one process."""
    draw = torch.Generator().manual_seed(0)
    scores, users, items = torch.rand((5, 7), generator=draw), torch.tensor([3, 1, 1, 2, 3]), torch.arange(1, 6)
    alone, *shares = recorders = [test_ranks.RankRecorder(3) for _ in range(3)]
    for part, recorder in zip((slice(0, 5), slice(0, 5, 2), slice(1, 5, 2)), recorders, strict=True):
        rows = torch.arange(len(users[part]))
        for half in (rows[:2], rows[2:]):
            batch = (users[part][half], scores[part][half], scores[part][half])
            recorder.record(*batch, torch.arange(len(half)), items[part][half])
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr(
        "torch.distributed.all_gather_object",
        lambda found, mine: found.__setitem__(slice(None), [share._columns for share in shares]),
    )
    shares[0].gather()
    whole, gathered = (
        torch.stack([torch.cat(column) for column in zip(*one._columns, strict=True)]) for one in (alone, shares[0])
    )
    assert torch.equal(gathered[:, gathered[0].argsort()], whole)
