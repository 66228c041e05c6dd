"""Reading, filling, filtering and cutting: tensors as with pandas 2, and RecBole's errors with any pandas."""

import numpy as np
import pandas as pd
import pytest
from recbole.utils import FeatureSource

from recbole_samrec.compat import data as patches
from tests.helpers.toy_data import SASREC, built, load, suspend, table, tokens

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]

INTER = table("user_id:token item_id:token timestamp:float", "u1|i1|1", "u1|i2|2", "u2|i1|3")


# Missing values: `fill_missing_values`

ALL_ROWS = {"filter_inter_by_user_or_item": False}
MISSING = {
    "inter": table(
        "user_id:token item_id:token timestamp:float rating:float kind:token",
        "u1|i1|1|4|a",
        "u1|i2|2||",
        "u2|i1|3|1|b",
    ),
    "user": table(
        "user_id:token age:float job:token tags:token_seq vector:float_seq",
        "u1|20|doctor|x y|1 2",
        "u9|50|lawyer|y|3 4",
    ),
    "item": table("item_id:token price:float brand:token", "i1|1.5|b"),
}


def test_fill_missing_values__fills_them(tmp_path):
    dataset = built(tmp_path, MISSING, **ALL_ROWS)
    assert dataset.inter_feat["rating"].tolist() == [4, 2.5, 1]
    assert dataset.inter_feat["kind"].tolist() == [1, 0, 2]
    # Users in this order: padding, u1, u2 (without a row of features), u9 (without interactions).
    assert dataset.user_feat["age"].tolist() == [35, 20, 35, 50]
    assert dataset.user_feat["job"].tolist() == [0, 1, 0, 2]
    assert dataset.user_feat["tags"].tolist() == [[0, 0], [1, 2], [0, 0], [2, 0]]
    assert dataset.user_feat["vector"].tolist() == [[0, 0], [1, 2], [0, 0], [3, 4]]
    assert dataset.item_feat["price"].tolist() == [1.5, 1.5, 1.5]
    assert dataset.item_feat["brand"].tolist() == [0, 1, 0]


def test_fill_missing_values__fills_before_normalization(tmp_path):
    dataset = built(tmp_path, MISSING, normalize_all=True, **ALL_ROWS)
    assert dataset.inter_feat["rating"].tolist() == [1, 0.5, 0]
    assert dataset.user_feat["age"].tolist() == [0.5, 0, 0.5, 1]


def test_fill_missing_values__leaves_them_without_the_patch(tmp_path):
    with suspend("fill_missing_values"):
        dataset = built(tmp_path, MISSING, **ALL_ROWS)
    assert dataset.inter_feat["rating"].isnan().tolist() == [False, True, False]
    assert dataset.user_feat["job"][0] == dataset.user_feat["job"][2] != 0


# Empty cells of sequence columns: `fill_empty_sequences`

EMPTY_CELLS = {
    "inter": table(
        "user_id:token item_id:token timestamp:float tags:token_seq scores:float_seq",
        "u1|i1|1|x y|",
        "u1|i2|2||0.5 2",
        "u2|i1|3|y|1",
    )
}


def test_empty_sequences__come_of_empty_cells(tmp_path):
    dataset = built(tmp_path, EMPTY_CELLS)
    assert dataset.inter_feat["tags"].tolist() == [[1, 2], [0, 0], [2, 0]]
    assert dataset.inter_feat["scores"].tolist() == [[0, 0], [0.5, 2], [1, 0]]


def test_empty_sequences__may_be_all_of_a_column(tmp_path):
    text = table("user_id:token item_id:token timestamp:float tags:token_seq", "u1|i1|1|", "u1|i2|2|")
    dataset = built(tmp_path, {"inter": text})
    assert dataset.inter_feat["tags"].shape == (2, 0)


def test_empty_sequences__crash_without_the_patch(tmp_path):
    with suspend("fill_empty_sequences"), pytest.raises(AttributeError, match="split"):
        built(tmp_path, EMPTY_CELLS)


# Lengths of rows: `return_length_of_each_row`

BENCHMARK_HEAD = "user_id:token item_id:token timestamp:float item_id_list:token_seq timestamp_list:float_seq"
BENCHMARK = {
    "train.inter": table(BENCHMARK_HEAD, "u1|i2|2|i1|1", "u1|i3|3|i1 i2|1 2", "u1|i4|4|i1 i2 i3|1 2 3"),
    "valid.inter": table(BENCHMARK_HEAD, "u2|i1|9|i3 i2|7 8"),
    "test.inter": table(BENCHMARK_HEAD, "u2|i4|10|i3 i2 i1|7 8 9", "u3|i4|5||"),
}
BENCHMARK_SETTINGS = SASREC | {"benchmark_filename": ["train", "valid", "test"], "alias_of_item_id": ["item_id_list"]}


