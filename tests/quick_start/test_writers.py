"""The files of a run are written once, by the first process, and not again after resuming."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from recbole_samrec.data.row_order import ROWS, RowOrder
from recbole_samrec.data.vocabulary import TOKENS, load_vocabulary
from recbole_samrec.quick_start import writers
from recbole_samrec.quick_start.writers import DataWriter, RankWriter, RecordWriter

TOKENS_OF = {"user": np.array(["[PAD]", "a"]), "item": np.array(["[PAD]", "x"])}
DATASET = SimpleNamespace(uid_field="user", iid_field="item", field2id_token=TOKENS_OF)
TRAINER = SimpleNamespace(read_fields={"item"})


def make_context(folder, first=True, **settings):
    config = {"known_data": None, "topk": [5], "eval_args": {"mode": {"test": "full"}}, **settings}
    rows = RowOrder({}, "f" * 64)
    known = {"dataset": DATASET, "rows": rows, "test_data": SimpleNamespace(_dataset=None)}
    return SimpleNamespace(folder=folder, config=config, is_first_process=first, **known)


@pytest.mark.parametrize("first, resumed, written", [(True, False, True), (False, False, False), (True, True, False)])
def test_record_writer__writes_settings_of_a_new_run_once(tmp_path, monkeypatch, first, resumed, written):
    monkeypatch.setattr(writers, "extract_settings", lambda config: {"b": 1, "a": [2]})
    RecordWriter(make_context(tmp_path, first), resumed).on_train_start(None)
    file = tmp_path / "config.yaml"
    assert file.exists() is written
    assert not written or yaml.safe_load(file.read_text()) == {"a": [2], "b": 1}


def test_data_writer__stores_tokens_and_rows_once(tmp_path):
    context = make_context(tmp_path)
    DataWriter(context, resumed=False).on_train_start(TRAINER)
    assert load_vocabulary(tmp_path / TOKENS).read == {"item"} and (tmp_path / ROWS).exists()
    before = (tmp_path / TOKENS).read_bytes()
    DataWriter(context, resumed=False).on_train_start(SimpleNamespace(read_fields=set()))
    assert (tmp_path / TOKENS).read_bytes() == before


def test_data_writer__writes_none_for_an_older_resumed_run(tmp_path):
    known = tmp_path / "known"
    known.mkdir()
    for settings in ({}, {"known_data": str(known)}):
        DataWriter(make_context(tmp_path, **settings), resumed=True).on_train_start(TRAINER)
        assert not (tmp_path / TOKENS).exists()
    (known / TOKENS).touch()
    DataWriter(make_context(tmp_path, known_data=str(known)), resumed=True).on_train_start(TRAINER)
    assert (tmp_path / TOKENS).exists()


def test_rank_writer__writes_none_where_items_are_sampled(tmp_path):
    writer = RankWriter(make_context(tmp_path, eval_args={"mode": {"test": "uni100"}}))
    writer.on_test_start(None)
    writer.on_test_batch_end(None, None)
    writer.on_test_end(None, {})
    assert list(tmp_path.iterdir()) == []
