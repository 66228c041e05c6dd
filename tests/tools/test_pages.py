"""The page of sharpness reports: its cells, marks, sentences, picture and errors, from reports that are made up."""

import io
import json
import math
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from recbole_samrec.cli import sharpness as command
from recbole_samrec.sharpness import aggregate
from recbole_samrec.sharpness.measure import FULL, QUICK
from recbole_samrec.sharpness.verdict import ACCURACY, ADAPTIVE, PLAIN, ROBUSTNESS, verdict
from tests.helpers.paths import ROOT
from tests.helpers.sharpness_runs import NO_WAYS, made
from tools import sharpness_page
from tools.sharpness_answers import Pair, accompanied, flattened, sharp
from tools.sharpness_reports import read

HALF = 4.302652729911275 / math.sqrt(3)
"""Half of a 95 % interval over three values, in their standard deviations."""
FIGURES = [
    SimpleNamespace(name=name, title=name.capitalize(), caption=f"What {name} shows.", alt=f"Picture of {name}.")
    for name in (*sharpness_page.FIGURES, "line")
]


def group(label, sharp, metric, **more):
    """Three runs of a label, whose figures lie a tenth around the mean and a hundredth around the metric."""
    return [
        made(label, 2020 + seed, sharp * (0.9 + 0.1 * seed), metric=metric * (0.99 + 0.01 * seed), dataset="tiny",
             **more)
        for seed in range(3)
    ]  # fmt: skip


def write(name, runs, budget=QUICK, figures=FIGURES):
    """The files of a report that the page reads, made by the report's own functions; figures are empty."""
    runs = [replace_data(run) for run in runs]
    folder = Path("reports", name)
    (folder / "figures").mkdir(parents=True)
    aggregate.measures(runs).to_csv(folder / "measures.csv", index=False)
    aggregate.per_run(runs).to_csv(folder / "runs.csv", index=False)
    (folder / command.ABOUT).write_text(json.dumps(command.about_report(runs, budget, figures, 75.0)))
    for figure in figures:
        (folder / "figures" / f"{figure.name}.png").touch()
    return read(folder)


def replace_data(run):
    """With what a record says of its data."""
    data = {"users": 9, "items": 8, "interactions": 99, "sha256": "0" * 64}
    return replace(run, record={"dataset": "tiny", "data": data, **run.record})


def flat_and_better():
    return [*group("SAMRec", 0.4, 0.06), *group("SASRec", 1.0, 0.05)]


def sharp_and_better():
    return [*group("SAMRec", 2.5, 0.06), *group("SASRec", 1.0, 0.05)]


