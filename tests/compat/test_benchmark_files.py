"""Benchmark files: ids that lists share, padding, names of columns, and two files instead of three."""

import pytest

from recbole_samrec.utils.errors import ConfigError, DataError
from tests.helpers.toy_data import SASREC, load, suspend, table, tokens

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]

HEAD = "user_id:token item_id:token timestamp:float item_id_list:token_seq"
FILES = {
    "train.inter": table(HEAD, "u1|i2|2|i1", "u1|i3|3|i1 i2", "u2|i2|1|i5", "u3|i4|1|i1", "u3|i1|2|i1 i4"),
    "valid.inter": table(HEAD, "u1|i4|4|i1 i2 i3"),
    "test.inter": table(HEAD, "u1|i5|5|i1 i2 i3 i4", "u2|i1|2|i5 i2"),
}
THREE = SASREC | {"benchmark_filename": ["train", "valid", "test"]}
TWO = SASREC | {"benchmark_filename": ["train", "test"]}
BPR = {"model": "BPR", "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}


def replaced(old, new):
    return {name: text.replace(old, new) for name, text in FILES.items()}


def samples(folder, files, **settings):
    """User, item and list of each sample, as tokens, part by part."""
    dataset = load(folder, files, **settings)
    lists = f"{dataset.iid_field}{dataset.config['LIST_SUFFIX']}"
    names = dataset.field2id_token[dataset.iid_field]
    parts = []
    for part in dataset.build():
        rows = part.inter_feat
        histories = [" ".join(names[i] for i in row if i) for row in rows[lists].tolist()] if lists in rows else []
        histories = histories or [""] * len(rows)
        parts.append(list(zip(tokens(part, "user_id"), tokens(part, dataset.iid_field), histories, strict=True)))
    return parts


EXPECTED = [
    [("u1", "i2", "i1"), ("u1", "i3", "i1 i2"), ("u2", "i2", "i5"), ("u3", "i4", "i1"), ("u3", "i1", "i1 i4")],
    [("u1", "i4", "i1 i2 i3")],
    [("u1", "i5", "i1 i2 i3 i4"), ("u2", "i1", "i5 i2")],
]


def test_share_ids_with_lists__takes_the_alias_as_given(tmp_path):
    assert samples(tmp_path, FILES, **THREE) == EXPECTED
    alias = {"alias_of_item_id": ["item_id_list"]}
    given, default = (load(tmp_path, FILES, **THREE, **more) for more in (alias, {}))
    assert given.field2token_id["item_id"] == default.field2token_id["item_id"]
    assert given.inter_feat.map(str).equals(default.inter_feat.map(str))


def test_share_ids_with_lists__gives_other_ids_without_the_patch(tmp_path):
    with suspend("share_ids_with_lists"):
        assert samples(tmp_path, FILES, **THREE) != EXPECTED


def test_share_ids_with_lists__counts_items_of_lists_alone(tmp_path):
    files = {name: text.replace("i1\n", "first i1\n") for name, text in FILES.items()}
    assert "first" in load(tmp_path, files, **THREE).field2token_id["item_id"]


def test_share_ids_with_lists__includes_other_columns(tmp_path):
    head = f"{HEAD} kind:token kind_list:token_seq"
    row = "u1|i{}|{}|i1 i2|k{}|k1 k2"
    files = {f"{part}.inter": table(head, row.format(n, n, n)) for n, part in enumerate(("train", "valid", "test"))}
    dataset = load(tmp_path, files, **THREE)
    assert dataset.field2token_id["kind"] is dataset.field2token_id["kind_list"]
    assert dataset.field2id_token["kind"].tolist() == ["[PAD]", "k0", "k1", "k2"]


def test_share_ids_with_lists__removes_padding(tmp_path, caplog):
    rows = [line.split("\t") for line in FILES["train.inter"].splitlines()[1:]]
    padded = [[*row[:3], " ".join((row[3].split() + ["0"] * 4)[:4])] for row in rows]
    files = FILES | {"train.inter": table(HEAD, *("|".join(row) for row in padded))}
    assert samples(tmp_path, files, **THREE) == EXPECTED
    assert "removed '0', which pads 5 lists" in caplog.text


def test_share_ids_with_lists__drops_events_without_history(tmp_path, caplog):
    files = FILES | {"train.inter": FILES["train.inter"] + "u9\ti1\t1\t\n"}
    assert samples(tmp_path, files, **THREE) == EXPECTED
    assert "dropped 1 events without earlier items" in caplog.text


def test_share_ids_with_lists__warns_of_lists_of_other_lengths(tmp_path, caplog):
    files = {name: table(f"{HEAD} timestamp_list:float_seq", f"u1|i1|{n}|i1 i2|1") for n, name in enumerate(FILES)}
    samples(tmp_path, files, **THREE)
    assert "3 lists of timestamp_list differ in length from those of item_id_list" in caplog.text


@pytest.mark.parametrize(
    ("files", "settings", "words"),
    [
        (FILES, {"load_col": {"inter": ["user_id", "item_id"]}}, "load_col lacks item_id_list"),
        (replaced("item_id_list", "history"), {}, "has no column item_id_list"),
        (replaced("list:token_seq", "list:token"), {}, "write item_id_list:token_seq"),
    ],
)
def test_share_ids_with_lists__needs_the_lists(tmp_path, files, settings, words):
    with pytest.raises(DataError, match=words):
        load(tmp_path, files, **THREE, **settings)


def test_name_benchmark_lists__follows_the_settings(tmp_path):
    files = {name: text.replace("item_id_list", "track_seq") for name, text in FILES.items()}
    files = {name: text.replace("item_id", "track") for name, text in files.items()}
    assert samples(tmp_path, files, **THREE, ITEM_ID_FIELD="track", LIST_SUFFIX="_seq") == EXPECTED


def test_name_benchmark_lists__is_fixed_without_the_patch(tmp_path):
    with suspend("name_benchmark_lists"), pytest.raises(AttributeError, match="item_id_list_field"):
        load(tmp_path, replaced("item_id", "track"), **THREE, ITEM_ID_FIELD="track")


def test_hold_out_for_validation__takes_last_training_events(tmp_path):
    """The training part loses two events, u2 keeps its only one, and the test part is as in the file."""
    train, valid, test = samples(tmp_path, FILES, **TWO)
    assert train == [EXPECTED[0][0], EXPECTED[0][2], EXPECTED[0][3]]
    assert valid == [EXPECTED[0][1], EXPECTED[0][4]]
    assert test == EXPECTED[2]


def test_hold_out_for_validation__needs_no_lists(tmp_path):
    train, valid, test = samples(tmp_path, FILES, benchmark_filename=["train", "test"], **BPR)
    assert [row[:2] for row in train] == [("u1", "i2"), ("u2", "i2"), ("u3", "i4")]
    assert [row[:2] for row in valid] == [("u1", "i3"), ("u3", "i1")]
    assert [row[:2] for row in test] == [("u1", "i5"), ("u2", "i1")]


def test_hold_out_for_validation__rejects_other_numbers(tmp_path):
    with pytest.raises(ConfigError, match="benchmark_filename="):
        load(tmp_path, FILES, benchmark_filename=["train"], **BPR)


def test_hold_out_for_validation__is_missing_without_the_patch(tmp_path):
    with suspend("hold_out_for_validation"):
        assert len(load(tmp_path, FILES, **TWO).build()) == 2