def test_benchmark_lists__have_their_length(tmp_path):
    dataset = built(tmp_path, BENCHMARK, **BENCHMARK_SETTINGS)
    assert dataset.inter_feat["item_length"].tolist() == [1, 2, 3, 2, 3]  # the event without history is dropped
    # Ids in order of appearance: the item column i2 i3 i4 i1 first, then the lists.
    i1, i2, i3 = dataset.token2id("item_id", ["i1", "i2", "i3"])
    lists = [[i1, 0, 0], [i1, i2, 0], [i1, i2, i3], [i3, i2, 0], [i3, i2, i1]]
    assert dataset.inter_feat["item_id_list"].tolist() == lists


def test_benchmark_lists__have_no_length_without_the_patch(tmp_path):
    with suspend("return_length_of_each_row"), pytest.raises((AssertionError, ValueError)):
        test_benchmark_lists__have_their_length(tmp_path)


def test_float_sequences__are_normalized_one_by_one(tmp_path):
    text = table("item_id:token vector:float_seq", "i1|0 1", "i2|2", "i3|3 4")
    dataset = built(tmp_path, {"inter": INTER, "item": text}, normalize_all=True, **ALL_ROWS)
    assert dataset.item_feat["vector"].tolist() == [[0, 0], [0, 0.25], [0.5, 0], [0.75, 1]]


def test_float_sequences__may_have_one_length(tmp_path):
    text = table("user_id:token item_id:token timestamp:float tags:token_seq", "u1|i1|1|a b", "u1|i2|2|b c")
    assert built(tmp_path, {"inter": text}).inter_feat["tags"].tolist() == [[1, 2], [2, 3]]


def test_float_sequences__are_discretized(tmp_path):
    text = table("item_id:token vector:float_seq", "i1|0 1", "i2|2", "i3|3 4")
    settings = {"numerical_features": ["vector"], "discretization": {"vector": {"method": "ED", "bucket": 2}}}
    vectors = built(tmp_path, {"inter": INTER, "item": text}, **settings | ALL_ROWS).item_feat["vector"]
    assert vectors[..., 0].tolist() == [[0, 0], [1, 1], [1, 0], [1, 1]]
    assert vectors[..., 1].tolist() == [[0, 0], [1, 1], [1, 0], [2, 2]]


# Text: `read_text_as_object`, `read_plain_files_fast`, `keep_na_tokens`


def read(tmp_path, text, **settings):
    """Read an ``.inter`` file with RecBole."""
    dataset = load(tmp_path, {"inter": INTER}, **settings)
    path = tmp_path / "read.inter"
    path.write_bytes(text.encode())
    return dataset._load_feat(str(path), FeatureSource.INTERACTION)


def test_text_dtype__is_python_objects(tmp_path):
    assert [str(dtype) for dtype in read(tmp_path, INTER).dtypes] == ["object", "object", "float64"]


def test_text_dtype__is_string_type_without_the_patch(tmp_path):
    with suspend("read_text_as_object"):
        assert str(read(tmp_path, INTER).dtypes["user_id"]) != "object"


HEAD = "user_id:token\titem_id:token\ttimestamp:float\n"
FILES = {
    "plain": "1\ta\t1.5\n2\tb\t2\n",
    "empty cells": "1\t\t\n\tb\t2\n",
    "blanks": " 1\t a b \t2 \n3 \tb\t 4\n",
    "blank lines": "1\ta\t2\n\n   \n3\tb\t4\n\n",
    "no last line end": "1\ta\t2\n3\tb\t4",
    "Windows line ends": "1\ta\t2\r\n3\tb\t4\r\n",
    "numbers": "01\t1.0\t1e3\n2\t1e5\t-0.1\n3\tinf\tinf\n4\tx\t1600000000123456789\n",
    "NA markers": "NA\ta\tNA\nnull\tNone\tnan\n",
    "short rows": "1\ta\n3\tb\t4\n",
    "quotes": '1\t"a b"\t3\n2\t"x""y"\t4\n3\tpl"ain\t5\n4\t""\t6\n',
    "quoted line end": '1\t"a\nb"\t3\n2\tx\t4\n',
    "surplus cells": "1\ta\t2\t9\n3\tb\t4\t8\n",
    "underscores": "1\ta\t1_000\n2\tb\t2\n",
    "not ASCII": "ü\tä\u2028ö\t1\n二\ta\x85b\t2\n",
}
ODD = {"quotes", "quoted line end", "underscores"}


