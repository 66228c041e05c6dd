import numpy as np

from recbole_samrec.compare.facts import PageSetting
from recbole_samrec.compare.layout import MINUS, NOTHING, lay_out_comparison
from recbole_samrec.compare.tables import build_main_table
from recbole_samrec.evaluator.marks import SIGNIFICANT, UNCORRECTED
from recbole_samrec.evaluator.user_metrics import ONE_BY_ONE
from tests.helpers.compared import make_clustered, make_run, make_runs, make_shifted

DRAWS = 2000


def lay_out(runs, entries, **more):
    table = build_main_table(runs, entries, draws=DRAWS, **more)
    page = lay_out_comparison(table, PageSetting.describe(runs, draws=DRAWS))
    return table, {grid.title: grid for grid in page.grids}


def test_comparison_names_the_reference_of_differences():
    runs = [*make_runs("SAMRec", 22), *make_runs("SASRec", 10)]
    table, grids = lay_out(runs, ["SAMRec", "SASRec"], variant_of={"SAMRec": "SASRec"})
    assert list(grids) == ["Accuracy", "Differences from SAMRec", "Cost"]
    (line, _) = grids["Differences from SAMRec"].body
    shown = dict(zip(grids["Differences from SAMRec"].header, (cell.text for cell in line), strict=True))
    assert shown["entry"] == "SASRec" and shown["metric"] == "NDCG@10" and shown["n"] == "60"
    assert shown["difference"] == f"{table['ndcg@10_difference']['SASRec']:+.4f}".replace("-", MINUS)
    assert shown["difference"].startswith(MINUS)


def test_comparison_has_a_table_of_variants():
    runs = [*make_runs("SAMRec", 22), *make_runs("GRU4Rec", 10), *make_runs("GRU4Rec+SAM", 12)]
    entries = ["SAMRec", "GRU4Rec", "GRU4Rec+SAM"]
    table, grids = lay_out(runs, entries, variant_of={"GRU4Rec+SAM": "GRU4Rec"})
    assert [line[0].text for line in grids["Variants"].body] == [f"GRU4Rec+SAM {MINUS} GRU4Rec"] * 2
    shown = f"{table['variant_ndcg@10_difference']['GRU4Rec+SAM']:+.4f}"
    assert grids["Variants"].body[0][2].text == shown and shown.startswith("+")


def test_comparison_marks_no_difference_that_seeds_could_undo():
    runs = [*make_shifted("SAMRec", (0, 0, 0)), *make_shifted("Luck", (0, 0, 4)), *make_shifted("Worse", (5, 5, 5))]
    table, grids = lay_out(runs, ["SAMRec", "Luck", "Worse"])
    marks = {line[0].text: line[-1].mark for line in grids["Accuracy"].body}
    assert table["mrr_p_holm"]["Luck"] < 0.05  # over users alone it would be
    assert (marks["Luck"], marks["Worse"]) == ("", SIGNIFICANT)
    marks = [line[-1].text for line in grids["Differences from SAMRec"].body]
    assert set(marks) <= {"", SIGNIFICANT, UNCORRECTED} and SIGNIFICANT in marks


def test_comparison_marks_no_entry_with_one_seed():
    runs = [*make_shifted("SAMRec", (0, 0)), *make_shifted("Worse", (5, 5)), *make_shifted("Once", (5,))]
    _, grids = lay_out(runs, ["SAMRec", "Worse", "Once"])
    assert [line[-1].mark for line in grids["Accuracy"].body[:3]] == ["", SIGNIFICANT, ""]
    differences = grids["Differences from SAMRec"].body
    assert [line[4].text == NOTHING for line in differences] == [False, True] * 2
    assert all(line[3].text != NOTHING for line in differences)
    runs = [one for one in runs if one.entry != "SAMRec"] + make_shifted("SAMRec", (0,))
    _, grids = lay_out(runs, ["SAMRec", "Worse", "Once"])
    assert not any(cell.mark for line in grids["Accuracy"].body for cell in line)


def test_comparison_needs_the_reference_for_differences():
    _, grids = lay_out([make_run("SASRec"), make_run("Pop", rank=(9, 9, 9, 9))], ["SAMRec", "SASRec", "Pop"])
    assert list(grids) == ["Accuracy", "Cost"]
    assert [line[0].text for line in grids["Accuracy"].body] == ["SAMRec", "SASRec", "Pop"]
    assert [cell.text for cell in grids["Accuracy"].body[0][1:4]] == ["0", NOTHING, NOTHING]


def test_comparison_names_the_draws_of_the_test():
    runs = [make_run(entry, seed, np.full(25_001, 3)) for entry in ("SAMRec", "Same") for seed in (1, 2)]
    assert ("draws of the randomization test", "10,000") in PageSetting.describe(runs).facts


def test_differences__count_users_and_not_events():
    runs = [make_clustered(entry, ONE_BY_ONE, seed=seed) for entry in ("A", "B") for seed in (1, 2)]
    page = lay_out_comparison(build_main_table(runs, ["A", "B"]), PageSetting.describe(runs))
    grid = next(grid for grid in page.grids if grid.name == "differences")
    assert {line[grid.header.index("n")].text for line in grid.body} == {"3"}
