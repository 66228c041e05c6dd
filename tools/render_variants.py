"""The variants of SAM and its controls as a table, for the page of variants.

The variants are those of the code, so that none can be forgotten; their cost is counted, and the evidence is read from
``results/``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from recbole_samrec.compare.layout import show_number
from recbole_samrec.optim.sam import SAM
from recbole_samrec.optim.schedule import VARIANTS
from tools.evidence import AVERAGE, Difference, find_trials
from tools.markdown import make_table

STEPS = 20
"""Steps whose gradients are counted: a multiple of the steps after which each variant repeats itself."""
HEAD = ("variant", "idea", "use it", "gradients per step", "evidence here, NDCG@10")


class Text(NamedTuple):
    """Description of a variant that the code does not contain: its idea, when to use it, and its source."""

    idea: str
    use: str
    source: str = ""


TEXTS = {
    "sam": Text("Take the gradient at the perturbed weights.", "first; it is the baseline of the others", "2010.01412"),
    "asam": Text(
        "Measure the radius in units of each weight, so that rescaling a layer changes nothing. Its rho is about ten "
        "times larger.",
        "if the weights of different layers differ much in scale",
        "2102.11600",
    ),
    "gsam": Text(
        "Also lower the gap between the perturbed loss and the loss, by the part of the gradient that is orthogonal to "
        "the perturbed one.",
        "if SAM helps and you can search one more setting, `gsam_alpha`",
        "2203.08065",
    ),
    "fsam": Text(
        "Perturb along the noise of the batch: its gradient minus the moving average of gradients.",
        "if batches are small, so that most of their gradient is noise",
        "2403.12350",
    ),
    "msam": Text(
        "Perturb along the moving average of past gradients, which needs no second gradient. Its rho is larger.",
        "if you can afford one gradient per step only",
        "2401.12033",
    ),
    "looksam": Text(
        "Compute the second gradient in every fifth step (`looksam_k`), and reuse its orthogonal part in between.",
        "if SAM helps and two gradients per step cost too much",
        "2203.02714",
    ),
    "random": Text(
        "Control: perturb in a random direction, by a step as long as SAM's.",
        "to find out if SAM's direction matters",
    ),
}
"""Texts on each variant of the code."""
AVERAGES = Text(
    "Control: train without SAM, and evaluate an average of the weights.",
    "to find out if an average, at no extra gradient, does the same",
    "1803.05407",
)


def render_variants() -> str:
    """Return the table."""
    tried = find_trials()
    rows = [_show(f"`{name}`", TEXTS[name], count_passes(name), tried.get(name, [])) for name in VARIANTS]
    return make_table(HEAD, [*rows, _show("`weight_average`", AVERAGES, 1.0, tried.get(AVERAGE, []))])


def count_passes(variant: str) -> float:
    """Count the gradients that a variant computes per step, with its defaults."""
    weight = torch.ones(3, requires_grad=True)
    sam = SAM(torch.optim.SGD([weight], lr=0.01), rho=0.1, variant=variant)
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        sam.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    for _ in range(STEPS):
        sam.step(closure)
    return calls / STEPS


def _show(name: str, text: Text, passes: float, found: list[Difference]) -> tuple[str, ...]:
    source = f" [{text.source}](https://arxiv.org/abs/{text.source})" if text.source else ""
    return name, text.idea + source, text.use, f"{passes:g}", _show_evidence(found)


def _show_evidence(found: list[Difference]) -> str:
    """Return the range of the differences, with their number and a link to them."""
    if not found:
        return "none yet"
    values = sorted(one.value for one in found)
    ends = [show_number(value, "+.4f") for value in dict.fromkeys((values[0], values[-1]))]
    return f"{' to '.join(ends)} in [{len(found)} comparison{'s' * (len(found) > 1)}](#evidence)"
