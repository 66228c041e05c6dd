import math
import re

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare import statistics
from recbole_samrec.compare.captions import Setting, Tuning, common
from recbole_samrec.compare.grids import NOTHING
from recbole_samrec.compare.render import latex_text, markdown_text
from recbole_samrec.compare.report import write_tables
from recbole_samrec.compare.runs import Run
from recbole_samrec.compare.tables import comparisons, costs, disagreements, fraction_table, gains, main_table, places


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics.randomisation_test, "__defaults__", (2000, 0))
    monkeypatch.setattr(statistics.bootstrap_intervals, "__defaults__", (0.95, 500, 0))


def run(row="SAMRec", seed=1, rank=(1, 3, 11, 40), fraction=1.0, **result) -> Run:
    """A run whose test items have these ranks; among items that are new to the user they are one place better."""
    rank = np.array(rank)
    columns = {"rank": rank, "masked_rank": np.maximum(rank - 1, 1), "history": 5, "popularity": np.arange(len(rank))}
    about = {"data": {"users": len(rank), "items": 50, "interactions": 1000}, "device": "cpu", **result}
    return Run(row, "tiny_set", seed, fraction, about, pd.DataFrame(columns), "hash")


def many(row: str, better: int, users: int = 60, seeds=(1, 2)) -> list[Run]:
    """Runs of a model that places every item some places better than 30 to 40."""
    ranks = 30 + np.arange(users) % 10
    return [run(row, seed, np.maximum(1, ranks - better - seed)) for seed in seeds]


def test_mean_and_sample_deviation_over_seeds():
    runs = [run(seed=1, rank=(1, 2, 3, 4)), run(seed=2, rank=(1, 20, 30, 40)), run("Pop", rank=(6, 7, 8, 99))]
    table = main_table(runs, ["SAMRec", "Pop"])
    assert table["seeds"].tolist() == [2, 1]
    assert table["hr@10_mean"].tolist() == [0.625, 0.75]
    assert table["hr@10_std"]["SAMRec"] == pytest.approx(math.sqrt(2 * 0.375**2 / 1))
    assert np.isnan(table["hr@10_std"]["Pop"])
    assert table["mrr_mean"]["Pop"] == pytest.approx(np.mean([1 / 6, 1 / 7, 1 / 8, 1 / 99]))


def test_masked_figures_come_from_masked_ranks():
    plain, masked = (main_table([run()], ["SAMRec"], masked=one) for one in (False, True))
    assert (plain["hr@10_mean"]["SAMRec"], masked["hr@10_mean"]["SAMRec"]) == (0.5, 0.75)


def test_places_are_those_of_what_is_shown():
    assert places([0.10004, 0.2, 0.10001, 0.05, float("nan"), 0.2]) == [2, 1, 2, 0, 0, 1]
    assert places([0.1]) == [0]


def test_gain_is_over_the_best_other_row():
    table = pd.DataFrame({"hr@10_mean": [0.3, 0.2, 0.25]}, index=["SAMRec", "Pop", "SASRec"])
    assert gains(table, "SAMRec", ["hr@10"])["hr@10"] == pytest.approx(20)
    assert np.isnan(gains(table[:1], "SAMRec", ["hr@10"])["hr@10"])


def test_differences_are_of_users_averaged_over_their_own_seeds():
    runs = [run(seed=1, rank=(1, 30)), run(seed=2, rank=(30, 30)), run("Pop", rank=(30, 1))]
    line = comparisons(runs, "SAMRec", metrics=["hr@10"]).loc["Pop"]
    assert line["hr@10_difference"] == pytest.approx((0.5 - 1) / 2)
    assert line["hr@10_p"] == 1.0  # of +0.5 and -1 all four sums of signs are at least 0.5 from zero


def test_p_values_are_corrected_for_the_rows_of_a_metric():
    runs = [*many("SAMRec", 22), *many("SASRec", 21), *many("Pop", 0), *many("Same", 22)]
    table = comparisons(runs, "SAMRec", metrics=["mrr", "hr@10"])
    assert list(table.index) == ["SASRec", "Pop", "Same"]
    for metric in ("mrr", "hr@10"):
        assert table[f"{metric}_p_holm"].tolist() == statistics.holm(table[f"{metric}_p"]).tolist()
    assert table["mrr_p_holm"]["Pop"] < 0.05 < table["mrr_p_holm"]["Same"] == 1


