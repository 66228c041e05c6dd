"""The words of the report: other figures, other words."""

import pandas as pd
import pytest

from recbole_samrec.sharpness.verdict import Meaning, verdict

MEANINGS = {
    "top eigenvalue": Meaning("sharpness"),
    "trace": Meaning("sharpness"),
    "adaptive rise": Meaning("adaptive sharpness"),
    "NDCG@10": Meaning("accuracy", smaller_is_better=False),
    "loss of NDCG@10 at noise 0.1": Meaning("robustness"),
}
REFERENCE = {
    "top eigenvalue": (40, 36, 44),
    "trace": (900, 850, 950),
    "adaptive rise": (0.3, 0.27, 0.33),
    "NDCG@10": (0.05, 0.048, 0.052),
    "loss of NDCG@10 at noise 0.1": (0.01, 0.008, 0.012),
}
FLATTER = {
    "top eigenvalue": (10, 8, 12),
    "trace": (300, 280, 320),
    "adaptive rise": (0.1, 0.08, 0.12),
}
SHARPER = {"top eigenvalue": (90, 80, 100), "trace": (2000, 1900, 2100), "adaptive rise": (0.5, 0.4, 0.6)}
BETTER = {"NDCG@10": (0.06, 0.058, 0.062)}
WORSE = {"NDCG@10": (0.04, 0.038, 0.042)}
SAME = {"NDCG@10": (0.051, 0.049, 0.053)}


def table(*, runs=3, converged=None, **labels):
    """Lines of measures: those of the reference where a label says nothing else."""
    lines = [
        {"label": label, "measure": measure, "value": value, "low": low, "high": high, "runs": runs}
        for label, figures in {"SASRec": {}, **labels}.items()
        for measure, (value, low, high) in {**REFERENCE, **figures}.items()
    ]
    frame = pd.DataFrame(lines)
    if converged is not None:
        frame["converged"] = [(line["label"], line["measure"]) not in converged for line in lines]
    return frame


def text(frame, **more):
    return "\n".join(verdict(frame, MEANINGS, **more))


def conclusion(*figures, **more):
    """The one concluding sentence on a label with some figures, up to what it says of the claim."""
    merged = {measure: values for part in figures for measure, values in part.items()}
    (found,) = (s for s in verdict(table(SAMRec=merged, **more), MEANINGS) if s.startswith("In sum"))
    return found


def test_flatter_and_better():
    found = conclusion(FLATTER, BETTER)
    assert found.startswith("In sum, SAMRec against SASRec: flatter and better (")
    assert "top eigenvalue = 10 [8, 12] against 40 [36, 44]" in found
    assert "NDCG@10 = 0.06 [0.058, 0.062] against 0.05 [0.048, 0.052]" in found
    assert "fits the claim" in found and "does not show that the one is the reason" in found


def test_flatter_and_worse():
    found = conclusion(FLATTER, WORSE)
    assert found.startswith("In sum, SAMRec against SASRec: flatter and worse (")
    assert "NDCG@10 = 0.04 [0.038, 0.042] against 0.05 [0.048, 0.052]" in found
    assert "speaks against the claim" in found


def test_overlapping_intervals_decide_nothing():
    nearly = {"top eigenvalue": (30, 25, 36), "trace": (800, 700, 900), "adaptive rise": (0.26, 0.2, 0.28)}
    found = conclusion(nearly, SAME)
    assert found.startswith(
        "In sum, SAMRec against SASRec: no difference in flatness or accuracy that these runs can show ("
    )
    assert "top eigenvalue = 30 [25, 36] against 40 [36, 44]" in found  # intervals that touch are not apart
    assert "That does not show that there is none" in found
    sentences = verdict(table(SAMRec={**nearly, **SAME}), MEANINGS)
    assert not any(word in s for s in sentences for word in ("is flatter", "is more", "is less", "is sharper"))


