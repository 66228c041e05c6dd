"""The summary, the figures and the page of a sharpness report, from measurements that are made up."""

import html
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.formats import csv
from recbole_samrec.compare.tables import fraction_table
from recbole_samrec.experiments.results import Run
from recbole_samrec.sharpness import aggregate, figures
from recbole_samrec.sharpness.figure_layout import DPI
from recbole_samrec.sharpness.measure import QUICK, Measured
from recbole_samrec.sharpness.page import in_order, write_report
from recbole_samrec.sharpness.surface_figures import FURTHEST, Scale, rise_of
from recbole_samrec.sharpness.verdict import verdict
from recbole_samrec.utils.errors import DataError
from tests.helpers.sharpness_runs import NO_WAYS, made

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = "<script>alert(1)</script> $x_1$"
ALL = ["eigenvalues", "density", "rises", "contours", "surfaces", "line", "between", "noise", "histories", "training"]


def tracked(missed=()):
    return [
        {"epoch": epoch, "top_eigenvalue": 1.0 + epoch, "converged": epoch not in missed, "ascent_rise": 0.1,
         "rho": 0.3, "gradient_norm": 0.5}
        for epoch in (0, 4)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    """Two labels and three seeds each; one top eigenvalue has not converged, one corner is not finite."""
    sharp = [
        made("SASRec", seed, value, metric=0.05, sharpness=tracked()) for seed, value in enumerate((1.0, 1.2, 1.4))
    ]
    flat = [made(NASTY, seed, value, converged=seed != 1, metric=0.06) for seed, value in enumerate((0.4, 0.5, 0.6))]
    sharp[0].parts["surface"]["loss"][0, 0] = np.inf
    flat[0].record["sharpness"] = tracked(missed=(4,))
    return sharp + flat


@pytest.fixture(scope="module")
def between(runs):
    way = {
        "first": runs[0].name,
        "second": runs[4].name,
        "position": np.linspace(0, 1, 5),
        "loss": [5, 6, 7, 6, np.inf],
    }
    return pd.DataFrame(way)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def drawn(runs, between, folder):
    return {one.name: one for one in figures.draw(runs, between, folder / "figures")}


@pytest.fixture(scope="module")
def page(runs, drawn, folder):
    return write(folder / "report.html", runs, drawn.values())


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def write(file, runs, drawn, **other):
    found = aggregate.measures(runs)
    texts = {
        "title": f"Sharpness {NASTY}",
        "facts": {"data": f"tiny {NASTY}", "command": "sharpness a b"},
        "sentences": verdict(found, aggregate.meanings(runs), runs[0].label),
        "notes": [f"Care {NASTY}"],
    }
    each = aggregate.per_run(runs)
    write_report(file, runs=each, summary=found, figures=list(drawn), budget=QUICK, **{**texts, **other})
    return file


def line_of(runs, label, measure):
    found = aggregate.measures(runs)
    (line,) = found[(found["label"] == label) & (found["measure"] == measure)].to_dict("records")
    return line


def words(text):
    """What a reader sees, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*</style>", "", text))).split())


def test_the_mean_over_seeds_and_its_interval(runs):
    """Traces 100, 120, 140: mean 120, deviation 20; 4.3027 is the 97.5 % quantile of t with two degrees of freedom."""
    line = line_of(runs, "SASRec", "trace")
    half = 4.302652729911275 * 20 / math.sqrt(3)
    assert (line["value"], line["runs"]) == (pytest.approx(120), 3)
    assert (line["low"], line["high"]) == (pytest.approx(120 - half), pytest.approx(120 + half))


def test_one_run_has_no_interval_but_that_of_an_estimate():
    """Of 8 probes with a standard error of 2; 2.3646 is the 97.5 % quantile of t with 7 degrees of freedom, 12.7062
    with one: the two draws at noise 0.2 lose 0.202 and 0.198, so that their standard error is 0.002."""
    runs = [made("SASRec", 1, 1.5)]
    line = line_of(runs, "SASRec", "top eigenvalue")
    assert line["value"] == line["low"] == line["high"] == 6
    line = line_of(runs, "SASRec", "trace")
    assert (line["value"], line["low"], line["high"]) == pytest.approx((150, 150 - 4.729248, 150 + 4.729248))
    line = line_of(runs, "SASRec", "relative loss of NDCG@10 at noise 0.2")
    assert (line["low"], line["high"]) == pytest.approx((0.2 - 0.002 * 12.706205, 0.2 + 0.002 * 12.706205))
    line = line_of(runs, "SASRec", "negative share of the absolute curvature")
    assert line["low"] == line["high"] == 0.3  # a single probe tells nothing of its error


def test_several_runs_have_no_narrower_interval_than_the_estimates():
    runs = [made("SASRec", seed, 1 + 1e-4 * seed) for seed in range(3)]
    line = line_of(runs, "SASRec", "trace")
    assert line["high"] - line["low"] == pytest.approx(2 * 4.729248)
    assert aggregate.interval([1.0, 3.0], [0.1, 0.1]) == aggregate.interval([1.0, 3.0])


def test_the_rise_beyond_the_slope_and_its_note():
    """The rise at rho 0.1 is 0.1, of which rho times the gradient's norm is 0.02 here and 0.09 there."""
    curved, straight = made("SASRec", 1), made("SAMRec", 1)
    straight.parts["sharpness"]["gradient"] = np.asarray(0.9)
    runs = [curved, straight]
    for run, beyond in ((curved, 0.08), (straight, 0.01)):
        assert line_of(runs, run.label, "rise beyond the slope at rho 0.1")["value"] == pytest.approx(beyond)
    shares = aggregate.per_run(runs)["share of the slope in the rise after SAM's step at rho 0.1"]
    assert shares.tolist() == pytest.approx([0.2, 0.9])
    (note,) = aggregate.notes_on(runs)
    assert "(SAMRec, seed 1: 90 %)" in note and "stopped before a minimum" in note
    assert aggregate.notes_on([curved]) == []
    assert aggregate.meanings(runs)["rise beyond the slope at rho 0.1"].kind == "sharpness"


def test_each_measure_says_on_its_own_whether_it_converged():
    run = made("SASRec", 1)
    run.parts["curvature"]["negative_converged"] = np.asarray(False)
    assert not line_of([run], "SASRec", "negative share of the absolute curvature")["converged"]
    assert line_of([run], "SASRec", "lowest eigenvalue over the top one")["converged"]
    assert line_of([run], "SASRec", "top eigenvalue")["converged"]


def test_runs_of_one_label_that_differ_in_more_than_the_seed_are_noted():
    def of(dropout, **more):
        return made("SASRec", 1, config={"loss_type": "CE", "dropout": dropout, "seed": dropout, **more})

    assert aggregate.notes_on([of(0.2), of(0.2, new_setting=1)]) == []
    (note,) = aggregate.notes_on([of(0.2), of(0.5)])
    assert "The runs of SASRec differ in more than the seed (dropout: 0.2, 0.5)" in note and "label=RUN" in note


def test_labels_of_different_losses_are_not_compared_in_sharpness():
    runs = [made("CL4SRec", 1, 0.5, model="CL4SRec"), made("SASRec", 1)]
    said = verdict(aggregate.measures(runs), aggregate.meanings(runs), "SASRec")
    other = "CL4SRec and SASRec lowered different losses (the loss of CL4SRec; cross-entropy over all items)"
    assert [other in sentence for sentence in said[:2]] == [True, True]
    assert any(sentence.startswith("In sum, CL4SRec against SASRec: of unknown sharpness") for sentence in said)


def test_measures_are_taken_at_the_levels_they_name(runs):
    expected = {
        "top eigenvalue": 4.0,
        "rise after SAM's step at rho 0.1": 0.1,
        "worst rise in random directions at rho 1": 1.0,
        "mean rise in random directions at rho 1": 0.5,
        "rise beyond the slope at rho 0.1": 0.08,
        "negative share of the absolute curvature": 0.3,
        "lowest eigenvalue over the top one": -0.5,
        "rise after the adaptive step at rho 1": 1.0,
        "worst adaptive rise at rho 1": 2.0,
        "NDCG@10 on test": 0.05,
        "relative loss of NDCG@10 at noise 0.2": 0.2,  # 0.202 and 0.198 in the two draws
        "relative loss of NDCG@10 with 40 % of the events dropped": 0.4,
    }
    first = aggregate.per_run(runs).iloc[0]
    assert {name: first[name] for name in expected} == pytest.approx(expected)


def test_one_seed_that_did_not_converge_makes_the_mean_unsure(runs):
    assert line_of(runs, "SASRec", "top eigenvalue")["converged"]
    assert not line_of(runs, NASTY, "top eigenvalue")["converged"]
    assert line_of(runs, NASTY, "trace")["converged"]
    said = verdict(aggregate.measures(runs), aggregate.meanings(runs), "SASRec")
    assert f"Left out, as not converged: top eigenvalue of {NASTY}." in said


def test_each_kind_of_measure_has_one_that_stands_for_it(runs):
    kinds = [meaning.kind for meaning in aggregate.meanings(runs).values()]
    assert list(dict.fromkeys(kinds)) == ["sharpness", "adaptive sharpness", "accuracy", "robustness"]
    assert set(aggregate.meanings(runs)) <= set(aggregate.measures(runs)["measure"])


def test_other_metrics_stand_in():
    """Of an error metric, more is worse, and so is a rise under noise."""
    run = made("BPR", 1)
    noise = pd.DataFrame({"level": [0.0, 0.1], "draw": [0, 0], "rmse": [2.0, 3.0]})
    record = {**run.record, "test": {"rmse": 2.0}, "config": {"valid_metric": "RMSE"}}
    run = Measured(run.name, run.label, 1, run.parts, noise, pd.DataFrame(), record, run.targets)
    assert aggregate.per_run([run])["relative loss of RMSE at noise 0.1"].item() == pytest.approx(0.5)
    assert aggregate.meanings([run])["RMSE on test"].smaller_is_better
    with pytest.raises(DataError, match="no test metric in common"):
        aggregate.measures([run, made("SASRec", 1)])


def test_notes_say_which_losses_are_not_the_same_function():
    same = [made("SASRec", 1), made("SAMRec", 1, model="SAMRec"), made("GRU4Rec", 1, model="GRU4Rec")]
    assert aggregate.notes_on(same) == []
    (note,) = aggregate.notes_on([*same, made("CL4SRec", 1, model="CL4SRec")])
    assert "SASRec, SAMRec and GRU4Rec: cross-entropy over all items; CL4SRec: the loss of CL4SRec" in note
    (note,) = aggregate.notes_on([*same, made("SASRec (large)", 1, parameters=4000)])
    assert "SASRec (large): 4,000" in note


def test_every_figure_is_written_twice(drawn, folder):
    assert list(drawn) == ALL
    for name, one in drawn.items():
        assert (folder / "figures" / f"{name}.png").read_bytes() == one.png
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert one.alt.endswith(".") and one.caption.endswith(".")
    loss = [one for name, one in drawn.items() if name not in ("noise", "histories", "training")]
    assert all("64 of 640 training targets" in one.caption for one in loss)


def test_surfaces_share_one_scale(runs, drawn):
    """The flattest bowl rises by 0.8, the highest point is 2.8; the corner that is not finite is cut off."""
    scale = Scale.of([rise_of(run.parts["surface"]) for run in runs])
    assert scale.levels[0] == 0 and scale.levels[-1] >= 2.8 and scale.cut
    maps = [axes for axes in drawn["contours"].figure.axes if axes.get_title()]
    filled = [axes.collections[0] for axes in maps]
    assert len({id(one.norm) for one in filled}) == 1 and len(filled) == 6
    assert all(one.levels.tolist() == scale.levels.tolist() for one in filled)
    planes = drawn["surfaces"].figure.axes
    assert {axes.get_zlim() for axes in planes} == {(scale.levels[0], scale.levels[-1])}
    assert {id(axes.collections[0].norm) for axes in planes} == {id(filled[0].norm)}
    assert {(axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()) for axes in planes} == {
        ("first direction", "second direction", "rise of the loss")
    }
    for name in ("contours", "surfaces", "line"):
        assert re.search("biases and the weights of normalisation layers stay as they are", drawn[name].caption)
    for name in ("contours", "surfaces"):
        assert f"Points above {scale.levels[-1]:g}, or not finite, are cut off" in drawn[name].caption


def test_a_surface_far_steeper_than_another_is_cut_off():
    flat, steep = np.array([[0.0, 1.0]]), np.array([[0.0, 1000.0]])
    scale = Scale.of([flat, steep])
    assert scale.levels[-1] == pytest.approx(FURTHEST) and scale.cut
    assert scale(steep).max() == scale.levels[-1]
    assert not Scale.of([flat, 2 * flat]).cut


@pytest.mark.filterwarnings("error")
def test_a_plain_is_drawn_without_complaint(tmp_path):
    runs = [made("SASRec", 1), made("SAMRec", 1, 0.01), made("GRU4Rec", 1)]
    runs[2].parts["surface"]["loss"][:] = 5
    runs[2].parts["sharpness"]["random_worst"][:] = -1
    found = {one.name: one for one in figures.draw(runs, NO_WAYS, tmp_path)}
    assert "Rises that are not above 0" in found["rises"].caption


def test_labels_differ_without_colour_and_seeds_do_not(runs, drawn):
    axes = drawn["rises"].figure.axes[0]
    looks = [(line.get_linestyle(), line.get_marker(), line.get_color()) for line in axes.lines]
    assert looks[0] == looks[1] == looks[2] and looks[3] == looks[4] == looks[5]
    assert looks[0][0] != looks[3][0] and looks[0][1] != looks[3][1]
    assert axes.lines[0].get_ydata().tolist() == runs[0].parts["sharpness"]["ascent"].tolist()
    names = [entry.get_text() for entry in drawn["rises"].figure.legends[0].get_texts()]
    assert names == ["SASRec", NASTY.replace("$", r"\$")]


@pytest.mark.parametrize(
    "labels",
    [
        ("SAMRec, dropout 0.2", "SASRec, no dropout"),
        ("SAMRec, dropout 0.2", "SASRec, dropout 0.2", "SAMRec, no dropout", "SASRec, no dropout"),
        ("SAMRec", "a label that is by far too long to stand in one line of the legend of a narrow figure"),
        tuple("ABCDEF"),
    ],
)
def test_legends_are_within_their_figures(labels):
    runs = [made(label, 1, converged=number > 0) for number, label in enumerate(labels)]
    for drawn in (figures.eigenvalues(runs), figures.rises(runs)):
        (legend,) = drawn.figure.legends
        assert drawn.png  # which lays it out
        box, whole = legend.get_window_extent(), drawn.figure.bbox
        assert 0 <= box.x0 < box.x1 <= whole.width and 0 <= box.y0 < box.y1 <= whole.height
        assert len(legend.get_texts()) >= len(labels)


def test_eigenvalues_that_did_not_converge_are_crosses(drawn):
    crosses = [line for line in drawn["eigenvalues"].figure.axes[0].lines if line.get_marker() == "x"]
    assert [value for line in crosses for value in line.get_ydata()] == [4.0 * 0.5]
    assert "did not converge" in drawn["eigenvalues"].caption
    crosses = [line for line in drawn["training"].figure.axes[0].lines if line.get_marker() == "x"]
    assert [epoch for line in crosses for epoch in line.get_xdata()] == [5]  # as a reader counts them


def test_error_bars_are_over_draws_and_seeds(runs, drawn):
    bars = drawn["noise"].figure.axes[0].containers[0]
    expected = pd.concat([run.noise for run in runs[:3]]).groupby("level")["ndcg@10"]
    assert bars.lines[0].get_ydata() == pytest.approx(expected.mean().to_numpy())
    heights = [high - low for low, high in (part[:, 1] for part in bars.lines[2][0].get_segments())]
    assert np.array(heights) / 2 == pytest.approx(expected.std().fillna(0).to_numpy())


def test_a_model_without_histories_has_no_such_figures(tmp_path):
    runs = [made("BPR", 1, reads=False, model="BPR")]
    found = [one.name for one in figures.draw(runs, NO_WAYS, tmp_path / "figures")]
    assert found == [name for name in ALL if name not in ("between", "histories", "training")]
    assert not aggregate.measures(runs)["measure"].str.contains("dropped").any()
    assert not any("dropped" in name for name in aggregate.meanings(runs))
    mixed = [*runs, made("SASRec", 1)]
    assert "Not shown: BPR, which read no histories." in figures.histories(mixed).caption
    assert "not measured" in words(write(tmp_path / "report.html", mixed, []).read_text(encoding="utf-8"))


def test_metric_against_the_share_of_training_data(tmp_path, runs):
    """The table is what ``compare`` writes; users have rank 1 with all of the data, half of them with half of it."""
    compared = [
        Run("SASRec", "tiny", 1, share, {}, pd.DataFrame({"rank": [1, worse], "masked_rank": 1}), "hash")
        for share, worse in ((0.5, 99), (1.0, 1))
    ]
    (tmp_path / "fractions.csv").write_text(csv(fraction_table(compared, ["SASRec"])), encoding="utf-8")
    shares = pd.read_csv(tmp_path / "fractions.csv")
    axes = figures.fractions(shares, "ndcg@10").figure.axes[0]
    assert axes.containers[0].lines[0].get_xdata().tolist() == [50, 100]
    assert axes.containers[0].lines[0].get_ydata().tolist() == [0.5, 1]
    assert figures.draw(runs[:1], NO_WAYS, tmp_path, shares=shares)[-1].name == "fractions"
    assert figures.fractions(shares, "auc") is None


def test_the_page_holds_measures_sentences_and_figures(text, runs, drawn):
    seen = words(text)
    for sentence in verdict(aggregate.measures(runs), aggregate.meanings(runs), "SASRec"):
        assert " ".join(sentence.split()) in seen
    assert "trace 120 70.32 to 169.7 50 " in seen
    assert "100 ± 2 " in seen
    assert "with 73 products" in seen and "it and the rises along it are on 320." in seen
    assert "on 64 training targets, the gradient and rises along it on 320." in seen
    assert "on 320 of 640 training targets" in drawn["rises"].caption
    said = {one.caption.lower() for one in drawn.values()} | {seen.replace("flatter minima", "").lower()}
    assert not any("minima" in text or "the minimum" in text for text in said)
    assert [html.unescape(alt) for alt in re.findall(r' alt="([^"]*)"', text)] == [one.alt for one in drawn.values()]
    assert "1703.04933" in seen


def test_what_holds_in_sum_comes_first_and_each_measure_can_be_opened(tmp_path):
    runs = [made(label, 1, sharp) for label, sharp in (("SASRec", 1), ("SAMRec", 2), ("GRU4Rec", 0.5))]
    said = verdict(aggregate.measures(runs), aggregate.meanings(runs), "SASRec")
    shown, singly = in_order([said[0], "Careful: of A.", *said[1:]])
    assert [re.split("[,:]", sentence)[0] for sentence in shown] == ["Careful", "In sum", "In sum", "One run each"]
    assert len(singly) == 8 and singly == [sentence for sentence in said if sentence not in shown]
    text = write(tmp_path / "report.html", runs, []).read_text(encoding="utf-8")
    open_part, folded = re.fullmatch(r"(?s)(.*)<details>(.*)</details>.*", text).groups()
    assert all(html.escape(sentence, quote=False) in html.unescape(open_part) for sentence in shown[1:])
    assert folded.count("<li>") == 8 and "In sum" not in folded
    alone = write(tmp_path / "report.html", runs[:1], []).read_text(encoding="utf-8")
    assert "stands alone" in alone and "<details>" not in alone


def test_figures_that_print_alike_though_they_differ_have_one_digit_more_in_their_line(tmp_path):
    runs = [made("SAMRec", 1, metric=0.054321), made("SASRec", 1, metric=0.054318)]
    seen = words(write(tmp_path / "report.html", runs, []).read_text(encoding="utf-8"))
    assert "NDCG@10 on test 0.054321 0.054318" in seen


def test_what_did_not_converge_is_no_plain_figure(text, tmp_path):
    seen = words(text)
    assert "(about 2) †" in seen and "† Did not converge in all runs" in seen
    assert re.findall(r'<td class="number missed">([^<]*)</td>', text) == ["(about 2) †"] * 2  # the mean, and the run
    sure = write(tmp_path / "report.html", [made("SASRec", 1)], []).read_text(encoding="utf-8")
    assert "†" not in sure


def test_a_figure_that_is_not_finite_is_said(tmp_path):
    run = made("SASRec", 1)
    run.parts["sharpness"]["ascent"][:] = np.inf
    seen = words(write(tmp_path / "report.html", [run], []).read_text(encoding="utf-8"))
    assert "rise after SAM's step at rho 0.1 not finite" in seen


def test_names_are_escaped_and_nothing_is_asked_for(text):
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
def test_a_browser_shows_every_figure_and_asks_nobody(page, text, drawn, tmp_path):
    shown, console = in_chromium(page, tmp_path / "profile")
    assert not console
    assert shown.count("<figure") == len(drawn)
    # The page runs no script; a copy that may run one tells what was decoded and what was asked for.
    told = """<script>addEventListener("load", () => { document.title = JSON.stringify({
        widths: [...document.images].map(image => image.naturalWidth),
        wide: document.documentElement.scrollWidth > innerWidth,
        planes: [...document.images].filter(image => image.closest("#contours, #surfaces"))
            .every(image => image.getBoundingClientRect().right <= innerWidth),
        folded: ![...document.querySelectorAll("details li")].some(line => line.checkVisibility()),
        asked: performance.getEntriesByType("resource").map(one => one.name.slice(0, 5)).filter(one => one != "data:"),
    }) })</script></body>"""
    copy = tmp_path / "copy.html"
    allowed = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    copy.write_text(allowed.replace("</body>", told), encoding="utf-8")
    shown, console = in_chromium(copy, tmp_path / "profile", "--window-size=390,800", "--virtual-time-budget=5000")
    assert not console
    widths = [round(DPI * one.width) for one in drawn.values()]
    expected = {"widths": widths, "wide": False, "planes": True, "folded": True, "asked": []}
    assert told_by(shown) == expected
    copy.write_text(copy.read_text(encoding="utf-8").replace("@media print", "@media screen"), encoding="utf-8")
    shown, _ = in_chromium(copy, tmp_path / "profile", "--virtual-time-budget=5000")
    assert told_by(shown) == {**expected, "folded": False}  # paper shows what a click would


def told_by(shown):
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown).group(1)))
