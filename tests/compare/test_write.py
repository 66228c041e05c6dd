import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare import captions
from recbole_samrec.compare.declarations import Declarations
from recbole_samrec.compare.layout import NOTHING
from recbole_samrec.compare.primary import Family, Place
from recbole_samrec.compare.write import list_main_pages, write_declared, write_tables
from recbole_samrec.evaluator.statistics import compute_user_metric
from recbole_samrec.utils.exact_floats import exact_floats
from tests.helpers.compared import make_run, make_runs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with all files of a comparison."""
    runs = [*make_runs("SAMRec", 25), *make_runs("A_b|c", 22), *make_runs("Pop & <co>", 0, seeds=(1,))]
    runs += [make_run("SAMRec", rank=list(range(1, 61)), fraction=0.5)]
    declared = Declarations((("A_b|c", "SAMRec"),), (("A_b|c", "Pop & <co>"),), 5.0)
    family = Family.test(runs, declared, [Place("tiny_set")])
    out = tmp_path_factory.mktemp("out") / "new"
    options = {"command": "compare --seeds 2", "settings": {"tiny_set": "all entries: {}\n"}}
    reasons = {"tiny_set": {"S3Rec": "100 % out of_memory"}}
    write_tables(runs, out, entries=["SAMRec"], reasons=reasons, declared=family, **options)
    write_declared(family, out, command="compare --seeds 2")
    return out


def test_write_tables_writes_every_table_in_every_form(written):
    stems = ("tiny_set", "tiny_set-groups", "tiny_set-fractions")
    wanted = {f"{stem}.{form}" for stem in stems for form in ("md", "csv", "tex", "png", "pdf")}
    assert {path.name for path in written.iterdir()} == wanted | {f"primary.{form}" for form in ("md", "csv", "tex")}


def test_write_tables_markdown_has_marks_reasons_and_escapes(written):
    page = (written / "tiny_set.md").read_text(encoding="utf-8")
    accuracy = page.partition("## Accuracy")[2].partition("\n## ")[0]
    accuracy = accuracy.partition("## Primary")[0]
    lines = [line for line in accuracy.splitlines() if line.startswith("| ")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {10}
    assert re.search(r"^\| SAMRec \| 2 \| .*\*\*0\.\d{4}\*\* ± 0\.\d{4}", page, re.MULTILINE)
    assert re.search(r"^\| A\\_b\\\|c \| 2 \| .*<u>0\.\d{4}</u> ± 0\.\d{4}", page, re.MULTILINE)
    assert re.search(r"^\| A\\_b\\\|c \| 2 \| .* ± 0\.\d{4}† \|", page, re.MULTILINE)
    assert re.search(r"^\| Pop &amp; &lt;co&gt; \| 1 \| .* 0\.\d{4} \|", page, re.MULTILINE)
    assert f"| S3Rec | 0 | {NOTHING} | {NOTHING} |" in page
    assert "- S3Rec: 100 % out of\\_memory" in page
    for fact in ("| users | 60 |", "| history | unmasked |", "| seeds | 1 to 2 |", "| reference | SAMRec |"):
        assert fact in page
    assert "```bash\ncompare --seeds 2\n```" in page and "```yaml\nall entries: {}\n```" in page
    assert "| runs | 6 |" in page and "## Differences from SAMRec" in page


def test_write_tables_csv_has_plain_numbers(written):
    table = pd.read_csv(written / "tiny_set.csv", index_col="entry", **exact_floats())
    assert list(table.index) == ["SAMRec", "A_b|c", "Pop & <co>", "S3Rec"]
    means = [compute_user_metric(one.ranks["rank"], "mrr").mean() for one in make_runs("SAMRec", 25)]
    assert table["mrr_mean"]["SAMRec"] == np.mean(means)
    assert table["mrr_std"]["SAMRec"] == pytest.approx(np.std(means, ddof=1))
    assert table["note"]["S3Rec"] == "100 % out of_memory"
    assert table["reference"]["A_b|c"] == "SAMRec" and table["mrr_difference"]["A_b|c"] < 0


def test_write_tables_latex_is_balanced_and_escaped(written):
    text = (written / "tiny_set.tex").read_text(encoding="utf-8")
    for begin, end in ((r"\begin{table*}", r"\end{table*}"), (r"\toprule", r"\bottomrule"), ("{", "}")):
        assert text.count(begin) == text.count(end) > 0
    assert not re.search(r"(?<!\\)[&#_]", re.sub(r" & |\\label\{.*\}", "", text))
    assert text.replace(r"\$", "").count("$") % 2 == 0
    for line in text.splitlines():
        if line.endswith(r"\\") and "SAMRec &" in line:
            assert line.count(" & ") in (8, 6, 9)


def test_write_tables_ends_pages_with_one_line_end(written):
    for path in written.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert "\n\n\n" not in text, path


@pytest.mark.slow
def test_write_tables_links_related_pages(tmp_path):
    runs = [make_run(), make_run("Pop", rank=(9, 9, 9, 9)), make_run("Pop", fraction=0.5)]
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
    write_tables([make_run()], tmp_path / "alone")
    text = (tmp_path / "alone/tiny_set.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((.+?\.md)\)", text) == ["tiny_set-groups.md"]


@pytest.mark.slow
def test_write_tables_of_a_share_leaves_those_of_all_users(tmp_path):
    write_tables([make_run(fraction=0.2), make_run()], tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_tables([make_run(fraction=0.2), make_run(fraction=0.5)], tmp_path)
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    added = {file.name for file in tmp_path.glob("*.md")} - before.keys()
    assert added == {"tiny_set-0.5.md", "tiny_set-0.5-groups.md", "tiny_set-0.5-fractions.md"}
    assert "| users trained on | 50 % |" in (tmp_path / "tiny_set-0.5.md").read_text(encoding="utf-8")


def test_write_tables_without_finished_runs_lists_the_reasons(tmp_path):
    write_tables([], tmp_path, reasons={"ml-1m": {"SAMRec": "needs a GPU"}})
    assert [path.name for path in tmp_path.iterdir()] == ["ml-1m.md"]
    assert "- SAMRec: needs a GPU" in (tmp_path / "ml-1m.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("masked", [False, True])
def test_write_tables_names_the_protocol(tmp_path, masked):
    write_tables([make_run()], tmp_path, masked=masked)
    stem = "tiny_set-masked" if masked else "tiny_set"
    for form in ("md", "tex"):
        text = " ".join((tmp_path / f"{stem}.{form}").read_text(encoding="utf-8").split())
        assert " ".join(captions.PROTOCOL[masked].split()) in text.replace("\\&", "&")
        assert "Differences" not in text  # there is nothing to compare with


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_list_main_pages__names_what_write_tables_writes(tmp_path, fraction):
    runs = [replace(run, protocol="gts-last", fraction=fraction) for run in make_runs("A", 2)]
    for masked in (False, True):
        ((title, name),) = list_main_pages(runs, masked)
        write_tables(runs, tmp_path, masked=masked, protocol="gts-last")
        heading = (tmp_path / name).read_text(encoding="utf-8").partition("\n")[0].replace("\\", "")
        assert heading == f"# {title}" and ("masked" in title) == masked


def test_write_declared__has_all_lines_and_their_numbers(written):
    page = (written / "primary.md").read_text(encoding="utf-8")
    assert page.startswith("# Declared comparisons\n") and "## Primary comparisons" in page and "## Equivalence" in page
    assert r"| A\_b\|c" in page and "compare --seeds 2" in page
    table = pd.read_csv(written / "primary.csv")
    assert table["test"].tolist() == ["difference", "equivalence"]
    main = pd.read_csv(written / "tiny_set.csv", index_col="entry").loc["A_b|c"]
    assert [main["ndcg@10_p_holm"], main["ndcg@10_p"]] == pytest.approx([table["p_holm"][0]] * 2)
    assert "## Primary comparisons" in (written / "tiny_set.md").read_text(encoding="utf-8")


def test_write_tables_says_which_form_is_exploratory(tmp_path):
    runs = [*make_runs("SAMRec", 25), *make_runs("A", 22)]
    family = Family.test(runs, Declarations((("A", "SAMRec"),)), [Place("tiny_set")])
    write_tables(runs, tmp_path, masked=True, declared=family)
    page = (tmp_path / "tiny_set-masked.md").read_text(encoding="utf-8")
    assert captions.OTHER_FORM[False] in page and "Primary comparisons\n" not in page and "\u2020" not in page
