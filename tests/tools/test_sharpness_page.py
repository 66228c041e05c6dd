"""The page of sharpness reports: its cells, marks, picture and errors, from made-up reports."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from recbole_samrec.evaluator.marks import NOT_COMPARABLE, NOT_CONVERGED, SIGNIFICANT, UNCORRECTED
from recbole_samrec.sharpness.aggregate import average_measures, compare_runs, list_runs
from recbole_samrec.sharpness.measure import QUICK
from recbole_samrec.sharpness.report import ABOUT, describe_report
from recbole_samrec.utils.exact_floats import exact_floats
from tests.helpers.sharpness_runs import make_measured
from tools import sharpness_page
from tools.sharpness_reports import read_report

HALF = 4.302652729911275 / math.sqrt(3)
"""Half of a 95 % interval over three values, in their standard deviations."""


@pytest.fixture(autouse=True)
def here(own_folder):
    """Each test has its own working folder."""


def group(label, sharp, metric, **more):
    """Three runs of an entry, whose numbers are within a tenth of the mean and a hundredth of the metric."""
    data = {"users": 9, "items": 8, "interactions": 99, "sha256": "0" * 64}
    return [
        make_measured(label, 2020 + seed, sharp * (0.9 + 0.1 * seed), metric=metric * (0.99 + 0.01 * seed),
                      **{"dataset": "tiny", "data": data, **more})
        for seed in range(3)
    ]  # fmt: skip


def write(name, runs):
    """The files of a report that the page reads, made by the report's own functions; figures are empty."""
    folder = Path("reports", name)
    (folder / "figures").mkdir(parents=True)
    average_measures(runs).to_csv(folder / "measures.csv", index=False)
    list_runs(runs).to_csv(folder / "runs.csv", index=False)
    figures = [SimpleNamespace(name=name) for name in (*sharpness_page.FIGURES, "line")]
    command = ["python", "-m", "recbole_samrec", "sharpness", "a", "b"]
    (folder / ABOUT).write_text(json.dumps(describe_report(runs, QUICK, figures, command, 75.0)))
    for figure in figures:
        (folder / "figures" / f"{figure.name}.png").touch()
    return read_report(folder)


def flat_and_better():
    return [*group("SAMRec", 0.4, 0.06), *group("SASRec", 1.0, 0.05)]


def cells(text, *first):
    """The cells of the line of the table that begins with these cells."""
    start = f"| {' | '.join(first)} |"
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split(" | ")][len(first) :]


def make_page():
    assert sharpness_page.main(["--reports=reports", "--out=page.md"]) == 0
    return Path("page.md").read_text(encoding="utf-8")


def test_page_has_means_and_intervals():
    """Top eigenvalues of SAMRec are 1.44, 1.6 and 1.76: deviation 0.16; the loss at noise 0.2 is a fifth for all."""
    write("dropout", flat_and_better())
    page = make_page()
    assert f"{0.16 * HALF:.2g}" == "0.4"
    assert cells(page, "top eigenvalue") == ["1.60 ± 0.40", "4.00 ± 0.99"]
    assert cells(page, "trace") == ["40.0 ± 9.9", "100 ± 25"]
    first = cells(page, "dropout, SAMRec")
    assert first[:4] == ["1.60 ± 0.40", "40.0 ± 9.9", "0.0400 ± 0.0099", "0.400 ± 0.099"]
    assert first[4] == f"0.0600 ± {0.0006 * HALF:.2g}"
    assert [float(cell.split()[0]) for cell in first[5:]] == [0.2, 0.4]
    assert "\n```bash\npython -m recbole_samrec sharpness a b\n```" in page
    assert cells(page, "time of measuring") == ["0:01:15"] and cells(page, "budget") == ["quick"]
    assert cells(page, "SAMRec", "2020, 2021, 2022")[1] == "1,000"


def test_page_has_differences_with_marks():
    runs = flat_and_better()
    write("dropout", runs)
    page, pair = make_page(), "SAMRec \N{MINUS SIGN} SASRec"
    better, difference, _, p, p_holm, n, mark = cells(page, "dropout", pair, "NDCG@10 on test")
    assert (better, difference, n, mark) == ("higher", "+0.01", "3, 3", SIGNIFICANT)
    assert cells(page, "dropout", pair, "top eigenvalue")[1] == "\N{MINUS SIGN}2.4"
    table = pd.read_csv("page.csv", **exact_floats())
    expected = compare_runs(runs, "SASRec").assign(report="dropout")[table.columns]
    pd.testing.assert_frame_equal(table.fillna(""), expected.reset_index(drop=True).fillna(""), check_dtype=False)
    assert set(table["mark"].dropna()) <= {SIGNIFICANT, UNCORRECTED}
    assert float(p) < float(p_holm) < 0.05


