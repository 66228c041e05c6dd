import html
import json
import re
import shutil
import subprocess

import pytest

from recbole_samrec.tune.page import render_page
from tests.helpers.trials import NASTY, PARAMETERS, failed, trials

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def write(file, table, parameters=PARAMETERS, bigger=True, **other):
    texts = {"title": f"Search {NASTY}", "metric": f"NDCG@10{NASTY}", "facts": {"model": NASTY, "seed": "1"}}
    best = {"learning_rate": 0.0031622776601683794, NASTY: NASTY}
    scores = {"valid": {"ndcg@10": 0.25}, "test": {"ndcg@10": 0.125}}
    text = render_page(table, parameters, bigger=bigger, **{**texts, "best": best, "scores": scores, **other})
    file.write_text(text, encoding="utf-8")
    return file


def without_plotly(text: str) -> str:
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()) <= 1
    return text.replace(get_plotlyjs(), "")


def words(text: str) -> str:
    """The visible text, without scripts and styles."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def columns(text: str, number: int) -> list[str]:
    """A column of the table of all trials."""
    body = text[text.index('class="trials"') :]
    return [re.findall(r"<td[^>]*>(.*?)</td>", line)[number] for line in re.findall(r"<tr class=.*?</tr>", body)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page") / "search.html", failed(trials(), 3, 7))


@pytest.fixture(scope="module")
def text(page):
    return without_plotly(page.read_text(encoding="utf-8"))


def test_page__contains_everything(page, text):
    assert page.read_text(encoding="utf-8").count("plotly.js v") >= 1
    read = words(text)
    assert "learning_rate 0.003162" in read and "ndcg@10 0.2500 0.1250" in read
    assert "An estimate from 22 trials" in read
    assert text.count("Plotly.newPlot") == 3
    assert [int(one) for one in columns(text, 0)[-2:]] == [3, 7]
    assert columns(text, 2)[-2:] == ["failed"] * 2 and "the loss is nan" in columns(text, -1)[-1]


@pytest.mark.parametrize("bigger", [True, False])
def test_page__lists_the_best_trial_first(tmp_path, bigger):
    text = write(tmp_path / "search.html", trials(5), bigger=bigger).read_text(encoding="utf-8")
    order = trials(5).sort_values("score", ascending=not bigger)["trial"]
    assert columns(text, 0) == [str(one) for one in order]


def test_page__escapes_what_users_write(text):
    assert "alert(1)" in text
    assert NASTY not in text
    assert text.count("<script") == text.count("</script") == 5  # plotly's, three figures, printing
    (plot,) = re.findall(r'"parallel",\s*(\[.*?\]),\s*\{"', text, re.DOTALL)
    labels = [one["label"] for one in json.loads(plot)[0]["dimensions"]]
    assert labels[-2] == "&lt;script&gt;alert(1)&lt;/s…"  # plotly makes its own markup of what it finds


def test_page__loads_nothing_from_elsewhere(text):
    assert "default-src 'none'" in text
    assert not re.search(r"""<(link|iframe|img|base)\b|\bsrc=|\bhref=|url\(|@import""", text)


def test_page__has_no_parallel_coordinates_of_one_trial(tmp_path):
    text = without_plotly(write(tmp_path / "search.html", failed(trials(3), 0, 1)).read_text(encoding="utf-8"))
    assert text.count("Plotly.newPlot") == 1
    assert "Not shown: at least two trials need a score; one has." in words(text)
    assert "Not shown: at least 8 trials need a score; 1 has one." in words(text)


def test_page__has_no_importance_of_equal_scores(tmp_path):
    text = without_plotly(write(tmp_path / "search.html", trials(9).assign(score=0.1)).read_text(encoding="utf-8"))
    assert text.count("Plotly.newPlot") == 2
    assert "all trials have the same score" in words(text)


@pytest.mark.parametrize("number", [2, 0])
def test_page__reports_that_no_trial_has_a_score(tmp_path, number):
    table = failed(trials(number), *range(number))
    text = write(tmp_path / "search.html", table, best={}, scores={}).read_text(encoding="utf-8")
    assert "No trial has a score" in words(text)
    assert words(text).count("the loss is nan") == number
    assert len(text) < 20_000  # plotly is not needed


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")
def test_page__draws_three_figures_in_a_browser_offline(page, tmp_path):
    options = (
        "--headless=new --no-sandbox --no-first-run --disable-background-networking --enable-unsafe-swiftshader "
        "--enable-logging=stderr --virtual-time-budget=5000 --dump-dom"
    ).split()
    # The browser's own errands find no host; a request of the page would be refused and reported on the console.
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
    run = subprocess.run([CHROMIUM, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    console = [line for line in run.stderr.splitlines() if ":CONSOLE" in line and '"[.WebGL-' not in line]
    assert not console
    assert run.stdout.count('class="plotly-graph-div js-plotly-plot"') == 3
    for drawn in ("parcoords-control-view", "scatterlayer", "barlayer"):
        assert f'class="{drawn}' in run.stdout
    assert "WebGL is not supported" not in without_plotly(run.stdout)
