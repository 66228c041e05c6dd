"""The radius over the course of training, computed by hand."""

import pytest

from recbole_samrec.optim.schedule import VARIANTS, SAMSettings


def test_radius__is_zero_without_sam_and_before_its_start():
    assert SAMSettings().radius(5) == 0
    late = SAMSettings(rho=0.5, start=2.5)
    assert [late.radius(epochs) for epochs in (0, 2.49, 2.5, 9)] == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize(
    "schedule, radii",
    [
        ("constant", [0.5] * 5),
        ("linear", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("cosine", [0.1, 0.1 + 0.4 * (1 - 0.5**0.5) / 2, 0.3, 0.1 + 0.4 * (1 + 0.5**0.5) / 2, 0.5]),
    ],
)
def test_radius__grows_from_the_start_on(schedule, radii):
    settings = SAMSettings(rho=0.5, start=3, schedule=schedule, rho_from=0.1, rho_epochs=8)
    assert [settings.radius(epochs) for epochs in (3, 5, 7, 9, 11)] == pytest.approx(radii)
    assert settings.radius(100) == 0.5


def test_radius__may_shrink():
    assert SAMSettings(rho=0.1, schedule="linear", rho_from=0.3, rho_epochs=4).radius(1) == pytest.approx(0.25)


def test_variants__begin_with_plain_sam():
    assert VARIANTS[0] == SAMSettings().variant == "sam" and len(set(VARIANTS)) == len(VARIANTS)
