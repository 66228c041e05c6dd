import pytest

from recbole_samrec.optim.average_options import AverageOptions, parse_average


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ema 0.999", AverageOptions(decay=0.999)),
        ("last 5", AverageOptions(epochs=5)),
        (" last  1 ", AverageOptions(epochs=1)),
    ],
)
def test_parse_average(text, expected):
    assert parse_average(text) == expected


@pytest.mark.parametrize(
    "text", ["ema", "ema 1", "ema 0", "ema nan", "last 0", "last 2.5", "last", "mean 3", "", "ema 0.9 1"]
)
def test_parse_average__rejects_other_forms(text):
    with pytest.raises(ValueError):
        parse_average(text)
