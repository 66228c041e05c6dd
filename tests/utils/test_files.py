"""Files are replaced atomically, and damaged ones are read as empty."""

import hashlib
from pathlib import Path

import pytest

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import hash_files, read_mapping, require_writable, write_atomically


def test_write_atomically__replaces_a_file_and_leaves_no_other(own_folder):
    for text in ("one", "tw\N{LATIN SMALL LETTER O WITH DIAERESIS}"):
        write_atomically(Path("file"), text)
        assert Path("file").read_text(encoding="utf-8") == text
    assert [path.name for path in own_folder.iterdir()] == ["file"]


def test_write_atomically__names_the_setting_of_the_folder(own_folder):
    with pytest.raises(ConfigError, match="choose another --out"):
        write_atomically(Path("missing/file"), "text", "--out")


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"[1]", b"null", b"\xff"])
def test_read_mapping__is_empty_for_missing_and_damaged_files(tmp_path, content):
    file = tmp_path / "file.json"
    if content is not None:
        file.write_bytes(content)
    assert read_mapping(file) == {}


def test_read_mapping__is_what_was_written(tmp_path):
    file = tmp_path / "file.json"
    file.write_text('{"a": [1, null]}', encoding="utf-8")
    assert read_mapping(file) == {"a": [1, None]}


def test_require_writable__creates_a_folder(own_folder):
    require_writable(Path("a/b"), "--out")
    assert Path("a/b").is_dir() and not list(Path("a/b").iterdir())
    Path("file").touch()
    with pytest.raises(ConfigError, match=r"^--out=file: the folder cannot be written"):
        require_writable(Path("file"), "--out")


def test_hash_files__is_the_hash_of_their_contents_in_order(tmp_path):
    files = [tmp_path / name for name in ("b", "a")]
    contents = [b"x" * (2**20 + 1), b"y"]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    assert hash_files(files) == hashlib.sha256(b"".join(contents)).hexdigest()