def cells(text, first):
    """The cells of the table's line that begins with a name."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")][1:]


def made_page(*options):
    status = sharpness_page.main(["--reports=reports", "--out=page.md", *options])
    assert status == 0
    return Path("page.md").read_text(encoding="utf-8")


def test_a_report_says_what_it_is_of_and_names_no_place(tmp_path, monkeypatch):
    work, other = tmp_path / "work", tmp_path / "checkout"
    (other / ".git").mkdir(parents=True)
    work.mkdir()
    monkeypatch.chdir(work)
    words = ["--quick", f"{work}/runs/a", "no dropout=../checkout/results/b", f"--out={other}/results/sharpness/c"]
    monkeypatch.setattr(sys, "argv", ["samrec", "sharpness", *words, "/elsewhere/d"])
    runs = [replace_data(run) for run in (made("SAMRec", 1, 0.5), made("SASRec", 1))]
    command.conclude(runs, NO_WAYS, replace(QUICK, targets=64), Path(), Console(file=io.StringIO()), seconds=3.21)
    text = Path("report.json").read_text(encoding="utf-8")
    about = json.loads(text)
    assert str(tmp_path) not in text and "/elsewhere" not in text
    assert shlex.split(about["command"])[3:] == [
        "sharpness", "--quick", "runs/a", "no dropout=results/b", "--out=results/sharpness/c", "d"
    ]  # fmt: skip
    assert (about["budget"], about["seconds"], about["reference"]) == ("quick, 64 targets", 3.2, "SASRec")
    known = {figure["name"] for figure in about["figures"]}
    assert known == {file.stem for file in Path("figures").glob("*.png")} and set(sharpness_page.FIGURES) <= known
    assert read(Path()).sentences == Path("verdict.txt").read_text(encoding="utf-8").splitlines()


def test_budgets_have_names():
    assert command.about_report([replace_data(made("SASRec", 1))], FULL, [], 1)["budget"] == "full"
    assert command.about_report([replace_data(made("SASRec", 1))], replace(FULL, draws=1), [], 1)["budget"] == "other"


def test_a_report_names_the_devices_that_computed_it():
    runs = [replace(replace_data(made("SASRec", seed)), device=device) for seed, device in enumerate("aba")]
    assert command.facts_of(runs, 75.2)["device"] == "a; b" and command.facts_of(runs, 75.2)["time"] == "0:01:15"


def test_the_reference_is_plain_sasrec_by_whatever_label():
    def reference(*labels):
        return command.about_report([replace_data(made(label, 1)) for label in labels], QUICK, [], 1)["reference"]

    assert reference("SASRec (SSM)", "SASRec", "SAMRec") == "SASRec"
    assert reference("SASRec without dropout", "SAMRec without dropout") == "SASRec without dropout"
    assert reference("S3Rec", "CL4SRec") == "CL4SRec"


def test_the_tables_hold_means_and_intervals():
    """Top eigenvalues of SAMRec are 1.44, 1.6 and 1.76: deviation 0.16; the loss at noise 0.2 is a fifth for all."""
    write("dropout", flat_and_better())
    page = made_page()
    assert f"{0.16 * HALF:.2g}" == "0.4"
    assert cells(page, "top eigenvalue") == ["1.60 ± 0.40", "4.00 ± 0.99"]
    assert cells(page, "trace") == ["40.0 ± 9.9", "100 ± 25"]
    assert cells(page, "NDCG@10 on test")[1] == f"0.0500 ± {0.0005 * HALF:.2g}"
    first = cells(page, "dropout, SAMRec")
    assert first[:4] == ["1.60 ± 0.40", "40.0 ± 9.9", "0.0400 ± 0.0099", "0.400 ± 0.099"]
    assert first[4] == f"0.0600 ± {0.0006 * HALF:.2g}"
    assert [float(cell.split()[0]) for cell in first[5:]] == [0.2, 0.4]
    assert "*ascent rise* is rise after SAM's step at rho 0.1; *adaptive rise* is rise after the adaptive step" in page
    assert "SAMRec: seeds 2020, 2021, 2022; SASRec: seeds 2020, 2021, 2022." in page
    assert "tiny: 9 users, 8 items" in page and "budget: quick" in page and "0:01:15 of measuring" in page
    assert "\n```bash\npython -m recbole_samrec" in page and "†" not in page


def test_each_report_has_its_title_sentences_and_figures():
    report = write("with dropout", flat_and_better())
    (report.folder / "title.txt").write_text("ml-100k, <dropout> 0.2\n")
    page = made_page()
    assert "\n## with dropout: ml-100k, &lt;dropout&gt; 0.2\n" in page
    for sentence in verdict(report.measures, report.meanings, "SASRec"):
        assert f"\n- {sentence}" in page
    for name in sharpness_page.FIGURES:
        assert f"![Picture of {name}.](reports/with%20dropout/figures/{name}.png)" in page
    assert "line.png" not in page


def test_what_did_not_converge_is_marked_and_no_sentence_rests_on_it():
    runs = flat_and_better()
    runs[0].parts["curvature"]["converged"][0] = False
    write("dropout", runs)
    page = made_page()
    assert cells(page, "top eigenvalue") == ["(about 1.60 ± 0.40) †", "4.00 ± 0.99"]
    assert cells(page, "dropout, SAMRec")[0] == "(about 1.60 ± 0.40) †"
    assert page.count("\n† It did not converge") == 2
    assert "Left out, as not converged: top eigenvalue of SAMRec." in page


def test_what_is_not_finite_or_not_there_is_said():
    bpr = made("BPR", 2020, reads=False, model="BPR")
    bpr.parts["sharpness"]["ascent"][:] = np.inf
    write("others", [bpr, made("SASRec", 2020)])
    found = cells(made_page(), "others, BPR")
    assert (found[2], found[6], found[0]) == ("not finite", "not measured", "4")


def test_answers_follow_the_numbers():
    flat, steep = write("flat", flat_and_better()), write("steep", sharp_and_better())
    one = "Of 1 comparison over several seeds"
    assert sharp([flat])[0].startswith(f"**Yes, beside all others.** {one}: sharper than the other in 1.")
    assert sharp([steep])[0].startswith(f"**No, all others are sharper.** {one}: flatter than the other in 1.")
    assert flattened([flat])[0] == f"**Yes.** {one}: flatter in 1."
    assert flattened([steep])[0] == f"**No, the contrary.** {one}: sharper in 1."
    assert "Adaptive sharpness, flatter: SAMRec against SASRec (flat)." in flattened([flat])
    assert "Adaptive sharpness, sharper: SAMRec against SASRec (steep)." in flattened([steep])
    nothing = f"Robustness: **Not shown.** {one}: flatness, robustness or both not told apart in 1."
    assert accompanied([flat])[0] == f"Accuracy: **Yes.** {one}: the flatter one more accurate in 1. {nothing}"
    contrary = f"Accuracy: **No, the contrary.** {one}: the flatter one less accurate in 1."
    assert accompanied([steep])[0] == f"{contrary} {nothing}"
    both = [flat, steep]
    assert flattened(both)[0] == (
        "**Not the same everywhere.** Of 2 comparisons over several seeds: flatter in 1, sharper in 1."
    )
    seen = "not shown to be more or less robust: SAMRec against SASRec"
    assert f"Flatter and better; {seen} (flat)." in accompanied(both)
    assert f"Sharper and better; {seen} (steep)." in accompanied(both)


def test_overlapping_intervals_and_single_runs_answer_nothing():
    near = write("near", [*group("SAMRec", 0.98, 0.0501), *group("SASRec", 1.0, 0.05)])
    single = write("single", [made("SAMRec", 2020, 0.4, metric=0.06), made("SASRec", 2020)])
    assert flattened([near])[0].startswith("**Not shown.** ")
    assert accompanied([near])[0].startswith("Accuracy: **Not shown.** ")
    assert flattened([single])[0] == "**Not known.** There is no such comparison over several seeds."
    assert "Sharpness, flatter: SAMRec against SASRec (single, one run)." in flattened([single])
    assert sharp([write("alone", [made("S3Rec", 1), made("CL4SRec", 1)])])[0].startswith("**Not known.** ")


def test_sasrec_is_shown_beside_its_own_loss_and_weights():
    """The mean eigenvalue is 100 / 1000 weights; the top one is 4, forty times as much."""
    (_, alone) = sharp([write("dropout", flat_and_better())])
    assert alone.startswith("SASRec (dropout): the top eigenvalue is 4 [") and ", 40 times the mean of all" in alone
    assert "from a loss of 5.1" in alone


def test_sharpness_of_different_losses_answers_nothing():
    report = write("losses", [*group("CL4SRec", 0.4, 0.06, model="CL4SRec"), *group("SASRec", 1.0, 0.05)])
    assert Pair(report, "CL4SRec").flatness == "unknown" and report.outcome("CL4SRec", ACCURACY) == "better"
    assert sharp([report])[0].startswith("**Not known.** Of 1 comparison over several seeds: not comparable in 1.")
    assert "lowered different losses (the loss of CL4SRec; cross-entropy over all items)" in made_page()


@pytest.mark.parametrize("runs", [flat_and_better, sharp_and_better])
def test_outcomes_are_those_of_the_verdict(runs):
    report = write("a", runs())
    pair, (conclusion,) = Pair(report, "SAMRec"), (s for s in report.sentences if s.startswith("In sum"))
    said = conclusion.removeprefix("In sum, SAMRec against SASRec: ")
    outcomes = [report.outcome("SAMRec", kind) for kind in (PLAIN, ADAPTIVE, ACCURACY, ROBUSTNESS)]
    assert said.startswith("flatter and better (") == (pair.flatness == outcomes[0] == outcomes[1] == "better")
    assert said.startswith("sharper and better (") == (pair.flatness == outcomes[0] == outcomes[1] == "worse")
    assert outcomes[2:] == ["better", "open"]


def test_reports_of_more_seeds_come_first_and_unfinished_ones_are_left_out(capsys):
    write("a", [made("SAMRec", 2020, 0.4), made("SASRec", 2020)])
    write("b", flat_and_better())
    Path("reports/c/data").mkdir(parents=True)
    page = made_page()
    assert page.index("\n## b\n") < page.index("\n## a\n") and "## c" not in page
    assert "reports/c: no finished report, left out" in capsys.readouterr().err


def test_the_picture_is_that_of_both_surfaces_on_one_scale(capsys):
    runs = flat_and_better()
    report = write("dropout", runs)
    assert "page-surfaces" not in made_page()
    assert "page-surfaces.png: not drawn" in capsys.readouterr().err
    for run in (runs[0], runs[3]):
        folder = report.folder / "data" / f"{run.label}-seed-2020"
        folder.mkdir(parents=True)
        np.savez(folder / "surface.npz", key=np.array("of something"), **run.parts["surface"])
    page = made_page()
    assert "](page-surfaces.png)\n\nLoss surfaces of SASRec and SAMRec, seed 2020, on one scale, from dropout." in page
    first = Path("page-surfaces.png").read_bytes()
    height, width, _ = imread("page-surfaces.png").shape
    assert width == 1440 and height > 800
    shutil.rmtree(report.folder / "data")
    assert made_page() == page and Path("page-surfaces.png").read_bytes() == first  # what a checkout without arrays has


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: shutil.rmtree(folder.parent), "reports: there is no such folder"),
        (lambda folder: shutil.rmtree(folder), "reports: there is no finished report in it"),
        (lambda folder: (folder / "measures.csv").unlink(), "reports/a/measures.csv: it cannot be read"),
        (lambda folder: (folder / "measures.csv").write_text(""), "reports/a/measures.csv: it is damaged"),
        (lambda folder: (folder / "measures.csv").write_text("label,measure\nA,b\n"), "measures.csv: it is damaged"),
        (lambda folder: (folder / "measures.csv").write_bytes(b"\xff\xfe\x00"), "measures.csv: it is damaged"),
        (lambda folder: cut(folder / "measures.csv", 400), "reports/a: measures.csv, runs.csv and report.json are not"),
        (lambda folder: (folder / "runs.csv").write_text("run,label\na,b\n"), "reports/a/runs.csv: it is damaged"),
        (lambda folder: cut(folder / "report.json", 100), "reports/a/report.json: it is damaged"),
        (lambda folder: (folder / "report.json").write_text("[]"), "reports/a/report.json: it is damaged"),
        (lambda folder: (folder / "figures/noise.png").unlink(), "figures/noise.png: it is not there"),
        (lambda folder: damaged_surface(folder), "data/SASRec-seed-2020/surface.npz: it is damaged"),
    ],
)
def test_what_cannot_be_read_is_one_line(damage, words, capsys):
    damage(write("a", flat_and_better()).folder)
    assert sharpness_page.main(["--reports=reports", "--out=page.md"]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1 and not Path("page.md").exists()


def cut(file, length):
    """Up to the last whole line within a length."""
    text = file.read_text()[:length]
    file.write_text(text[: text.rindex("\n") + 1] if "\n" in text else text)


def damaged_surface(folder):
    (folder / "data/SASRec-seed-2020").mkdir(parents=True)
    (folder / "data/SASRec-seed-2020/surface.npz").write_bytes(b"PK\x03\x04 and no more")


def test_git_keeps_what_the_page_is_made_of_and_shows():
    if shutil.which("git") is None or not (ROOT / ".gitignore").exists():
        pytest.skip("no git, or no checkout")
    subprocess.run(["git", "init", "-q", "."], check=True)
    shutil.copy(ROOT / ".gitignore", ".gitignore")
    base = "results/sharpness/dropout"
    kept = [f"{base}/{name}" for name in ("measures.csv", "runs.csv", "verdict.txt", "report.json", "title.txt")]
    kept += [f"{base}/figures/{name}.png" for name in sharpness_page.FIGURES]
    kept += ["results/sharpness.md", "results/sharpness-surfaces.png"]
    out = [f"{base}/{name}" for name in ("report.html", "noise-0.csv", "between.csv", "data/a/surface.npz")]
    out += [f"{base}/figures/{name}" for name in ("noise.pdf", "line.png")]
    shown = subprocess.run(["git", "check-ignore", *kept, *out], capture_output=True, text=True).stdout.split()
    assert sorted(shown) == sorted(out)
