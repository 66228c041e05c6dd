from dataclasses import replace

import pytest

from recbole_samrec.compare import captions
from recbole_samrec.compare.declarations import Declarations
from recbole_samrec.compare.facts import PageSetting
from recbole_samrec.compare.layout import MINUS, NOTHING, lay_out_comparison, list_forms
from recbole_samrec.compare.primary import Family, Place
from recbole_samrec.compare.tables import build_main_table
from recbole_samrec.evaluator.marks import SIGNIFICANT
from recbole_samrec.evaluator.user_metrics import ONE_BY_ONE
from tests.helpers.compared import make_clustered, make_run, make_runs, make_shifted


def lay_out(runs, entries, primary=(), **more):
    family = Family.test(runs, Declarations(tuple(primary), metric="mrr"), [Place("tiny_set")])
    table = build_main_table(runs, entries, primary=family.table, **more)
    page = lay_out_comparison(table, PageSetting.describe(runs), declared=family.lay_out(family.table))
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


def test_comparison_marks_primary_differences_only():
    runs = [*make_shifted("SAMRec", (0, 0, 0)), *make_shifted("Luck", (0, 0, 4)), *make_shifted("Worse", (5, 5, 5))]
    entries = ["SAMRec", "Luck", "Worse"]
    table, grids = lay_out(runs, entries, [("SAMRec", "Luck"), ("Worse", "SAMRec")])
    marks = {line[0].text: [cell.mark for cell in line[2:]] for line in grids["Accuracy"].body}
    assert marks["Worse"] == [""] * 6 + [SIGNIFICANT]  # in the primary metric, MRR
    assert set(marks["Luck"]) == {""}  # one odd seed
    assert [line[-1].text for line in grids["Primary comparisons"].body] == ["", SIGNIFICANT]
    assert table["mrr_p_holm"]["Worse"] == pytest.approx(2 * table["mrr_p"]["Worse"])
    assert table["mrr_p_holm"]["Luck"] == pytest.approx(table["mrr_p"]["Luck"])  # declared in the other direction
    assert table["ndcg@10_p_holm"].isna().all()
    differences = grids["Differences from SAMRec"]
    assert "mark" not in differences.header and "p (Holm)" not in differences.header
    table, grids = lay_out(runs, entries)
    assert not any(cell.mark for line in grids["Accuracy"].body for cell in line)
    assert list(grids) == ["Accuracy", "Differences from SAMRec", "Cost"] and table["mrr_p_holm"].isna().all()
    assert any("Exploratory" in text for text in grids["Differences from SAMRec"].captions)


def test_comparison_has_a_detectable_effect_for_each():
    runs = [*make_shifted("SAMRec", (0, 1, 2)), *make_shifted("Worse", (5, 5, 6)), *make_shifted("Once", (5,))]
    table, grids = lay_out(runs, ["SAMRec", "Worse", "Once"])
    grid = grids["Differences from SAMRec"]
    shown = [line[grid.header.index("MDE")].text for line in grid.body]
    assert shown[:2] == [f"{table['ndcg@10_mde']['Worse']:.4f}", NOTHING] and table["ndcg@10_mde"]["Worse"] > 0


def test_comparison_has_no_interval_of_one_seed_but_of_pop():
    runs = [*make_shifted("SAMRec", (0, 0)), *make_shifted("Once", (5,))]
    runs.append(replace(make_shifted("Pop", (5,))[0], result={**runs[0].result, "model": "Pop"}))
    _, grids = lay_out(runs, ["SAMRec", "Once", "Pop"], [("Once", "SAMRec"), ("Pop", "SAMRec")])
    marks = {line[0].text: line[-1].mark for line in grids["Accuracy"].body}
    assert (marks["Once"], marks["Pop"]) == ("", SIGNIFICANT)
    for line in grids["Differences from SAMRec"].body:
        cells = [cell.text for cell in line[3:6]]
        assert (cells == [NOTHING] * 3) is (line[0].text == "Once") and line[2].text != NOTHING


def test_comparison_needs_the_reference_for_differences():
    _, grids = lay_out([make_run("SASRec"), make_run("Pop", rank=(9, 9, 9, 9))], ["SAMRec", "SASRec", "Pop"])
    assert list(grids) == ["Accuracy", "Cost"]
    assert [line[0].text for line in grids["Accuracy"].body] == ["SAMRec", "SASRec", "Pop"]
    assert [cell.text for cell in grids["Accuracy"].body[0][1:4]] == ["0", NOTHING, NOTHING]


def test_differences__count_users_and_not_events():
    runs = [make_clustered(entry, ONE_BY_ONE, seed=seed) for entry in ("A", "B") for seed in (1, 2)]
    page = lay_out_comparison(build_main_table(runs, ["A", "B"]), PageSetting.describe(runs))
    grid = next(grid for grid in page.grids if grid.name == "differences")
    assert {line[grid.header.index("n")].text for line in grid.body} == {"3"}


def test_list_forms__name_validation_where_it_differs():
    for masked, words in ((False, "masked"), (True, "unmasked")):
        assert list_forms(masked, {masked: ["A"]}) == list_forms(masked, {}) == [captions.PROTOCOL[masked]]
        sentence = f"Validation, which decided when training stopped, ranked with the history {words}."
        assert list_forms(masked, {not masked: ["A", "B"]}) == [captions.PROTOCOL[masked], sentence]


def test_list_forms__name_the_entries_of_each_form():
    words = (
        "Validation, which decided when training stopped, ranked with the history masked for B and unmasked for A, C."
    )
    for masked in (False, True):
        assert list_forms(masked, {False: ["A", "C"], True: ["B"]}) == [captions.PROTOCOL[masked], words]


def test_comparison_says_which_costs_are_unknown():
    known = make_run("A", gradient_passes=3.0, cpu_seconds=60.0)
    assert captions.COST_UNKNOWN not in lay_out([known], ["A"])[1]["Cost"].captions
    assert captions.COST_UNKNOWN in lay_out([known, make_run("B", gradient_passes=3.0)], ["A", "B"])[1]["Cost"].captions