def test_page_marks_what_did_not_converge():
    runs = flat_and_better()
    runs[0].parts["curvature"]["converged"][0] = False
    write("dropout", runs)
    page = make_page()
    assert cells(page, "top eigenvalue") == [f"1.60 ± 0.40 {NOT_CONVERGED}", "4.00 ± 0.99"]
    line = cells(page, "dropout", "SAMRec \N{MINUS SIGN} SASRec", "top eigenvalue")
    assert line[-1] == NOT_CONVERGED and line[2:5] == ["\N{EN DASH}"] * 3


def test_page_does_not_compare_sharpness_of_other_losses():
    write("losses", [*group("CL4SRec", 0.4, 0.06, model="CL4SRec"), *group("SASRec", 1.0, 0.05)])
    page, pair = make_page(), "CL4SRec \N{MINUS SIGN} SASRec"
    assert cells(page, "losses", pair, "top eigenvalue")[-1] == NOT_COMPARABLE
    assert cells(page, "losses", pair, "NDCG@10 on test")[-1] == SIGNIFICANT


def test_page_has_the_title_and_figures_of_each_report():
    report = write("with dropout", flat_and_better())
    (report.folder / "title.txt").write_text("ml-100k, <dropout> 0.2\n")
    page = make_page()
    assert "\n## with dropout: ml-100k, &lt;dropout&gt; 0.2\n" in page
    for name in sharpness_page.FIGURES:
        assert f"](reports/with%20dropout/figures/{name}.png)" in page
    assert "line.png" not in page


def test_page_names_what_is_not_finite_or_not_measured():
    bpr = replace(make_measured("BPR", 2020, reads=False), record=group("BPR", 1, 1)[0].record)
    bpr.parts["sharpness"]["ascent"][:] = np.inf
    write("others", [bpr, *group("SASRec", 1, 0.05)])
    found = cells(make_page(), "others, BPR")
    assert (found[2], found[6], found[0]) == ("not finite", "not measured", "4")


def test_page_has_reports_of_more_seeds_first(capsys):
    write("a", [group("SAMRec", 0.4, 0.06)[0], group("SASRec", 1, 0.05)[0]])
    write("b", flat_and_better())
    Path("reports/c/data").mkdir(parents=True)
    page = make_page()
    assert page.index("\n## b\n") < page.index("\n## a\n") and "## c" not in page
    assert "reports/c: no finished report" in capsys.readouterr().err


def test_page_has_a_picture_of_both_surfaces(capsys):
    runs = flat_and_better()
    report = write("dropout", runs)
    assert "page-surfaces" not in make_page()
    assert "page-surfaces.png: not drawn" in capsys.readouterr().err
    for run in (runs[0], runs[3]):
        folder = report.folder / "data" / f"{run.label}-seed-2020"
        folder.mkdir(parents=True)
        np.savez(folder / "surface.npz", key=np.array("of something"), **run.parts["surface"])
    page = make_page()
    assert "](page-surfaces.png)" in page
    first = Path("page-surfaces.png").read_bytes()
    height, width, _ = imread("page-surfaces.png").shape
    assert width == 1440 and height > 800
    shutil.rmtree(report.folder / "data")
    assert make_page() == page and Path("page-surfaces.png").read_bytes() == first  # what a checkout without arrays has


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: shutil.rmtree(folder.parent), "reports: there is no such folder"),
        (lambda folder: shutil.rmtree(folder), "reports: there is no finished report in it"),
        (lambda folder: (folder / "measures.csv").unlink(), "reports/a/measures.csv: it cannot be read"),
        (lambda folder: (folder / "measures.csv").write_text(""), "reports/a/measures.csv: it is damaged"),
        (lambda folder: (folder / "measures.csv").write_text("entry,measure\nA,b\n"), "measures.csv: it is damaged"),
        (lambda folder: (folder / "measures.csv").write_bytes(b"\xff\xfe\x00"), "measures.csv: it is damaged"),
        (lambda folder: cut(folder / "measures.csv", 400), "reports/a: measures.csv, runs.csv and report.json are not"),
        (lambda folder: (folder / "runs.csv").write_text("run,entry\na,b\n"), "reports/a/runs.csv: it is damaged"),
        (lambda folder: cut(folder / "report.json", 100), "reports/a/report.json: it is damaged"),
        (lambda folder: (folder / "report.json").write_text("[]"), "reports/a/report.json: it is damaged"),
        (lambda folder: (folder / "figures/noise.png").unlink(), "figures/noise.png: it is missing"),
        (lambda folder: damaged_surface(folder), "data/SASRec-seed-2020/surface.npz: it is damaged"),
    ],
)
def test_main_reports_what_cannot_be_read(damage, words, capsys):
    damage(write("a", flat_and_better()).folder)
    assert sharpness_page.main(["--reports=reports", "--out=page.md"]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1 and not Path("page.md").exists()


def cut(file, length):
    """The text up to the last complete line within a length."""
    text = file.read_text()[:length]
    file.write_text(text[: text.rindex("\n") + 1] if "\n" in text else text)


def damaged_surface(folder):
    (folder / "data/SASRec-seed-2020").mkdir(parents=True)
    (folder / "data/SASRec-seed-2020/surface.npz").write_bytes(b"PK\x03\x04 and no more")