def test_costs():
    of = {"parameters": 7, "seconds_per_epoch": 2.0, "best_epoch": 4, "peak_memory_mb": 100.0}
    table = costs([run(**of), run(seed=2, **(of | {"best_epoch": 6, "peak_memory_mb": 300.0})), run("Pop")])
    assert table.loc["SAMRec"].tolist() == [7, 2, 12, 300]
    assert table.loc["Pop"].isna().all()


def test_ranks_that_disagree_with_the_evaluator_are_told():
    assert not disagreements(run(test={"hr@10": 0.5, "ndcg@10": 0.375, "mrr@10": 0.3333, "recall@10": 0.9}))
    (line,) = disagreements(run(test={"hr@10": 0.75}))
    assert line == "SAMRec, seed 1: HR@10 is 0.5000 by its ranks and 0.7500 by RecBole's evaluator"
    assert not disagreements(run(test={"hr@10": 0.75}, config={"mask_history": True}))


def test_fractions_are_in_the_order_of_rows_and_shares():
    runs = [run(row, fraction=share) for row in ("Pop", "SAMRec") for share in (1.0, 0.2)]
    table = fraction_table(runs, ["SAMRec", "Pop"])
    assert table[["row", "fraction"]].to_numpy().tolist() == [
        ["SAMRec", 0.2],
        ["SAMRec", 1.0],
        ["Pop", 0.2],
        ["Pop", 1.0],
    ]


