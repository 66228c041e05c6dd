"""Amazon's reviews and metadata give exactly the expected lines."""

import gzip
import json
from pathlib import Path

import pytest

from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import convert, lines


class TestAmazon:
    reviews = tuple(
        {"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": 1369699200 + n, "reviewText": "a\tb\nc"}
        for n, (user, item) in enumerate((user, item) for user in ("A1", "A2") for item in ("B1", "B2", "B3"))
    )

    def source(self, folder: Path) -> Path:
        path = folder / "reviews_Beauty_5.json.gz"
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(review) + "\n" for review in self.reviews)
        return path

    def test_reviews_of_2014_with_python_literal_meta(self, tmp_path):
        meta = tmp_path / "meta_Beauty.json.gz"
        entries = [
            {"asin": "B1", "brand": "L'Oréal Paris", "categories": [["All", "Hair Care", "Gel"], ["All", "Gel"]]},
            {"asin": "B9", "brand": "never reviewed", "categories": [["Beauty", "x"]]},
            {"asin": "B2", "categories": [["Beauty", "Make\tup"]]},
        ]
        with gzip.open(meta, "wt", encoding="utf-8") as file:
            file.writelines(repr(entry) + "\n" for entry in entries)
        convert("Amazon_Beauty", self.source(tmp_path), "--meta", meta, "--no-check")
        folder = tmp_path / "dataset" / "Amazon_Beauty"
        assert lines(folder / "Amazon_Beauty.inter")[:3] == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "A1\tB1\t5.0\t1369699200",
            "A1\tB2\t5.0\t1369699201",
        ]
        assert lines(folder / "Amazon_Beauty.item") == [
            "item_id:token\tclass:token_seq",
            "B1\tHair_Care Gel L'Oréal_Paris",
            "B2\tMake_up",
            "B3\t",
        ]

    def test_json_meta_of_2018(self, tmp_path, capsys):
        meta = tmp_path / "meta.json"
        meta.write_text(json.dumps({"asin": "B1", "brand": "Dove", "category": ["Beauty", "Skin Care"]}) + "\n")
        convert("Amazon_Luxury", self.source(tmp_path), "--meta", meta)
        assert lines(tmp_path / "dataset/Amazon_Luxury/Amazon_Luxury.item")[1] == "B1\tSkin_Care Dove"
        assert "2 of 3 items have neither brand nor category" in capsys.readouterr().out

    def test_reviews_and_meta_of_2023(self, tmp_path, capsys):
        users, items = (
            ("AGKHLEW2SOWHNMFQIJGBECAF7INQ", "AE74DYR3QUGVPZJ3P7RFWBGIX7XQ"),
            ("B00YQ6X8EO", "B081TJ8YS3", "B2"),
        )
        reviews = [
            {
                "rating": 5.0, "title": "Such a lovely scent", "text": "a\tb", "images": [], "asin": f"X{item}",
                "parent_asin": item, "user_id": user, "timestamp": 1588687728923 + n, "helpful_vote": 0,
                "verified_purchase": True,
            }
            for n, (user, item) in enumerate((user, item) for user in users for item in items)
        ]  # fmt: skip
        source, meta = tmp_path / "All_Beauty.jsonl.gz", tmp_path / "meta_All_Beauty.jsonl.gz"
        entries = [
            {"main_category": "All Beauty", "store": "Herbivore", "categories": ["Beauty", "Skin Care"],
             "parent_asin": items[0], "details": {}},
            {"main_category": "All Beauty", "store": None, "categories": [], "parent_asin": items[1], "details": {}},
        ]  # fmt: skip
        for path, rows in ((source, reviews), (meta, entries)):
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        convert("Amazon_2023", source, "--meta", meta)
        folder = tmp_path / "dataset" / "Amazon_2023"
        assert lines(folder / "Amazon_2023.inter")[:3] == [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            f"{users[0]}\t{items[0]}\t5.0\t1588687728.923",
            f"{users[0]}\t{items[1]}\t5.0\t1588687728.924",
        ]
        assert lines(folder / "Amazon_2023.item")[1:] == [
            f"{items[0]}\tSkin_Care Herbivore", f"{items[1]}\t", f"{items[2]}\t"
        ]  # fmt: skip
        out = capsys.readouterr().out
        assert "milliseconds became Unix seconds" in out and "2 of 3 items have neither brand nor category" in out

    def test_known_counts(self, tmp_path):
        with pytest.raises(DataError, match="22,363 users, 12,101 items and 198,502 interactions"):
            convert("Amazon_Beauty", self.source(tmp_path))

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('{"reviewerID": "A", "overall": 5}', r"line 2 has no 'asin'"),
            ('{"reviewerID": ', r"line 2 is not a JSON object"),
            ("[1, 2]", r"line 2 is not a JSON object"),
        ],
    )
    def test_bad_lines_have_their_number(self, tmp_path, line, words):
        path = tmp_path / "reviews.json"
        path.write_text(json.dumps(self.reviews[0]) + "\n" + line + "\n")
        with pytest.raises(DataError, match=words):
            convert("Amazon_X", path)

    def test_a_cut_gzip_file(self, tmp_path):
        path = self.source(tmp_path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataError, match="damaged or incomplete"):
            convert("Amazon_X", path)
