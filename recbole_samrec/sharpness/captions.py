"""The fixed text of a sharpness report: figures, notes, and the sentences under tables."""

from __future__ import annotations

from typing import NamedTuple


class Caption(NamedTuple):
    """The texts of a figure: heading, caption, and alternative text for readers who do not see it."""

    title: str
    text: str
    alt: str


PLANE = """\
The plane is that of two random directions as long as the weights, filter by filter; biases and the weights of
normalization layers stay as they are. Points above the scale, or not finite, are cut off."""
FIGURES = {
    "eigenvalues": Caption(
        "Top eigenvalues",
        "The largest eigenvalues of the Hessian, one line per run. Crosses did not converge and are approximate.",
        "Eigenvalues by rank, one line per run.",
    ),
    "density": Caption(
        "Spectral density",
        "Distribution of the eigenvalues of the Hessian, one line per run. The largest are the sharp directions.",
        "Spectral densities, one line per run.",
    ),
    "rises": Caption(
        "Rise of the loss",
        """\
Rise of the loss at a distance rho, one line per run. The lower panels measure each weight's move in units of that
weight, which does not change when layers are rescaled; the upper panels do change. The left panels follow the gradient
and depend on the slope too. Rises that are not above 0, or not finite, are not shown.""",
        "Rise of the loss against rho, one line per run.",
    ),
    "contours": Caption(
        "Loss surface from above",
        f"The loss around each run (+) from above; all runs on one scale of colors. {PLANE}",
        "Contour maps of the loss around each run, on one scale.",
    ),
    "surfaces": Caption(
        "Loss surface from the side",
        f"The same planes from the side; all runs on one scale of heights and colors. {PLANE}",
        "Three-dimensional loss surfaces around each run, on one scale.",
    ),
    "line": Caption(
        "Along one direction",
        """\
The loss along one random direction as long as the weights, filter by filter; biases and the weights of normalization
layers stay as they are. One line per run, whose weights are at 0. Points above the scale are cut off.""",
        "Loss along a line through the weights of each run.",
    ),
    "between": Caption(
        "Between two runs",
        """\
Training loss of the first run on the straight line to each other run of the same shape. A hill between 0 and 1
separates two solutions; runs with different seeds usually have one. Points that are not finite are not shown.""",
        "Loss on the lines from the first run to the others.",
    ),
    "noise": Caption(
        "Noise on the weights",
        """\
Test metric with Gaussian noise on all weights: mean ± standard deviation over draws and runs. The longer a line stays
up, the more robust the model.""",
        "Test metric against noise on the weights, one line per entry.",
    ),
    "histories": Caption(
        "Changed histories",
        """\
Test metric when histories are changed before the model reads them: mean ± standard deviation over draws and runs.
Cutting off the beginning draws nothing. Entries that read no histories are not shown.""",
        "Test metric against the share of changed events, one line per entry.",
    ),
    "training": Caption(
        "During training",
        """\
Measured during training, one line per run, on fewer training targets than the other figures and with each run's own
rho. Vertical lines mark the best epochs, whose weights all other figures show. Crosses did not converge.""",
        "Sharpness by epoch, one line per run.",
    ),
    "fractions": Caption(
        "Share of the training data",
        """\
Test metric by the share of users that the models were trained on: mean ± standard deviation over seeds. These are other
runs than those above.""",
        "Test metric against the share of training users, one line per entry.",
    ),
}
"""The figures in the order of a page, by the names of their files."""
NOTES = {
    "losses": """\
The entries minimize different training losses, so values of the loss, its curvature and sharpness cannot be compared
between them; accuracy and robustness can.""",
    "targets": "The runs draw their training targets in different ways, so the losses are not of the same targets.",
    "sizes": """\
The models have different numbers of weights; trace, gradient norm and the effect of a step of a given rho depend on
that number.""",
    "slope": """\
More than half of the rise after SAM's step is what a straight slope rises by, rho times the gradient norm, in at least
one run: training stopped before a minimum of the measured loss. The rise beyond the slope is the rest of it.""",
    "settings": """\
The runs of one entry differ in more than the seed, so their mean is not that of one model. Give them labels of their
own: label=RUN.""",
    "sampled": """\
Test items are ranked among sampled items: the same ones at all levels of noise and of changed histories, but not those
of the record, so level 0 differs from the record.""",
    "single": "An entry with one run has no interval over seeds: its differences may be due to the seed.",
}
"""Notes for readers who compare the entries of a report, by name."""
MEASURES = """\
Mean over the runs of each entry and its 95 % interval by Student's t. With two runs or more the interval is that over
seeds, and no narrower than the error of probes and draws; with one run it is that error alone, where there is one."""
DIFFERENCES = """\
Entry minus reference: Welch's t interval and test over runs, which treat the runs of the two entries as independent; n
is the number of runs of each. p (Holm) is corrected for all comparisons of the table. Lower is flatter (sharpness) or
more robust (relative loss); "better" says which direction is."""
RUNS = "± is the standard error of an estimate from random probes or draws; that of a single one is unknown."
RESCALING = """\
Plain sharpness depends on the scale of the weights, which can change while the model computes the same (Dinh et al.,
arXiv 1703.04933); adaptive sharpness does not."""
