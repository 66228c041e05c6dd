"""Hashes of the files of a data set."""

import hashlib

from recbole_samrec.data.files import hash_interactions


def test_hash_interactions__covers_all_benchmark_files(own_folder):
    for part, content in (("train", b"a"), ("test", b"b")):
        (own_folder / f"x.{part}.inter").write_bytes(content)
    config = {"data_path": str(own_folder), "dataset": "x", "benchmark_filename": ["train", "test"]}
    assert hash_interactions(config) == hashlib.sha256(b"ab").hexdigest()
