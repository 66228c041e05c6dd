"""The drawing of SAM shows what the page says of it, and suits light and dark pages."""

import re

import torch

from tools.draw_sam import INK, RHO, WIDEST, compute_curvature, compute_loss, draw_sam, train


def test_train__reaches_the_widest_place_with_sam_only():
    plain, with_sam = train(0.0)[-1], train(RHO)[-1]
    assert all(compute_loss(torch.from_numpy(end)) < 1e-4 for end in (plain, with_sam))
    assert abs(with_sam[0] - WIDEST) < 0.01 < 2 < WIDEST - plain[0]
    assert compute_curvature(torch.tensor(plain[0])) > 5 * compute_curvature(torch.tensor(with_sam[0]))


def test_draw_sam__has_the_colors_and_fonts_of_the_page():
    svg = draw_sam()
    assert svg.startswith("<svg") and svg == draw_sam()
    assert INK not in svg and "currentColor" in svg and "font-family" not in svg
    assert not re.search(r"(#000000|#ffffff|: (black|white))", svg)