@pytest.mark.parametrize(
    ("figures", "words", "meaning"),
    [
        ((SHARPER, BETTER), "sharper and better (", "speaks against the claim"),
        ((SHARPER, WORSE), "sharper and worse (", "fits the claim"),
        ((FLATTER, SAME), "flatter and not shown to be better or worse (", "in flatness came with no"),
        ((BETTER,), "not shown to be flatter or sharper, and better (", "in accuracy came with no"),
        (
            ({"trace": (2000, 1900, 2100), "top eigenvalue": (10, 8, 12)}, BETTER),
            "undecided in sharpness and better (",
            "nothing for or against the claim",
        ),
        (
            ({"trace": (2000, 1900, 2100)}, BETTER),
            "sharper by some measures and better (trace = 2000 [1900, 2100] against 900 [850, 950]; ",
            "As far as these measures go, that speaks against the claim",
        ),
        (
            ({"trace": (300, 280, 320)}, BETTER),
            "flatter by some measures and better (trace = 300 ",
            "As far as these measures go, that fits the claim",
        ),
        (
            ({"trace": (300, 280, 320)}, SAME),
            "flatter by some measures and not shown to be better or worse (trace = 300 ",
            "The difference in flatness came with no visible one in accuracy",
        ),
    ],
)
def test_each_other_outcome_has_its_own_words(figures, words, meaning):
    found = conclusion(*figures)
    assert found.startswith(f"In sum, SAMRec against SASRec: {words}")
    assert meaning in found


def test_each_kind_is_told_with_all_its_figures():
    robust = {"loss of NDCG@10 at noise 0.1": (0.002, 0.001, 0.003)}
    plain, adaptive, accuracy, robustness, summary = verdict(table(SAMRec={**FLATTER, **BETTER, **robust}), MEANINGS)
    assert plain == (
        "Sharpness: SAMRec is flatter than SASRec by each of these measures: "
        "top eigenvalue = 10 [8, 12] against 40 [36, 44]; trace = 300 [280, 320] against 900 [850, 950]."
    )
    assert adaptive == (
        "Adaptive sharpness: SAMRec is flatter than SASRec: adaptive rise = 0.1 [0.08, 0.12] against 0.3 [0.27, 0.33]."
    )
    assert accuracy == (
        "Accuracy: SAMRec is more accurate than SASRec: NDCG@10 = 0.06 [0.058, 0.062] against 0.05 [0.048, 0.052]."
    )
    assert robustness == (
        "Robustness: SAMRec is more robust than SASRec: "
        "loss of NDCG@10 at noise 0.1 = 0.002 [0.001, 0.003] against 0.01 [0.008, 0.012]."
    )
    assert "; more robust (loss of NDCG@10 at noise 0.1 = 0.002 [0.001, 0.003] against 0.01 [0.008, 0.012])." in summary


def test_robustness_has_its_place_in_the_conclusion():
    fragile = {"loss of NDCG@10 at noise 0.1": (0.03, 0.02, 0.04)}
    assert "; less robust (" in conclusion(FLATTER, BETTER, fragile)
    assert "; not shown to be more or less robust (" in conclusion(FLATTER, BETTER)


def test_measures_of_one_kind_that_do_not_agree_are_told_apart():
    mixed = {"top eigenvalue": (10, 8, 12), "trace": (2000, 1900, 2100)}
    assert (
        "Sharpness: the measures do not agree on SAMRec against SASRec: flatter by top eigenvalue = 10 [8, 12] against "
        "40 [36, 44]; sharper by trace = 2000 [1900, 2100] against 900 [850, 950]."
    ) in text(table(SAMRec=mixed))
    partly = {"top eigenvalue": (10, 8, 12)}
    assert (
        "flatter by top eigenvalue = 10 [8, 12] against 40 [36, 44]; not told apart, as intervals overlap, by trace = "
        "900 [850, 950] against 900 [850, 950]."
    ) in text(table(SAMRec=partly))