def test_rows_without_runs_stay_in_the_table_with_their_reason():
    table = main_table([run()], ["SAMRec", "S3Rec"], {"S3Rec": "failed"})
    assert table.loc["S3Rec", ["seeds", "note"]].tolist() == [0, "failed"]
    assert np.isnan(table["hr@10_mean"]["S3Rec"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with all files of a comparison."""
    runs = [*many("SAMRec", 25), *many("A_b|c", 22), *many("Pop & <co>", 0, seeds=(1,))]
    runs += [run("SAMRec", rank=list(range(1, 61)), fraction=0.5)]
    out = tmp_path_factory.mktemp("out") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics.randomisation_test, "__defaults__", (2000, 0))
        options = {"command": "compare --seeds 2", "settings": {"tiny_set": "all rows: {}\n"}}
        reasons = {"tiny_set": {"S3Rec": "100 % out of_memory"}}
        write_tables(runs, out, rows=["SAMRec"], reasons=reasons, **options)
    return out


def test_every_table_is_written_in_every_form(written):
    out = written
    stems = ("tiny_set", "tiny_set-groups", "tiny_set-fractions")
    wanted = {f"{stem}.{form}" for stem in stems for form in ("md", "csv", "tex", "png", "pdf")}
    assert {path.name for path in out.iterdir()} == wanted


def test_markdown_shows_marks_reasons_and_escapes(written):
    page = (written / "tiny_set.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert {line.replace(r"\|", "").count("|") for line in lines[:7]} == {10}
    assert re.search(r"^\| SAMRec \| 2 \| .*\*\*0\.\d{4}\*\* ± 0\.\d{4}", page, re.MULTILINE)
    assert re.search(r"^\| A\\_b\\\|c \| 2 \| .*<u>0\.\d{4}</u> ± 0\.\d{4}", page, re.MULTILINE)
    assert re.search(r"^\| Pop &amp; &lt;co&gt; \| 1 \| .* 0\.\d{4}† \|", page, re.MULTILINE)
    assert f"| S3Rec | 0 | {NOTHING} | {NOTHING} |" in page
    assert "- S3Rec: 100 % out of\\_memory" in page
    for words in ("60 users", "Leave-one-out by time", "history among them", "No row was tuned", "over 1 to 2 seeds"):
        assert words in page
    assert "```bash\ncompare --seeds 2\n```" in page and "```yaml\nall rows: {}\n```" in page
    for words in ("paired randomisation test", "Holm's correction", "†: differs from SAMRec with p &lt; 0.05"):
        assert words in page


def test_csv_holds_plain_numbers(written):
    table = pd.read_csv(written / "tiny_set.csv", index_col="row")
    assert list(table.index) == ["SAMRec", "A_b|c", "Pop & <co>", "S3Rec"]
    means = [statistics.per_user(one.ranks["rank"], "mrr").mean() for one in many("SAMRec", 25)]
    assert table["mrr_mean"]["SAMRec"] == np.mean(means)
    assert table["mrr_std"]["SAMRec"] == pytest.approx(np.std(means, ddof=1))
    assert table["note"]["S3Rec"] == "100 % out of_memory"


def test_latex_is_balanced_and_escaped(written):
    text = (written / "tiny_set.tex").read_text(encoding="utf-8")
    for begin, end in ((r"\begin{table*}", r"\end{table*}"), (r"\toprule", r"\bottomrule"), ("{", "}")):
        assert text.count(begin) == text.count(end) > 0
    assert not re.search(r"(?<!\\)[&#_]", re.sub(r" & |\\label\{.*\}", "", text))
    assert text.replace(r"\$", "").count("$") % 2 == 0
    assert text.isascii()
    for line in text.splitlines():
        if line.endswith(r"\\") and "SAMRec &" in line:
            assert line.count(" & ") in (8, 4)
    assert re.search(r"SAMRec & 2 & .*\\textbf\{0\.\d{4}\}\\,\{\\tiny\$\\pm\$\\,0\.\d{4}\}", text)


def test_a_data_set_without_finished_runs_says_so(tmp_path):
    write_tables([], tmp_path, reasons={"ml-1m": {"SAMRec": "needs a GPU"}})
    text = (tmp_path / "ml-1m.md").read_text(encoding="utf-8")
    assert "No run has finished." in text
    assert "- SAMRec: needs a GPU" in text
    assert [path.name for path in tmp_path.iterdir()] == ["ml-1m.md"]


@pytest.mark.parametrize(
    ("masked", "tuned", "words"),
    [
        (True, None, "history left out, in validation among them. No row was tuned"),
        (False, Tuning("Tuned: so and so."), "history among them. Tuned: so and so. One seed"),
    ],
)
def test_the_caption_names_the_protocol(tmp_path, masked, tuned, words):
    write_tables([run()], tmp_path, masked=masked, tuned=tuned and {"tiny_set": tuned})
    stem = "tiny_set-masked" if masked else "tiny_set-tuned"
    text = (tmp_path / f"{stem}.md").read_text(encoding="utf-8")
    assert words in text
    assert "One seed" in text
    assert "randomisation" not in text  # there is nothing to compare with
    assert words in (tmp_path / f"{stem}.tex").read_text(encoding="utf-8")


def test_a_reference_without_runs_is_compared_with_nothing(tmp_path):
    write_tables([run("SASRec"), run("Pop", rank=(9, 9, 9, 9))], tmp_path, rows=["SAMRec"])
    text = (tmp_path / "tiny_set.md").read_text(encoding="utf-8")
    assert f"| SAMRec | 0 | {NOTHING} |" in text
    assert "randomisation" not in text
    assert "gain" not in text


def test_figures_do_not_depend_on_the_other_rows_beside_the_reference():
    runs = [*many("SAMRec", 22), *many("SASRec", 21), *many("Pop", 0)]
    alone = comparisons([one for one in runs if one.row != "Pop"], "SAMRec", metrics=["mrr"]).loc["SASRec"]
    beside = comparisons(runs, "SAMRec", metrics=["mrr"]).loc["SASRec"]
    for name in ("difference", "low", "high", "p"):
        assert alone[f"mrr_{name}"] == pytest.approx(beside[f"mrr_{name}"])


def test_another_split_is_named():
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}
    text = common(Setting.of([run(config={"eval_args": split})]))
    assert "Leave-one-out" not in text
    assert "{'RS': [0.8, 0.1, 0.1]}, order: RO" in text


def test_nothing_in_a_name_is_markup():
    assert markdown_text("a|b *c* <d> `e` [f] g_h\nnext") == r"a\|b \*c\* &lt;d&gt; \`e\` \[f\] g\_h next"
    assert latex_text(r"50 % of_{x} ~ ^ \ < #1 & $") == (
        r"50 \% of\_\{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$ \#1 \& \$"
    )


def test_a_page_ends_with_one_line_end(written):
    for path in written.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert "\n\n\n" not in text, path
