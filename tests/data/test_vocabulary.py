"""A run's tokens are stored in the order of their ids, as text, with the fields that the model has weights for."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.vocabulary import TOKENS, Vocabulary, load_vocabulary
from recbole_samrec.utils.errors import CheckpointError

STORED = {
    "kind": np.array(["[PAD]", "b"], dtype=object),
    "item": np.array(["[PAD]", "007", "NA", "", "7"], dtype=object),
    "user": np.array(["[PAD]", "ü", "null"], dtype=object),
}
DATASET = SimpleNamespace(uid_field="user", iid_field="item", field2id_token=STORED)


def test_vocabulary__collects_what_the_model_reads():
    assert list(Vocabulary.collect(DATASET, {"item"}).tokens) == ["user", "item"]
    collected = Vocabulary.collect(DATASET, {"kind", "item", "price"})  # a price has no tokens
    assert list(collected.tokens) == ["user", "item", "kind"] and collected.read == {"kind", "item"}


def test_load_vocabulary__reads_what_was_saved(tmp_path):
    Vocabulary.collect(DATASET, {"item", "kind"}).save(tmp_path / TOKENS)
    found = load_vocabulary(tmp_path / TOKENS)
    assert found.read == {"item", "kind"} and list(found.tokens) == ["user", "item", "kind"]
    assert {name: tokens.tolist() for name, tokens in found.tokens.items()} == {
        name: tokens.tolist() for name, tokens in STORED.items()
    }


def test_vocabulary__is_saved_as_a_plain_table(tmp_path):
    Vocabulary.collect(DATASET, {"item"}).save(tmp_path / TOKENS)
    table = pd.read_parquet(tmp_path / TOKENS)
    assert list(table) == ["field", "id", "token", "read"]
    assert list(table["id"]) == [0, 1, 2, 0, 1, 2, 3, 4]
    assert list(table.loc[table["field"] == "item", "token"]) == ["[PAD]", "007", "NA", "", "7"]
    assert list(table["read"]) == [False] * 3 + [True] * 5


@pytest.mark.parametrize("content", [b"", b"PAR1", "columns"])
def test_load_vocabulary__names_a_damaged_file(tmp_path, content):
    file = tmp_path / TOKENS
    if content == "columns":
        pd.DataFrame({"field": ["item"], "id": [0]}).to_parquet(file)
    else:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{file}: the tokens of the run cannot be read \(.*; copy the file"):
        load_vocabulary(file)
