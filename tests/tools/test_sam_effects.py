"""What SAM changes: the signs and intervals of the differences, and what the README concludes from them."""

import pytest

from tools.sam_effects import EFFECTS, find_difference, read_page, render_effects


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.label)
@pytest.mark.parametrize("end", ["", "-masked"])
def test_find_difference__is_that_of_the_means(effect, end):
    page = f"{effect.page}{end}"
    means = read_page(page)["ndcg@10_mean"]
    difference, low, high = find_difference(page, effect.entry, effect.reference)
    assert difference == pytest.approx(means[effect.entry] - means[effect.reference], abs=1e-12)
    assert low < difference < high


def test_find_difference__turns_the_sign_with_the_order():
    difference, low, high = find_difference("ml-100k", "SAMRec", "SASRec")
    assert find_difference("ml-100k", "SASRec", "SAMRec") == (-difference, -high, -low)


def test_find_difference__refuses_what_is_not_compared():
    with pytest.raises(KeyError, match="does not compare BSARec with Pop"):
        find_difference("ml-100k", "BSARec", "Pop")


def test_render_effects__marks_intervals_without_0():
    lines = render_effects().splitlines()[2:]
    for effect, line in zip(EFFECTS, lines, strict=True):
        for cell, end in zip(line.strip("| ").split(" | ")[3:], ("", "-masked"), strict=True):
            _, low, high = find_difference(f"{effect.page}{end}", effect.entry, effect.reference)
            assert cell.startswith("**") is bool(low > 0 or high < 0)


def test_conclusions__of_the_readme_hold():
    """If this fails, the tables have changed: rewrite the README's sentences on when SAM helps."""
    found = {
        (effect.label, end): find_difference(f"{effect.page}{end}", effect.entry, effect.reference)
        for effect in EFFECTS
        for end in ("", "-masked")
    }
    better = {key for key, (_, low, _) in found.items() if low > 0}
    worse = {key for key, (*_, high) in found.items() if high < 0}
    assert better == {("GRU4Rec, ml-100k", "-masked")}
    assert worse == {("SASRec, Amazon_Beauty, rho 0.3", ""), ("SASRec, Amazon_Beauty, rho 0.3", "-masked")}
    seeds = {effect.page: {read_page(effect.page).loc[effect.entry, "seeds"]} for effect in EFFECTS}
    assert seeds == {"ml-100k": {5}, "ml-100k-tuned": {5}, "ml-1m": {3}, "Amazon_Beauty": {3}}
