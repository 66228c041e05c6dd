"""What the pages say of the code is true."""

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest

from recbole_samrec import compat
from recbole_samrec.compare.tables import METRICS
from tests.helpers.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_mend_stands_on_the_page_of_differences():
    page = (ROOT / "docs" / "differences.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (yes)? ?\|$", page, re.M)
    assert {name: (where, defect, said == "yes") for name, where, defect, said in rows} == {
        name: (one.where, one.defect, one.silent) for name, one in compat.MENDS.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_keys_of_a_result_that_the_readme_names_are_there(tmp_path, monkeypatch):
    import json

    from recbole_samrec.cli.main import main
    from tests.helpers.tiny import cyclic, write_events

    write_events("dataset", "circle", cyclic(users=30, items=30))
    assert main(["run", "--model=Pop", "--dataset=circle", "--run_dir=pop"]) == 0
    readme = (ROOT / "README.md").read_text()
    table = readme.split("`result.json`, which other programs may rely on")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.M)
    of_some_runs = {"pretraining", "sharpness", "source_sha256"}
    named = set(re.findall(r"`(\w+)`", " ".join(cells))) - of_some_runs
    assert named == set(json.loads(Path("pop", "result.json").read_text()))


def first_screen():
    """The README up to its first heading, on one line with plain minus signs."""
    return " ".join((ROOT / "README.md").read_text().split("\n## ")[0].split()).replace("\N{MINUS SIGN}", "-")


def table_of(name):
    return pd.read_csv(ROOT / f"results/{name}.csv").set_index("row")


def interval(line, prefix=""):
    """A difference in NDCG@10 and its interval over users and seeds."""
    return [line[f"{prefix}ndcg@10_{part}"] for part in ("difference", "low_with_seeds", "high_with_seeds")]


def test_the_table_on_the_first_screen_is_that_of_the_results():
    readme, results = (ROOT / "README.md").read_text(), table_of("ml-100k")
    head, _, *lines = re.findall(r"^\|.*\|$", readme.split("\n## ")[0], re.M)
    metrics = [name.strip().lower() for name in head.strip("|").split("|")[1:]]
    shown = {}
    for line in lines:
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        shown[name] = [cell.replace("*", "") for cell in cells]
    assert shown == {
        name: [with_spread(row[f"{metric}_mean"], row[f"{metric}_std"]) for metric in metrics]
        for name, row in results.iterrows()
    }
    assert results["seeds"].to_dict() == dict.fromkeys(results.index, 5) | {"BERT4Rec": 2}
    assert head.startswith("| ml-100k, 5 seeds (BERT4Rec 2) |")


def with_spread(mean, std):
    return f"{mean:.4f}" if pd.isna(std) else f"{mean:.4f} ± {std:.4f}"


def test_what_the_first_screen_says_of_sam_is_in_the_results():
    said = first_screen()
    tables = whole, masked = table_of("ml-100k"), table_of("ml-100k-masked")
    for table, words in (
        (whole, "SAMRec is {:.4f} below SASRec ({:.4f} to +{:.4f})"),
        (masked, "and {:.4f} below it with the history left out ({:.4f} to +{:.4f})"),
    ):
        lost, *between = interval(table.loc["SASRec"])
        assert words.format(-lost, *between) in said
    assert [table["ndcg@10_mean"].idxmax() for table in tables] == ["GRU4Rec+SAM", "BSARec"]
    for table, words in (
        (whole, "SAM gains GRU4Rec {:.4f} ({:.4f} to +{:.4f}), with which it leads"),
        (masked, "for sure {:.4f} with the history left out (+{:.4f} to +{:.4f}), where BSARec leads"),
    ):
        assert table.loc["GRU4Rec+SAM", "variant_of"] == "GRU4Rec"
        gained, *between = interval(table.loc["GRU4Rec+SAM"], "variant_")
        assert words.format(gained, *between) in said and (between[0] > 0) == ("for sure" in words)
    assert "No other difference to a trained model holds" in said
    trained = [table.drop(["SAMRec", "Pop"]) for table in tables]
    for table, metric in itertools.product(trained, METRICS):
        assert set(table.index[sure(table, metric) & (table[f"{metric}_p_holm"] < 0.05)]) <= {"BSARec", "GRU4Rec+SAM"}
    uncorrected = "below BSARec by {:.4f} ({:.4f} to {:.4f}), which does not hold after Holm's correction"
    for table, row, words, holds in (
        (whole, "GRU4Rec+SAM", "below GRU4Rec+SAM by {:.4f} ({:.4f} to {:.4f})", True),
        (whole, "BSARec", uncorrected, False),
        (masked, "BSARec", "by {:.4f} with the history left out ({:.4f} to {:.4f}), which does", True),
    ):
        lost, low, high = interval(table.loc[row])
        assert words.format(-lost, -high, -low) in said and high < 0
        assert (table.loc[row, "ndcg@10_p_holm"] < 0.05) == holds


def sure(table, metric):
    """Where the interval over users and seeds leaves out 0."""
    return (table[f"{metric}_low_with_seeds"] > 0) | (table[f"{metric}_high_with_seeds"] < 0)