@pytest.mark.parametrize("name", FILES)
def test_csv_engine__reads_the_same_when_fast(tmp_path, name):
    fast = read(tmp_path, HEAD + FILES[name])
    with suspend("read_plain_files_fast"):
        slow = read(tmp_path, HEAD + FILES[name])
    pd.testing.assert_frame_equal(fast, slow, check_exact=True)


def test_csv_engine__shifts_no_column_for_surplus_cells(tmp_path):
    text = HEAD + FILES["surplus cells"]
    assert read(tmp_path, text).to_numpy().tolist() == [["1", "a", 2], ["3", "b", 4]]
    with suspend("read_first_column_as_data"), suspend("read_plain_files_fast"):
        assert read(tmp_path, text, keep_na_tokens=False).to_numpy().tolist() == [["a", "2", 9], ["b", "4", 8]]


def test_csv_engine__converts_large_integers(tmp_path):
    text = HEAD + '"1"\ta\t9223372036854775808\n2\tb\t\n'
    assert read(tmp_path, text)["timestamp"].tolist()[0] == 2.0**63
    with suspend("read_large_integers"), pytest.raises(ValueError, match="Unable to convert column"):
        read(tmp_path, text)


def test_csv_engine__is_chosen_by_file(tmp_path, monkeypatch):
    engines = []
    read_csv = pd.read_csv

    def note_engine(*args, **options):
        frame = read_csv(*args, **options)
        engines.append(options["engine"])
        return frame

    monkeypatch.setattr(pd, "read_csv", note_engine)
    for name, text in FILES.items():
        read(tmp_path, HEAD + text)
        assert (engines[-1] == "python") == (name in ODD), name
    with suspend("read_plain_files_fast"):
        read(tmp_path, HEAD + FILES["plain"])
    assert engines[-1] == "python"


def test_csv_engine__is_pythons_for_long_separators(tmp_path):
    text = "user_id:token::item_id:token::timestamp:float\nu1::i1::1\n"
    (tmp_path / "x").write_text(text)
    assert not patches._is_plain(str(tmp_path / "x"), "::", "utf-8")
    assert not patches._is_plain(str(tmp_path / "x"), ":", "utf-16")


NA_TOKENS = {
    "inter": table(
        "user_id:token item_id:token timestamp:float tags:token_seq",
        "NA|None|1|null",
        "nan|i1|2|a nan",
        "u1|null|NA|",
        "|i1|4|a",
    )
}


def test_na_tokens__are_tokens(tmp_path):
    dataset = built(tmp_path, NA_TOKENS)
    assert tokens(dataset, "user_id") == ["NA", "u1", "nan"]  # u1's time is missing: the mean of 1 and 2
    assert list(dataset.field2id_token["item_id"]) == ["[PAD]", "None", "i1", "null"]
    assert list(dataset.field2id_token["tags"]) == ["[PAD]", "null", "a", "nan"]
    assert dataset.inter_feat["timestamp"].tolist() == [1, 1.5, 2]


def test_na_tokens__are_missing_when_asked(tmp_path):
    text = NA_TOKENS["inter"] + "u2\ti2\t5\ta b\n"
    dataset = built(tmp_path, {"inter": text}, keep_na_tokens=False)
    assert tokens(dataset, "user_id") == ["u2"]


def test_na_tokens__are_missing_without_the_patch(tmp_path):
    text = NA_TOKENS["inter"] + "u2\ti2\t5\ta b\n"
    with suspend("keep_na_tokens"):
        assert tokens(built(tmp_path, {"inter": text}), "user_id") == ["u2"]


# Rows without user or item: `drop_rows_without_user_or_item`

NO_IDS = {
    "inter": table("user_id:token item_id:token timestamp:float", "u1|i1|1", "|i2|2", "u2||3", "u3|i3|4", "||5"),
    "user": table("user_id:token age:float", "u1|1", "u1|9", "|5", "u2|2", "u3|3"),
}


def test_rows_without_ids__are_dropped(tmp_path, caplog):
    dataset = built(tmp_path, NO_IDS)
    assert (tokens(dataset, "user_id"), tokens(dataset, "item_id")) == (["u1", "u3"], ["i1", "i3"])
    assert list(dataset.field2id_token["user_id"]) == ["[PAD]", "u1", "u3", "u2"]
    assert dataset.user_feat["age"].tolist() == [2, 1, 3, 2]
    (message,) = [record.getMessage() for record in caplog.records if "removed" in record.getMessage()]
    assert "1 of 4 rows of user_feat (user_id is empty)" in message
    assert "3 of 5 rows of inter_feat (user_id or item_id is empty)" in message


