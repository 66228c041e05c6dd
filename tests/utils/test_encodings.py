"""Names of encodings are distinguished from other names, and from codecs that do not read text."""

import pytest

from recbole_samrec.utils.encodings import is_text_encoding


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_is_text_encoding__knows_encodings(name):
    assert is_text_encoding(name)


@pytest.mark.parametrize("name", ["utf-9", "", "rot13", "zip", "hex", "undefined", "\0"])
def test_is_text_encoding__rejects_other_names(name):
    assert not is_text_encoding(name)