def test_what_the_first_screen_says_of_tuned_models_is_in_the_results():
    said, tuned = first_screen(), table_of("ml-100k-tuned")
    of_rows = [f"{line['ndcg@10_mean']:.4f} ± {line['ndcg@10_std']:.4f}" for _, line in tuned.iterrows()]
    score = dict(zip(tuned.index, of_rows, strict=True))
    below = "above SASRec ({SASRec}), S3Rec ({S3Rec}) and CL4SRec ({CL4SRec}) and below GRU4Rec ({GRU4Rec})"
    assert f"on ml-100k, SAMRec has NDCG@10 {score['SAMRec']}, {below.format(**score)}" in said
    lead = tuned["ndcg@10_difference"]
    assert (lead[["SASRec", "S3Rec", "CL4SRec"]] > 0).all() and lead["GRU4Rec"] < 0 and set(tuned["seeds"]) == {5}
    assert "(from SASRec {:+.4f}, {:+.4f} to {:+.4f})".format(*interval(tuned.loc["SASRec"])) in said
    trained = tuned.drop(["SAMRec", "Pop"])
    assert (trained["ndcg@10_low_with_seeds"] < 0).all() and (trained["ndcg@10_high_with_seeds"] > 0).all()
    page = (ROOT / "results/search.md").read_text()
    of_row = {line.split(":")[0][2:]: line for line in page.splitlines() if "the best trial had" in line}
    assert set(of_row) == set(trained.index) | {"SAMRec"}
    assert [row for row, line in of_row.items() if "On test the search gained" in line] == ["SAMRec"]
    assert "[SAMRec alone gained for sure from its search]" in said


def test_what_the_first_screen_says_of_larger_data_is_in_the_results():
    said, beauty = first_screen(), table_of("Amazon_Beauty")
    assert "with three seeds and the dropout that suits SASRec: SAMRec is below" in said and set(beauty["seeds"]) == {3}
    for name in ("SASRec", "CL4SRec", "S3Rec"):
        lost, low, high = interval(beauty.loc[name])
        assert f"{name} by {-lost:.4f} ({-high:.4f} to {-low:.4f})" in said
        assert high < 0 and beauty.loc[name, "ndcg@10_p_holm"] < 0.05
    radius = interval(beauty.loc["SAMRec with rho 0.03"], "variant_")
    assert beauty.loc["SAMRec with rho 0.03", "variant_of"] == "SASRec"
    assert "it is {:.4f} below SASRec ({:.4f} to +{:.4f})".format(-radius[0], *radius[1:]) in said
    assert "SASRec has NDCG@10 {:.4f}; RecBole's own".format(beauty.loc["SASRec", "ndcg@10_mean"]) in said
    plain, masked = table_of("ml-1m"), table_of("ml-1m-masked")
    assert "[ml-1m](results/ml-1m.md), with three seeds: SAMRec is" in said
    assert set(plain["seeds"]) == set(masked["seeds"]) == {3}
    for name, words in (
        ("SASRec", "{:.4f} below SASRec ({:.4f} to +{:.4f})"),
        ("CL4SRec", "{:.4f} below CL4SRec ({:.4f} to +{:.4f})"),
        ("S3Rec", "for sure, {:.4f} below S3Rec ({:.4f} to {:.4f})"),
    ):
        lost, *between = interval(plain.loc[name])
        assert words.format(-lost, *between) in said
        assert (between[1] < 0) == ("for sure" in words)
    assert "nothing tells it from" in said
    for name in ("SASRec", "CL4SRec", "S3Rec"):
        gained, low, high = interval(masked.loc[name])
        assert f"{name} ({gained:+.4f}, {low:.4f} to +{high:.4f})" in said and low < 0 < high
    assert "SASRec then has NDCG@10 {:.4f}".format(masked.loc["SASRec", "ndcg@10_mean"]) in said


def test_what_the_readme_says_of_packing_is_in_the_results():
    said = " ".join((ROOT / "README.md").read_text().split()).replace("\N{MINUS SIGN}", "-")
    for name, words, sign in (
        ("ml-100k", "SASRec has NDCG@10 higher by {:.4f} (95 % interval over users and seeds {:.4f} to +{:.4f})", 1),
        ("ml-100k-masked", "and lower by {:.4f} with the history left out ({:.4f} to +{:.4f})", -1),
    ):
        line = table_of(name).loc["SASRec (RecBole's rows)"]
        assert line["variant_of"] == "SASRec" and line["seeds"] == 5
        difference, low, high = interval(line, "variant_")
        assert words.format(sign * difference, low, high) in said and low < 0 < high


def test_what_the_readme_says_of_sharpness_is_in_the_reports():
    said = " ".join((ROOT / "README.md").read_text().split())
    tops = {}
    for report in ("with-dropout", "without-dropout", "tuned"):
        measures = pd.read_csv(ROOT / "results/sharpness" / report / "measures.csv")
        lines = measures[measures["measure"] == "top eigenvalue"].set_index("label")
        sasrec, samrec = (next(line for label, line in lines.iterrows() if name in label) for name in ("SAS", "SAM"))
        assert samrec["high"] < sasrec["low"]
        assert (samrec["runs"], sasrec["runs"]) == (3, 3)
        tops[report] = f"{sasrec['value']:.2f} to {samrec['value']:.2f}"
    words = "from {}, from {} where neither has dropout, and from {} where both were tuned"
    assert words.format(*tops.values()) in said
    page = (ROOT / "results/sharpness.md").read_text()
    assert "Adaptive sharpness, not told apart: SAMRec tuned against SASRec tuned (tuned), SAMRec against" in page
    assert "no difference is shown" in said
    assert "shown to be better or worse; not shown to be more or less robust: SAMRec tuned against SASRec tuned" in page
