import math
import re

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.captions import Setting, Tuning, common, work
from recbole_samrec.compare.formats import latex_text, markdown_text
from recbole_samrec.compare.layout import NOTHING, main_page
from recbole_samrec.compare.provenance import Origin, read_origins, sentences
from recbole_samrec.compare.tables import comparisons, costs, disagreements, fraction_table, gains, main_table, places
from recbole_samrec.compare.write import write_tables
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.evaluator import statistics
from recbole_samrec.experiments.results import Run
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics.randomisation_test, "__defaults__", (2000, 0))


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


def test_intervals_of_rows_are_those_of_their_users_and_seeds():
    runs = [*many("SAMRec", 22, seeds=(1, 2, 5)), *many("SASRec", 21), *many("Pop", 0, seeds=(1,))]
    table = comparisons(runs, "SAMRec", metrics=["mrr"])
    values = {
        row: np.stack([1 / one.ranks["rank"].to_numpy() for one in runs if one.row == row], axis=1)[:, :, None]
        for row in ("SAMRec", "SASRec")
    }
    low, high = statistics.interval_over_users_and_seeds(values["SAMRec"], values["SASRec"])
    assert table.loc["SASRec", ["mrr_low_with_seeds", "mrr_high_with_seeds"]].tolist() == pytest.approx([*low, *high])
    assert table.loc["Pop", ["mrr_low_with_seeds", "mrr_high_with_seeds"]].isna().all()


def test_a_variant_is_compared_with_the_row_that_it_varies():
    runs = [*many("SAMRec", 22), *many("GRU4Rec", 10), *many("GRU4Rec+SAM", 12), *many("Pop", 0)]
    variant_of = {"GRU4Rec+SAM": "GRU4Rec", "SAMRec": "Pop", "Pop": "BPR"}  # the last two: said already, not there
    table = main_table(runs, list(dict.fromkeys(one.row for one in runs)), variant_of=variant_of)
    (line,) = table[table["variant_of"].notna()].index
    alone = comparisons([one for one in runs if one.row.startswith("GRU4Rec")], "GRU4Rec+SAM").loc["GRU4Rec"]
    shown = table.loc[line].filter(like="variant_").drop("variant_of").rename(lambda name: name.partition("_")[2])
    assert (line, table["variant_of"][line]) == ("GRU4Rec+SAM", "GRU4Rec")
    pd.testing.assert_series_equal(shown.astype(float), alone, check_names=False)

    grids = {grid.title: grid for grid in main_page(table, Setting.of(runs), [], "").grids}
    assert list(grids) == ["Accuracy", "Differences", "Variants", "Cost"]
    assert [line[0].text for line in grids["Variants"].body] == ["GRU4Rec+SAM \N{MINUS SIGN} GRU4Rec"] * 2
    assert grids["Variants"].body[1][2].text == f"{alone['hr@10_difference']:+.4f}"
    assert "the one comparison of this table" in grids["Variants"].caption


def test_a_table_without_variants_says_nothing_of_them():
    runs = [*many("SAMRec", 22), *many("SASRec", 10)]
    table = main_table(runs, ["SAMRec", "SASRec"], variant_of={"SAMRec": "SASRec"})
    assert "variant_of" not in table and not table.filter(like="variant_").columns.size
    assert [grid.title for grid in main_page(table, Setting.of(runs), [], "").grids] == [
        "Accuracy",
        "Differences",
        "Cost",
    ]


def seed_effect(row: str, shifts) -> list[Run]:
    """Runs whose seeds place every item so many places lower."""
    return [run(row, seed, 3 + np.arange(60) % 10 + shift) for seed, shift in enumerate(shifts)]


def test_a_difference_that_other_seeds_could_undo_is_not_marked():
    runs = [*seed_effect("SAMRec", (0, 0, 0)), *seed_effect("Luck", (0, 0, 4)), *seed_effect("Worse", (5, 5, 5))]
    table = main_table(runs, ["SAMRec", "Luck", "Worse"])
    page = main_page(table, Setting.of(runs), [], "plot.png")
    marked = {line[0].text: line[-1].marked for line in page.grids[0].body}
    assert table["mrr_p_holm"]["Luck"] < 0.05  # over users alone it would be
    assert (marked["Luck"], marked["Worse"]) == (False, True)


def test_rows_of_one_seed_are_not_marked_and_the_captions_say_why():
    runs = [*seed_effect("SAMRec", (0, 0)), *seed_effect("Worse", (5, 5)), *seed_effect("Once", (5,))]
    rows = ["SAMRec", "Worse", "Once"]
    accuracy, differences, _ = main_page(main_table(runs, rows), Setting.of(runs), [], "").grids
    assert [line[-1].marked for line in accuracy.body[:3]] == [False, True, False]
    assert "A row with one seed is never marked." in accuracy.caption
    assert [line[4].text == NOTHING for line in differences.body] == [False, True] * 2
    assert all(line[3].text != NOTHING for line in differences.body)
    assert "With one seed in a row there is none of the second kind." in differences.caption

    runs = [one for one in runs if one.row != "SAMRec"] + seed_effect("SAMRec", (0,))
    accuracy, differences, _ = main_page(main_table(runs, rows), Setting.of(runs), [], "").grids
    assert not any(cell.marked for line in accuracy.body for cell in line)
    assert "†" not in accuracy.caption and "nothing is known of other seeds" in accuracy.caption


