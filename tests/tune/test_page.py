import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.tune import figures, importance
from recbole_samrec.tune.page import render_page
from recbole_samrec.tune.spaces import Parameter

NASTY = "<script>alert(1)</script>"
RATE, DROPOUT = Parameter("learning_rate", "loguniform"), Parameter("hidden_dropout_prob", "uniform")
LAYERS, ALWAYS = Parameter("n_layers", "choice", (1, 2)), Parameter("loss_type", "choice", ("CE",))
ACT = Parameter("hidden_act", "choice", ("relu", "gelu"))
LISTS = Parameter("augs", "choice", (["crop"], ["crop", "mask"]))
PARAMETERS = [RATE, DROPOUT, LAYERS, ALWAYS, ACT, LISTS, Parameter(NASTY, "uniform")]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def trials(number: int = 24, seed: int = 0) -> pd.DataFrame:
    """Random trials whose score is the logarithm of the rate and nothing else."""
    draw = np.random.default_rng(seed)
    rate = 10 ** draw.uniform(-4, -2, number)
    return pd.DataFrame(
        {
            "trial": range(number),
            "status": ["stopped early" if one % 3 == 2 else "finished" for one in range(number)],
            "score": 0.1 + np.log10(rate) / 100,
            "epochs": 5,
            "seconds": 30.0,
            "ended": 30.0 * np.arange(1, number + 1),
            "reason": "",
            "learning_rate": rate,
            "hidden_dropout_prob": draw.uniform(0, 0.5, number),
            "n_layers": draw.integers(1, 3, number),
            "loss_type": "CE",
            "hidden_act": draw.choice(["relu", "gelu"], number),
            "augs": [["crop"] if one else ["crop", "mask"] for one in draw.integers(0, 2, number)],
            NASTY: draw.uniform(0, 1, number),
        }
    )


