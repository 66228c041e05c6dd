"""The page of a sharpness report."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from recbole_samrec.evaluator.marks import NOT_CONVERGED, SIGNIFICANT
from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.aggregate import average_measures, compare_runs, list_runs
from recbole_samrec.sharpness.entries import describe_entries
from recbole_samrec.sharpness.figure_layout import DPI
from recbole_samrec.sharpness.measure import QUICK
from recbole_samrec.sharpness.notes import list_notes
from recbole_samrec.sharpness.page import write_report
from tests.helpers.sharpness_runs import NASTY, make_measured

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def page(runs, drawn, folder):
    return write(folder / "report.html", runs, drawn.values())


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def write(file, runs, drawn, **other):
    texts = {"title": f"Sharpness {NASTY}", "facts": {"data": f"tiny {NASTY}", "command": "sharpness a b"}, **other}
    write_report(
        file,
        entries=describe_entries(runs),
        comparisons=compare_runs(runs, runs[0].label),
        measures=average_measures(runs),
        runs=list_runs(runs),
        figures=list(drawn),
        notes=list_notes(runs),
        budget=QUICK,
        **texts,
    )
    return file


def words(text):
    """The visible text, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*</style>", "", text))).split())


def cells(text, table, *first):
    """The cells of the line of a table that begins with these cells."""
    body = re.search(rf'(?s)<table class="{table}">.*?</table>', text).group()
    lines = [
        [words(cell) for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in body.split("<tr>")
    ]
    (line,) = (line for line in lines if line[: len(first)] == list(first))
    return line[len(first) :]


@pytest.mark.slow
def test_page_has_measures_and_runs(text):
    assert cells(text, "measures", "trace")[0] == "120 70.32 to 169.7"
    assert "100 ± 2" in cells(text, "runs", "trace")
    assert cells(text, "measures", "top eigenvalue")[1] == f"2 {NOT_CONVERGED}"
    seen = words(text)
    assert "with 73 products" in seen and "1703.04933" in seen


def test_page_has_differences_with_marks(text, tmp_path):
    line = cells(text, "comparisons", words(html.escape(NASTY)), "top eigenvalue")
    assert line[0:2] == ["sharpness", "lower"] and line[-2:] == ["3, 3", NOT_CONVERGED]
    runs = [make_measured(label, seed, sharp + seed / 1000, metric=0.05 + seed / 1000)
            for label, sharp in (("SASRec", 1), ("SAMRec", 0.2)) for seed in range(3)]  # fmt: skip
    text = write(tmp_path / "report.html", runs, []).read_text(encoding="utf-8")
    line = cells(text, "comparisons", "SAMRec", "top eigenvalue")
    assert line[2].startswith("\N{MINUS SIGN}3.2") and line[-1] == SIGNIFICANT
    assert cells(text, "comparisons", "SAMRec", "NDCG@10 on test")[-1] == ""


def test_page_of_one_entry_has_no_differences(tmp_path):
    text = write(tmp_path / "report.html", [make_measured("SASRec", 1)], []).read_text(encoding="utf-8")
    assert 'class="comparisons"' not in text and NOT_CONVERGED not in text
    assert captions.NOTES["single"].split()[0] in words(text)


@pytest.mark.slow
def test_page_shows_every_figure(text, drawn):
    found = re.findall(r' alt="([^"]*)"', text)
    assert [html.unescape(alt) for alt in found] == [one.caption.alt for one in drawn.values()]


def test_page_shows_that_numbers_differ(tmp_path):
    runs = [make_measured("SAMRec", 1, metric=0.054321), make_measured("SASRec", 1, metric=0.054318)]
    text = write(tmp_path / "report.html", runs, []).read_text(encoding="utf-8")
    assert cells(text, "measures", "NDCG@10 on test") == ["0.054321", "0.054318"]


def test_page_names_what_is_not_finite_or_not_measured(tmp_path):
    run = make_measured("BPR", 1, reads=False)
    run.parts["sharpness"]["ascent"][:] = np.inf
    text = write(tmp_path / "report.html", [run, make_measured("SASRec", 1)], []).read_text(encoding="utf-8")
    assert cells(text, "measures", "rise after SAM's step at rho 0.1")[0] == "not finite"
    assert cells(text, "measures", "relative loss of NDCG@10 with 40 % of the events dropped")[0] == "not measured"


def test_page_escapes_names_and_loads_nothing(text):
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert "default-src 'none'" in text
    assert not re.search(r"""<(link|iframe|base)\b|\bhref=|url\(|@import|\bsrc="(?!data:)""", text)


def in_chromium(file, profile, *options):
    command = (
        "--headless=new --no-sandbox --no-first-run --disable-background-networking --disable-gpu --dump-dom".split()
    )
    # The browser's own errands find no host; a request of the page would be refused and reported on the console.
    command += ["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"]
    run = subprocess.run([CHROMIUM, *command, *options, file.as_uri()], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout, [line for line in run.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")
def test_page_in_a_browser(page, text, drawn, tmp_path):
    shown, console = in_chromium(page, tmp_path / "profile")
    assert not console
    assert shown.count("<figure") == len(drawn)
    # The page runs no script; a copy that may run one tells what was decoded and what was asked for.
    told = """<script>addEventListener("load", () => { document.title = JSON.stringify({
        widths: [...document.images].map(image => image.naturalWidth),
        wide: document.documentElement.scrollWidth > innerWidth,
        planes: [...document.images].filter(image => image.closest("#contours, #surfaces"))
            .every(image => image.getBoundingClientRect().right <= innerWidth),
        asked: performance.getEntriesByType("resource").map(one => one.name.slice(0, 5)).filter(one => one != "data:"),
    }) })</script></body>"""
    copy = tmp_path / "copy.html"
    allowed = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    copy.write_text(allowed.replace("</body>", told), encoding="utf-8")
    shown, console = in_chromium(copy, tmp_path / "profile", "--window-size=390,800", "--virtual-time-budget=5000")
    assert not console
    widths = [round(DPI * one.width) for one in drawn.values()]
    expected = {"widths": widths, "wide": False, "planes": True, "asked": []}
    assert told_by(shown) == expected
    copy.write_text(copy.read_text(encoding="utf-8").replace("@media print", "@media screen"), encoding="utf-8")
    shown, _ = in_chromium(copy, tmp_path / "profile", "--virtual-time-budget=5000")
    assert told_by(shown)["asked"] == []


def told_by(shown):
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown).group(1)))
