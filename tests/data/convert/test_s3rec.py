"""The files of S3Rec's authors give exactly the expected lines."""

import json

import pytest

from recbole_samrec.utils.errors import DataError
from tests.helpers.paths import ROOT
from tests.helpers.providers import convert, lines


class TestS3Rec:
    def test_positions_and_attributes(self, tmp_path, capsys):
        source, attributes = tmp_path / "Beauty.txt", tmp_path / "Beauty_item2attributes.json"
        source.write_text("1 5 3 10\n2 3 5 3\n")
        attributes.write_text(json.dumps({"10": [4, 2], "3": [7], "99": [1]}))
        convert("Amazon_Beauty", source, "--attributes", attributes, "--no-check")
        folder = tmp_path / "dataset" / "Amazon_Beauty"
        assert lines(folder / "Amazon_Beauty.inter") == [
            "user_id:token\titem_id:token\ttimestamp:float",
            "1\t5\t1", "1\t3\t2", "1\t10\t3", "2\t3\t1", "2\t5\t2", "2\t3\t3",
        ]  # fmt: skip
        assert lines(folder / "Amazon_Beauty.item") == ["item_id:token\tclass:token_seq", "3\t7", "5\t", "10\t4 2"]
        assert "timestamp is the position" in capsys.readouterr().out

    @pytest.mark.skipif(
        not (ROOT / "dataset/Amazon_Beauty/Amazon_Beauty.item").exists(), reason="dataset/Amazon_Beauty is not unpacked"
    )
    def test_the_whole_beauty_set_comes_back_byte_for_byte(self, tmp_path):
        old = ROOT / "dataset" / "Amazon_Beauty"
        orders: dict[str, list[str]] = {}
        for line in lines(old / "Amazon_Beauty.inter")[1:]:
            user, item, _ = line.split("\t")
            orders.setdefault(user, []).append(item)
        classes = dict(line.split("\t") for line in lines(old / "Amazon_Beauty.item")[1:])
        (tmp_path / "Beauty.txt").write_text("".join(f"{user} {' '.join(items)}\n" for user, items in orders.items()))
        (tmp_path / "a.json").write_text(
            json.dumps({item: list(map(int, cell.split())) for item, cell in classes.items()})
        )
        convert("Amazon_Beauty", "Beauty.txt", "--attributes", "a.json")
        for suffix in ("inter", "item"):
            new = tmp_path / f"dataset/Amazon_Beauty/Amazon_Beauty.{suffix}"
            assert new.read_bytes() == (old / f"Amazon_Beauty.{suffix}").read_bytes()

    @pytest.mark.parametrize(
        ("text", "words"),
        [("1 2 3 4\n2\n", "line 2 has a user but no items"), ("1 2\n1 3\n", "line 2: user 1 already has a line")],
    )
    def test_bad_lines(self, tmp_path, text, words):
        (tmp_path / "x.txt").write_text(text)
        with pytest.raises(DataError, match=words):
            convert("mine", tmp_path / "x.txt")

    @pytest.mark.parametrize(("ids", "words"), [(["2", "3"], "1 of 3 items"), (["2", "3", "04"], "'4' and '04'")])
    def test_items_without_attributes_are_noted(self, tmp_path, capsys, ids, words):
        (tmp_path / "x.txt").write_text("1 2 3 4\n2 2 3 4\n")
        (tmp_path / "a.json").write_text(json.dumps({one: [1] for one in ids}))
        convert("mine", tmp_path / "x.txt", "--attributes", tmp_path / "a.json")
        assert words in capsys.readouterr().out

    def test_attributes_of_other_items_are_refused(self, tmp_path):
        (tmp_path / "x.txt").write_text("1 2 3 4\n2 2 3 4\n")
        (tmp_path / "a.json").write_text(json.dumps({"7.0": [1], "2.0": [1]}))
        with pytest.raises(DataError, match=r"none of the 3 items \('2' in x.txt, '2.0' in a.json\)"):
            convert("mine", tmp_path / "x.txt", "--attributes", tmp_path / "a.json")

    def test_bad_attributes(self, tmp_path):
        (tmp_path / "x.txt").write_text("1 2 3 4\n2 2 3 4\n")
        (tmp_path / "a.json").write_text("[1]")
        with pytest.raises(DataError, match="must map each item to a list"):
            convert("mine", tmp_path / "x.txt", "--attributes", tmp_path / "a.json")