def test_disagreement_of_plain_and_adaptive_sharpness_is_warned_of():
    misleading = {**SHARPER, "adaptive rise": FLATTER["adaptive rise"]}
    found = text(table(SAMRec={**misleading, **BETTER}))
    assert (
        "Careful: of SAMRec against SASRec, the plain measures say sharper, the adaptive ones say flatter; "
        "plain sharpness depends on the scale of the weights"
    ) in found
    assert "In sum, SAMRec against SASRec: undecided in sharpness and better (" in found
    assert "Careful" not in text(table(SAMRec={**FLATTER, **BETTER}))


def test_plain_sharpness_alone_is_warned_of():
    frame = table(SAMRec={**FLATTER, **BETTER})
    found = text(frame[frame["measure"] != "adaptive rise"])
    assert "Careful: SAMRec and SASRec are compared by plain sharpness alone" in found
    assert "Adaptive sharpness: nothing can be compared between SAMRec and SASRec." in found


def test_one_run_each_says_nothing_of_the_spread_over_seeds():
    points = {measure: (value, value, value) for measure, (value, _, _) in {**FLATTER, **BETTER}.items()}
    found = text(table(SAMRec=points, runs=1))
    assert "One run each: nothing is known of the spread over seeds" in found
    assert "flatter and better (top eigenvalue = 10 against 40 [36, 44]; " in found
    assert "One run cannot tell whether that holds for the models." in found and "the claim" not in found
    assert "One run" not in text(table(SAMRec=points, runs=2))


def test_single_runs_among_several_are_named():
    frame = table(SAMRec={**FLATTER, **BETTER})
    frame.loc[(frame["label"] == "SASRec") & (frame["measure"] == "trace"), "runs"] = 1
    assert "One run only: nothing is known of the spread over seeds of trace of SASRec." in text(frame)


def test_figures_that_did_not_converge_are_named_and_not_used():
    figures = {**FLATTER, **BETTER, "trace": (2000, 1900, 2100)}  # which would not agree
    found = text(table(SAMRec=figures, converged=[("SAMRec", "trace")]))
    assert "Left out, as not converged: trace of SAMRec." in found
    assert "2000" not in found and "flatter and better (" in found
    assert "undecided" in text(table(SAMRec=figures, converged=[]))


def test_where_convergence_means_nothing_figures_are_used():
    frame = table(SAMRec={**FLATTER, **BETTER})
    frame["converged"] = [None if m == "NDCG@10" else float("nan") if m == "trace" else True for m in frame["measure"]]
    assert text(frame) == text(table(SAMRec={**FLATTER, **BETTER}))


def test_figures_that_are_not_finite_or_not_there_are_named():
    frame = table(SAMRec={**FLATTER, **BETTER, "trace": (float("inf"), 280, float("inf"))})
    frame = frame[(frame["label"] != "SASRec") | (frame["measure"] != "adaptive rise")]
    found = verdict(frame, MEANINGS)
    assert "Left out, as not finite: trace of SAMRec." in found
    assert "Left out, as not measured: adaptive rise of SASRec." in found


def test_without_any_figure_of_a_kind_nothing_is_said_of_it():
    frame = table(SAMRec={**FLATTER, **BETTER})
    found = verdict(frame[frame["measure"] == "NDCG@10"], MEANINGS)
    assert any(s.startswith("In sum, SAMRec against SASRec: of unknown sharpness and better (") for s in found)
    accuracy, summary = verdict(frame, {"NDCG@10": MEANINGS["NDCG@10"]})
    assert accuracy.startswith("Accuracy: SAMRec is more") and "nothing for or against" in summary