def test_rows_without_ids__take_others_along_without_the_patch(tmp_path):
    text = table("user_id:token item_id:token timestamp:float", "u1|i1|1", "|i2|2", "u2||3", "u3|i3|4", "u3|i1|5")
    with suspend("drop_rows_without_user_or_item"):
        dataset = built(tmp_path, {"inter": text})
    rows = list(zip(tokens(dataset, "user_id"), tokens(dataset, "item_id"), strict=True))
    assert ("u2", "[PAD]") in rows and ("u3", "i3") not in rows


# Benchmark files: `cut_benchmark_lists`, `warn_of_unfiltered_benchmark_files`


def test_benchmark_lists__are_cut_to_the_last_items(tmp_path):
    dataset = built(tmp_path, BENCHMARK, MAX_ITEM_LIST_LENGTH=2, **BENCHMARK_SETTINGS)
    i1, i2, i3 = dataset.token2id("item_id", ["i1", "i2", "i3"])
    lists = [[i1, 0], [i1, i2], [i2, i3], [i3, i2], [i2, i1]]
    assert dataset.inter_feat["item_id_list"].tolist() == lists
    assert dataset.inter_feat["timestamp_list"].tolist() == [[1, 0], [1, 2], [2, 3], [7, 8], [8, 9]]
    assert dataset.inter_feat["item_length"].tolist() == [1, 2, 2, 2, 2]
    assert dataset.field2seqlen["item_id_list"] == dataset.field2seqlen["timestamp_list"] == 2


def test_benchmark_lists__cut_numerical_pairs_too(tmp_path):
    settings = BENCHMARK_SETTINGS | {"numerical_features": ["timestamp_list"], "MAX_ITEM_LIST_LENGTH": 2}
    times = built(tmp_path, BENCHMARK, **settings).inter_feat["timestamp_list"]
    assert times[..., 0].tolist() == [[1, 0], [1, 2], [2, 3], [7, 8], [8, 9]]
    assert times[..., 1].tolist() == [[1, 0], [1, 1], [1, 1], [1, 1], [1, 1]]


def test_benchmark_lists__are_too_long_without_the_patch(tmp_path):
    with suspend("cut_benchmark_lists"):
        dataset = built(tmp_path, BENCHMARK, MAX_ITEM_LIST_LENGTH=2, **BENCHMARK_SETTINGS)
    assert dataset.inter_feat["item_id_list"].shape == (5, 3)


def test_filters__without_effect_are_named(tmp_path, caplog):
    built(tmp_path, BENCHMARK, user_inter_num_interval="[5,inf)", **BENCHMARK_SETTINGS)
    assert "user_inter_num_interval had no effect" in caplog.text
    caplog.clear()
    built(tmp_path, BENCHMARK, **BENCHMARK_SETTINGS)
    assert "had no effect" not in caplog.text
    with suspend("warn_of_unfiltered_benchmark_files"):
        built(tmp_path, BENCHMARK, user_inter_num_interval="[5,inf)", **BENCHMARK_SETTINGS)
    assert "had no effect" not in caplog.text


# Knowledge graphs: `number_rows_after_link_filter`

GRAPH = {
    "inter": table(
        "user_id:token item_id:token timestamp:float tags:token_seq", "u1|i1|1|x", "u1|i2|2|y", "u2|i3|3|x z"
    ),
    "kg": table("head_id:token relation_id:token tail_id:token", "e1|r|e3"),
    "link": table("item_id:token entity_id:token", "i1|e1", "i3|e3"),
}


def test_linked_sequences__follow_their_items(tmp_path):
    dataset = built(tmp_path, GRAPH, model="CKE")
    assert tokens(dataset, "item_id") == ["i1", "i3"]
    assert dataset.inter_feat["tags"].tolist() == [[1, 0], [1, 2]]


def test_linked_sequences__crash_without_the_patch(tmp_path):
    with suspend("number_rows_after_link_filter"), pytest.raises(KeyError):
        built(tmp_path, GRAPH, model="CKE")


def test_csv_engine__reads_the_nearest_floats(tmp_path):
    texts = ["0.1", "1600000000.123456", "0.30000000000000004", "9007199254740993"]
    frame = read(tmp_path, HEAD + "".join(f"u\ti\t{text}\n" for text in texts))
    assert np.array_equal(frame["timestamp"], [float(text) for text in texts])
