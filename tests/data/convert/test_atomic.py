"""A data set appears completely or not at all, and its cells break no line."""

import os

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.convert.atomic import clean_text, join_words, stage_dataset, write_frame
from recbole_samrec.utils.errors import DataError


def write(folder, force=False, **texts):
    with stage_dataset(folder, "toy", force=force) as stage:
        for suffix, text in texts.items():
            (stage / f"toy.{suffix}").write_text(text)


def read(folder):
    return {file.suffix[1:]: file.read_text() for file in folder.iterdir()}


def test_stage_dataset__makes_the_folder_with_all_files(tmp_path):
    write(tmp_path / "dataset" / "toy", inter="a", item="b")
    assert read(tmp_path / "dataset" / "toy") == {"inter": "a", "item": "b"}
    assert os.listdir(tmp_path / "dataset") == ["toy"]


def test_stage_dataset__leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), stage_dataset(tmp_path / "toy", "toy") as stage:
        (stage / "toy.inter").write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_stage_dataset__replaces_a_set_only_with_force(tmp_path):
    folder = tmp_path / "toy"
    write(folder, inter="a", item="b", user="c")
    (folder / "toy.kg").write_text("mine")
    with pytest.raises(DataError, match=r"toy\.inter already exists: add --force to replace it, or --out to write"):
        write(folder, inter="new")
    write(folder, force=True, inter="new", item="newer")
    assert read(folder) == {"inter": "new", "item": "newer", "kg": "mine"}  # no users of another conversion


def test_stage_dataset__keeps_the_old_set_if_a_move_fails(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    write(folder, inter="a", item="b")
    replace = os.replace

    def fail_for_the_new_item(here, there):
        if there == folder / "toy.item" and ".old" not in here.name:
            raise OSError("disk full")
        replace(here, there)

    monkeypatch.setattr(os, "replace", fail_for_the_new_item)
    with pytest.raises(OSError, match="disk full"):
        write(folder, force=True, inter="new", item="newer")
    assert read(folder) == {"inter": "a", "item": "b"} and os.listdir(tmp_path) == ["toy"]


def test_write_frame__cleans_text_and_keeps_numbers(tmp_path):
    frame = pd.DataFrame(
        {"id:token": ["a\tb", None, 'say "x"\r\n'], "n:float": [1.5, np.nan, 2.0], "k:token": [1, 2, 3]}
    )
    write_frame(frame, tmp_path / "toy.item")
    text = (tmp_path / "toy.item").read_bytes().decode()
    assert text == "id:token\tn:float\tk:token\na b\t1.5\t1\n\t\t2\nsay 'x'\t2.0\t3\n"


@pytest.mark.parametrize("text, clean", [(' a\t\r\n b" ', "a  b'"), ("\0x\0", "x"), ("é,;|", "é,;|"), ("\t\n", "")])
def test_clean_text__leaves_one_cell_on_one_line(text, clean):
    assert clean_text(text) == clean


def test_join_words__makes_one_value_of_several_words():
    assert join_words("  New  Age\tPop ") == "New_Age_Pop" and join_words("one") == "one"