def test_every_label_is_compared_with_the_reference():
    frame = table(SAMRec={**FLATTER, **BETTER}, CL4SRec={**SHARPER, **WORSE})
    summaries = [s for s in verdict(frame, MEANINGS) if s.startswith("In sum")]
    assert [s.partition(" (")[0] for s in summaries] == [
        "In sum, SAMRec against SASRec: flatter and better",
        "In sum, CL4SRec against SASRec: sharper and worse",
    ]
    summaries = [s for s in verdict(frame, MEANINGS, reference="CL4SRec") if s.startswith("In sum")]
    assert [s.partition(" (")[0] for s in summaries] == [
        "In sum, SASRec against CL4SRec: flatter and better",
        "In sum, SAMRec against CL4SRec: flatter and better",
    ]


def test_one_label_alone_is_not_judged():
    (found,) = verdict(table(), MEANINGS)
    assert found.startswith("SASRec stands alone")


def test_figures_are_rounded_to_four_digits_and_readable():
    figures = {"top eigenvalue": (12345.678, 12345.678, 12345.678), "trace": (1.23456e12, 1.23456e12, 1.23456e12)}
    found = text(table(SAMRec={**figures, "adaptive rise": (0.000123456, 0.000123456, 0.000123456)}))
    assert "top eigenvalue = 12350 against" in found
    assert "trace = 1.235e+12 against" in found
    assert "adaptive rise = 0.0001235 against" in found


def test_figures_that_print_alike_though_they_differ_have_one_digit_more():
    figures = {"top eigenvalue": (40.001, 40.001, 40.001), "NDCG@10": (0.0600049, 0.06, 0.06001)}
    frame = table(SAMRec={**figures}, runs=1)
    frame.loc[frame["label"] == "SASRec", ["value", "low", "high"]] = [
        (40, 40, 40), (900, 850, 950), (0.3, 0.27, 0.33), (0.06, 0.05999, 0.060004), (0.01, 0.008, 0.012)
    ]  # fmt: skip
    found = text(frame)
    assert "top eigenvalue = 40.001 against 40;" in found
    assert "NDCG@10 = 0.060005 [0.06, 0.06001] against 0.06 [0.05999, 0.060004]" in found
    assert "trace = 900 [850, 950] against 900 [850, 950]" in found  # alike, and shown alike


def test_sharpness_of_different_losses_is_not_compared():
    frame = table(SAMRec={**FLATTER, **BETTER}, CL4SRec={**SHARPER, **WORSE})
    frame["loss"] = ["cross-entropy" if label != "CL4SRec" else "the loss of CL4SRec" for label in frame["label"]]
    found = verdict(frame, MEANINGS)
    losses = "CL4SRec and SASRec lowered different losses (the loss of CL4SRec; cross-entropy), so it is not compared."
    assert f"Sharpness: {losses}" in found and f"Adaptive sharpness: {losses}" in found
    (summary,) = (sentence for sentence in found if sentence.startswith("In sum, CL4SRec"))
    assert summary.startswith("In sum, CL4SRec against SASRec: of unknown sharpness and worse (NDCG@10 = 0.04 [")
    assert "nothing for or against the claim" in summary
    assert "In sum, SAMRec against SASRec: flatter and better (" in "\n".join(found)
    assert not any("Careful" in sentence for sentence in found)


def test_tables_that_cannot_be_read_are_refused():
    frame = table(SAMRec=FLATTER)
    with pytest.raises(ValueError, match="no column runs"):
        verdict(frame.drop(columns="runs"), MEANINGS)
    with pytest.raises(ValueError, match="there are no measures"):
        verdict(frame[:0], MEANINGS)
    with pytest.raises(ValueError, match="top eigenvalue of SASRec is there twice"):
        verdict(pd.concat([frame, frame[:1]]), MEANINGS)
    with pytest.raises(ValueError, match="BPR is not among the labels: SASRec, SAMRec"):
        verdict(frame, MEANINGS, reference="BPR")
    with pytest.raises(ValueError, match="'flatness' is no kind of measure"):
        Meaning("flatness")