def failed(table: pd.DataFrame, *numbers: int) -> pd.DataFrame:
    table.loc[list(numbers), "status"] = "failed"
    table.loc[list(numbers), "score"] = np.nan
    table.loc[list(numbers), "reason"] = f"the loss is nan {NASTY}"
    return table


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
    """What a reader reads, scripts and styles left out."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def columns(text: str, number: int) -> list[str]:
    """A column of the table of all trials."""
    body = text[text.index('class="trials"') :]
    return [re.findall(r"<td[^>]*>(.*?)</td>", line)[number] for line in re.findall(r"<tr class=.*?</tr>", body)]


@pytest.fixture
def quick(monkeypatch):
    """Split the trials into quarters once, where it does not matter how exact an estimate is."""
    monkeypatch.setattr(importance, "REPEATS", 1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page") / "search.html", failed(trials(), 3, 7))


@pytest.fixture(scope="module")
def text(page):
    return without_plotly(page.read_text(encoding="utf-8"))


def test_importance__is_all_of_the_parameter_that_decides():
    shares = importance.importance(trials(60), PARAMETERS).set_index("parameter")
    assert shares.index[0] == "learning_rate"
    assert 0.85 < shares.loc["learning_rate", "importance"] < 1.15
    assert (shares["importance"].iloc[1:] < 0.02).all()
    assert tuple(shares.loc["loss_type"]) == (0, 0)


def test_importance__is_shared_by_parameters_that_add_up():
    table = trials(200)
    ranks = table[["learning_rate", "hidden_dropout_prob"]].rank()
    table["score"] = 2 * ranks["learning_rate"] - ranks["hidden_dropout_prob"]  # variances 4 : 1
    shares = importance.importance(table, [DROPOUT, RATE]).set_index("parameter")["importance"]
    assert shares["learning_rate"] == pytest.approx(0.8, abs=0.15)
    assert shares["hidden_dropout_prob"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("name", ["hidden_act", "augs"])
def test_importance__covers_categories_and_lists(quick, name):
    table = trials()
    table["score"] = table[name].map(str).rank() + np.linspace(0, 0.1, len(table))
    assert importance.importance(table, PARAMETERS)["parameter"][0] == name


def test_importance__depends_on_the_order_of_scores_and_the_seed(quick):
    table = trials()
    first = importance.importance(table, PARAMETERS, seed=3)
    pd.testing.assert_frame_equal(first, importance.importance(table, PARAMETERS, seed=3))
    assert not first.equals(importance.importance(table, PARAMETERS, seed=4))
    collapsed = table.assign(score=table["score"].where(table["score"] > table["score"].min(), -1e6))
    pd.testing.assert_frame_equal(first, importance.importance(collapsed, PARAMETERS, seed=3))


def test_importance__counts_early_stopped_and_no_failed_trials(quick):
    table = trials(10)
    extra = failed(trials(3, seed=1), 0, 1, 2)
    both = pd.concat([table, extra.assign(score=[99.0, np.nan, np.nan])], ignore_index=True)
    pd.testing.assert_frame_equal(importance.importance(both, PARAMETERS), importance.importance(table, PARAMETERS))
    assert len(importance.select_scored(both)) == 10


@pytest.mark.parametrize("table", [trials(7), failed(trials(8), 0), trials(20).assign(score=0.1), trials(0)])
def test_importance__needs_eight_trials_and_two_scores(table):
    shares = importance.importance(table, PARAMETERS)
    assert list(shares.columns) == ["parameter", "importance", "spread"]
    assert shares.empty


def test_even_ticks__are_round_and_enclose_the_values():
    rates = np.array([0.00031622776, 0.0004, 0.0005, 0.0006, 0.0007, 0.0008, 0.009])
    axis = figures._make_number_axis("learning_rate", np.log10(rates), logarithmic=True)
    assert axis["ticktext"] == ["0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01"]
    np.testing.assert_allclose(axis["tickvals"], np.log10([2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]))
    assert figures._place_even_ticks(0.051, 0.0649) == pytest.approx([0.05, 0.055, 0.06, 0.065])
    assert figures._make_number_axis("n", np.array([3.0, 3.0]), logarithmic=False)["range"] == [2.5, 3.5]


@pytest.mark.parametrize("low", [1e-5, 0.0123, 0.3, 1.0, 7.7])
@pytest.mark.parametrize("ratio", [1, 1.3, 1.99, 2, 7, 900, 3e4, 1e6])
def test_logarithmic_ticks__enclose_any_values(low, ratio):
    ends = np.log10([low, low * ratio])
    ticks = np.log10(figures._place_logarithmic_ticks(*ends))
    assert ticks[0] <= ends[0] + 1e-12 and ends[1] - 1e-12 <= ticks[-1]
    assert len(ticks) <= 11


def test_make_axis__spaces_choices_evenly_by_name():
    axis = figures._make_axis(pd.Series([0.1, 0, 0.001, 0.1]), Parameter("weight_decay", "choice", (0, 0.001, 0.1)))
    assert axis["ticktext"] == ["0", "0.001", "0.1"]
    assert list(axis["values"]) == [2, 0, 1, 2]
    axis = figures._make_axis(pd.Series([True, False]), Parameter("flag", "choice", (True, False)))
    assert axis["ticktext"] == ["False", "True"]
    axis = figures._make_axis(pd.Series([["b"], ["a", "b"], ["b"]]), Parameter("lists", "choice", (["b"], ["a", "b"])))
    assert axis["ticktext"] == ["['a', 'b']", "['b']"]


@pytest.mark.parametrize("bigger", [True, False])
def test_draw_parallel__has_the_best_lines_dark_and_in_front(bigger):
    table = trials(12)
    line = figures.draw_parallel(table, [RATE], "ndcg@10", bigger).data[0].line
    best = table["score"].idxmax() if bigger else table["score"].idxmin()
    assert np.argmax(line.color) == best and line.cmax == line.color[best]  # plotly draws the greatest number last
    brightness = [sum(int(shade[at : at + 2], 16) for at in (1, 3, 5)) for _, shade in line.colorscale]
    assert brightness[-1] == min(brightness)
    shown = [float(one) for one in line.colorbar.ticktext]
    assert [abs(one) for one in line.colorbar.tickvals] == pytest.approx(np.abs(shown))


@pytest.mark.parametrize("bigger, best", [(True, [0.2, 0.3, 0.3, 0.4]), (False, [0.2, 0.2, 0.1, 0.1])])
def test_draw_history__steps_with_every_better_trial(bigger, best):
    table = trials(4).assign(score=[0.3, 0.2, 0.4, 0.1], ended=[120.0, 60.0, 240.0, 180.0])
    line, finished, early = figures.draw_history(table, "ndcg@10", bigger).data
    assert line.line.shape == "hv"
    assert list(line.x) == [1, 2, 3, 4]
    assert list(line.y) == best
    assert sorted(finished.y) == [0.1, 0.2, 0.3] and list(early.y) == [0.4]
    assert finished.marker.symbol != early.marker.symbol


def test_draw_bars__keeps_whiskers_on_the_axis():
    shares = pd.DataFrame({"parameter": ["a", "b"], "importance": [0.5, 0.1], "spread": [0.2, 0.3]})
    (bars,) = figures.draw_bars(shares).data
    assert list(bars.y) == ["b", "a"]  # plotly counts from below
    assert list(bars.error_x.array) == [0.3, 0.2]
    assert list(bars.error_x.arrayminus) == [0.1, 0.2]


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