def test_captions_name_the_draws_of_the_test():
    runs = [run(row, seed, np.full(25_001, 3)) for row in ("SAMRec", "Same") for seed in (1, 2)]
    setting = Setting.of(runs)
    for grid in main_page(main_table(runs, ["SAMRec", "Same"]), setting, [], "").grids[:2]:
        assert "(10,000 random assignments of signs)" in grid.caption
        assert "the other row, not for several metrics" in grid.caption


def test_hours_count_each_pre_training_once():
    def s3rec(seed, total, weights, reused=False):
        before = {"seconds": 3600.0, "reused": reused, "sha256": weights}
        return run("S3Rec", seed, seconds_total=total, pretraining=before)

    whole = s3rec(1, 7200.0, "a")
    assert ", 2.0 hours" in work([whole])
    for others, hours in (
        ([s3rec(2, 3600.0, "a", reused=True)], 3),  # took the first one's
        ([s3rec(2, 1800.0, "b")], 3.5),  # its own, of an earlier attempt
        ([s3rec(2, 3600.0, "b", reused=True)], 4),  # those of a run that is not in the table
        ([s3rec(2, 3600.0, "b", reused=True), s3rec(3, 3600.0, "b", reused=True)], 5),
    ):
        assert f", {hours:.1f} hours" in work([whole, *others])


def test_origins_are_told_of_the_runs_that_they_hold_for(tmp_path):
    one = {"model": "CL4SRec", "config": {"cl_similarity": "cosine"}}
    other = {"model": "CL4SRec", "config": {"cl_similarity": "dot"}}
    origins = read_origins()
    assert "by cosine" in sentences(origins, [run("CL4SRec", **one)])
    assert sentences(origins, [run("CL4SRec", **other), run("Pop", model="Pop", config={})]) == ""
    elsewhere = [Origin("Here.", {}, datasets=("tiny_set",)), Origin("There.", {}, datasets=("ml-1m",))]
    assert sentences(elsewhere, [run(), run("Pop")]) == "Here."
    write_tables([run("CL4SRec", **one)], tmp_path, origins=origins)
    for file in (tmp_path / "tiny_set.md", tmp_path / "tiny_set-groups.md"):
        text = " ".join(file.read_text(encoding="utf-8").split())
        assert "No row was tuned by a search" in text and "by cosine" in text


def test_every_setting_of_a_data_set_has_its_origin():
    settings = read_yaml(PROPERTIES / "compare.yaml")
    for dataset, given in settings["datasets"].items():
        told = [setting for one in read_origins() if dataset in one.datasets for setting in one.settings.items()]
        assert all(setting in told for setting in given.items())


@pytest.mark.parametrize(
    "entry", ["text", "{origin: Why.}", "{origin: 3, settings: {}}", "{origin: a, settings: {}, x: 1}"]
)
def test_origins_of_another_form_are_refused(tmp_path, entry):
    file = tmp_path / "rows.yaml"
    file.write_text(f"origins: [{entry}]\n")
    with pytest.raises(ConfigError, match=r"rows\.yaml: each of origins needs a sentence"):
        read_origins([file])


def test_pages_name_those_beside_them(tmp_path):
    runs = [run(), run("Pop", rank=(9, 9, 9, 9)), run("Pop", fraction=0.5)]
    for masked in (False, True):
        write_tables(runs, tmp_path, masked=masked, both=True)
    pages = {file.name for file in tmp_path.glob("*.md")}
    assert len(pages) == 6
    for page in pages:
        text = (tmp_path / page).read_text(encoding="utf-8")
        linked = dict(re.findall(r"(?<!!)\[([^]]+)\]\(([^)]+\.md)\)", text))
        assert set(linked.values()) == pages - {page}
        for title, other in linked.items():
            assert (tmp_path / other).read_text(encoding="utf-8").startswith(f"# {title}\n")
    write_tables([run()], tmp_path / "alone")
    text = (tmp_path / "alone/tiny_set.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((.+?\.md)\)", text) == ["tiny_set-groups.md"]


def test_pages_of_a_share_of_the_users_leave_those_of_all_alone(tmp_path):
    write_tables([run(fraction=0.2), run()], tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_tables([run(fraction=0.2), run(fraction=0.5)], tmp_path)
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    added = {file.name for file in tmp_path.glob("*.md")} - before.keys()
    assert added == {"tiny_set-0.5.md", "tiny_set-0.5-groups.md", "tiny_set-0.5-fractions.md"}
    assert "Trained on 50 % of the users." in (tmp_path / "tiny_set-0.5.md").read_text(encoding="utf-8")


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
    assert re.search(r"^\| A\\_b\\\|c \| 2 \| .* ± 0\.\d{4}† \|", page, re.MULTILINE)
    assert re.search(r"^\| Pop &amp; &lt;co&gt; \| 1 \| .* 0\.\d{4} \|", page, re.MULTILINE)
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
        (True, None, "left out. Validation, by which training stopped, ranked the history too. No row was tuned"),
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
    for name in ("difference", "low", "high", "low_with_seeds", "high_with_seeds", "p"):
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
