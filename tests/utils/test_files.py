"""Files are replaced atomically."""

import hashlib
from pathlib import Path

import pytest

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import hash_files, require_writable, write_atomically


def test_write_atomically__replaces_a_file_and_leaves_no_other(own_folder):
    for text in ("one", "tw\N{LATIN SMALL LETTER O WITH DIAERESIS}"):
        write_atomically(Path("file"), text)
        assert Path("file").read_text(encoding="utf-8") == text
    assert [path.name for path in own_folder.iterdir()] == ["file"]


def test_write_atomically__names_the_setting_of_the_folder(own_folder):
    with pytest.raises(ConfigError, match="choose another --out"):
        write_atomically(Path("missing/file"), "text", "--out")


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
