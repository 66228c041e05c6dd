"""Exactly the fields whose sizes a model reads in its constructor are recorded."""

from types import SimpleNamespace

import pytest
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType

from recbole_samrec.integration.read_fields import record_read_fields

TOKENS = {"item": range(5), "user": range(3)}
DATA = SimpleNamespace(field2type=dict.fromkeys(TOKENS, FeatureType.TOKEN), field2id_token=TOKENS)


def test_record_read_fields__records_within_the_block_alone():
    num = Dataset.num
    with record_read_fields() as read:
        assert Dataset.num(DATA, "item") == num(DATA, "item") == 5
    Dataset.num(DATA, "user")
    assert read == {"item"} and Dataset.num is num


def test_record_read_fields__ends_with_an_error():
    num = Dataset.num
    with pytest.raises(KeyError), record_read_fields():
        raise KeyError
    assert Dataset.num is num
