"""The table of SAM's effects, and the conclusions of the README from it."""

import pytest

from tools.evidence import read_table
from tools.sam_effects import EFFECTS, Effect, find_effect, render_effects

KEYS = [(effect, masked) for effect in EFFECTS for masked in (False, True)]


@pytest.mark.parametrize(("effect", "masked"), KEYS, ids=lambda one: getattr(one, "label", one))
def test_find_effect__is_with_sam_minus_without(effect, masked):
    one = find_effect(effect, masked)
    means = read_table(one.page)["ndcg@10_mean"]
    assert one.page.endswith("-masked") is masked
    assert one.value == pytest.approx(means[effect.entry] - means[effect.reference], abs=1e-12)
    assert one.low < one.value < one.high


def test_find_effect__refuses_what_is_not_compared():
    with pytest.raises(KeyError, match=r"ml-100k\.csv does not compare BSARec with Pop"):
        find_effect(Effect("none", "ml-100k", "BSARec", "Pop"))


def test_render_effects__marks_intervals_without_0():
    cells = [cell for line in render_effects().splitlines()[2:] for cell in line.strip("| ").split(" | ")[3:]]
    found = [find_effect(*key) for key in KEYS]
    assert [cell.startswith("**") for cell in cells] == [one.low > 0 or one.high < 0 for one in found]


def test_conclusions__of_the_readme_hold():
    """If this fails, the tables have changed: rewrite the README's sentences on when SAM helps."""
    found = {(effect.label, masked): find_effect(effect, masked) for effect, masked in KEYS}
    better = {key for key, one in found.items() if one.low > 0}
    worse = {key for key, one in found.items() if one.high < 0}
    assert better == {("GRU4Rec, ml-100k", True)}
    assert worse == {("SASRec, Amazon_Beauty, rho 0.3", masked) for masked in (False, True)}
    assert {one.page: one.seeds for one in found.values() if not one.page.endswith("-masked")} == {
        "ml-100k": (5, 5),
        "ml-100k-tuned": (5, 5),
        "ml-1m": (3, 3),
        "Amazon_Beauty": (3, 3),
        "Foursquare-NYC-loo": (3, 3),
        "Foursquare-NYC-gts-last": (3, 3),
        "MovieTweetings-142k-loo": (3, 3),
        "MovieTweetings-142k-gts-last": (3, 3),
        "Amazon_Beauty-times-loo": (3, 3),
        "Amazon_Beauty-times-gts-last": (3, 3),
    }
