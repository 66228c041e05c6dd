"""The command ``data``: its reports, the files that it keeps, and the input that it rejects."""

import os
from pathlib import Path

import pytest

from recbole_samrec.cli.data import detect
from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import COLUMNS, convert, lines, ratings_csv, write_ml_1m


@pytest.fixture
def ml_1m(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_ml_1m(tmp_path)


class TestCommand:
    def test_the_report_tells_all_and_the_next_command(self, ml_1m, capsys):
        convert("films", ml_1m)
        out = capsys.readouterr().out
        for words in ("users         2", "items         3", "interactions  6", "2000-12-31 to 2000-12-31", "sha256"):
            assert words in out
        assert out.rstrip().endswith("python -m recbole_samrec run --model=SAMRec --dataset=films")
        Path("run_recbole.py").touch()
        convert("films", ml_1m, "--force")
        assert capsys.readouterr().out.rstrip().endswith("python run_recbole.py --model=SAMRec --dataset=films")

    def test_another_folder_is_named_in_the_next_command(self, ml_1m, tmp_path, capsys):
        convert("films", ml_1m, "--out", tmp_path / "elsewhere" / "films")
        assert f"--dataset=films --data_path={tmp_path / 'elsewhere'}" in capsys.readouterr().out

    def test_existing_files_stay_unless_forced(self, ml_1m, tmp_path):
        convert("films", ml_1m)
        folder = tmp_path / "dataset" / "films"
        (folder / "films.inter").write_text("mine")
        (folder / "notes.txt").write_text("keep")
        with pytest.raises(DataError, match=r"films\.inter already exists: add --force"):
            convert("films", ml_1m)
        assert (folder / "films.inter").read_text() == "mine"
        convert("films", ratings_csv(tmp_path / "a.csv"), *COLUMNS, "--force")
        assert sorted(path.name for path in folder.iterdir()) == ["films.inter", "notes.txt"]
        assert len(lines(folder / "films.inter")) == 7

    def test_a_failure_while_moving_leaves_the_old_set(self, ml_1m, tmp_path, monkeypatch):
        convert("films", ml_1m)
        folder = tmp_path / "dataset" / "films"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        real, calls = os.replace, []

        def failing(old, new):
            calls.append(new)
            if len(calls) == 5:
                raise OSError(28, "No space left on device")
            real(old, new)

        monkeypatch.setattr(os, "replace", failing)
        with pytest.raises(DataError, match="No space left"):
            convert("films", ml_1m, "--force")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["films"]

    @pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\tb"])
    def test_names_that_are_no_folder(self, ml_1m, name):
        with pytest.raises(DataError, match="NAME"):
            convert(name, ml_1m)

    def test_out_must_bear_the_name(self, ml_1m, tmp_path):
        with pytest.raises(DataError, match=r"--out .* must end in films"):
            convert("films", ml_1m, "--out", tmp_path / "other")

    def test_options_of_another_format_are_refused(self, ml_1m):
        with pytest.raises(DataError, match=r"--meta is for format amazon, but .* is movielens"):
            convert("films", ml_1m, "--meta", "m.json")

    def test_a_missing_source(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere\.csv is missing"):
            convert("mine", tmp_path / "nowhere.csv")

    def test_format_overrides_what_is_detected(self, tmp_path):
        (tmp_path / "x.txt").write_text("1 2 3\n")
        assert detect(tmp_path / "x.txt") == "s3rec"
        with pytest.raises(DataError, match="no column"):
            convert("mine", tmp_path / "x.txt", "--format", "table", *COLUMNS)
