import pytest

from tools.compare_csvs import compare_folders, main

OLD = "row,seeds,mrr_mean,mrr_difference,mrr_low,mrr_high,mrr_p,note\nA,2,0.5,,,,,\nB,2,0.4,0.1,0.05,0.2,0.03,why\n"
NEW = "entry,seeds,mrr_mean,reference,mrr_difference,mrr_low,mrr_high,mrr_p,note\nA,2,0.5,,,,,,\n"
LINE = "B,2,0.4,A,-0.1,-0.2,-0.05,0.03,other\n"


@pytest.fixture
def folders(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, text in ((old, OLD), (new, NEW + LINE)):
        folder.mkdir()
        (folder / "ml-100k.csv").write_text(text)
    (old / "search/a").mkdir(parents=True)
    (new / "records/search/a").mkdir(parents=True)
    for file in (old / "search/a/trials.csv", new / "records/search/a/trials.csv"):
        file.write_text("trial,score\n1,0.5\n")
    return old, new


def test_compare_folders_accepts_the_listed_changes(folders):
    numbers, changes = compare_folders(*folders)
    assert not changes and numbers == 16
    assert main(list(map(str, folders))) == 0


@pytest.mark.parametrize(
    "line",
    [
        "B,2,0.4,A,0.1,-0.2,-0.05,0.03,other\n",  # the sign did not turn
        "B,2,0.4,A,-0.1,-0.05,-0.2,0.03,other\n",  # the ends were not exchanged
        "B,2,0.41,A,-0.1,-0.2,-0.05,0.03,other\n",
        "B,2,0.4,A,-0.1,-0.2,-0.05,,other\n",
        "C,2,0.4,A,-0.1,-0.2,-0.05,0.03,other\n",
        "",
    ],
)
def test_main_fails_on_any_other_change(folders, line):
    (folders[1] / "ml-100k.csv").write_text(NEW + line)
    assert main(list(map(str, folders))) == 1


def test_main_fails_on_missing_files(folders):
    (folders[1] / "ml-100k.csv").unlink()
    assert main(list(map(str, folders))) == 1


@pytest.mark.parametrize(
    "line, status",
    [
        ("B,0.4,A,0.1,0.05,0.2,0.04,,0.15\n", 0),  # p and Holm's p may change, and the detectable effect is new
        ("B,0.4,A,0.1,0.05,0.21,0.03,,0.15\n", 1),
        ("B,0.41,A,0.1,0.05,0.2,0.03,0.03,0.15\n", 1),
    ],
)
def test_main_lets_nothing_but_p_change(tmp_path, line, status):
    head = "entry,mrr_mean,reference,mrr_difference,mrr_low_with_seeds,mrr_high_with_seeds,mrr_p,mrr_p_holm"
    for name, text in (("old", f"{head}\nB,0.4,A,0.1,0.05,0.2,0.03,0.03\n"), ("new", f"{head},mrr_mde\n{line}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ml-100k.csv").write_text(text)
    assert main(["--change=p", str(tmp_path / "old"), str(tmp_path / "new")]) == status
