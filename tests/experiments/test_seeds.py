"""Seeds of runs."""

import pytest

from recbole_samrec.experiments.seeds import choose_seeds
from recbole_samrec.utils.errors import ConfigError


def test_choose_seeds_counts_from_the_first_or_takes_a_list():
    assert choose_seeds(3) == [2020, 2021, 2022] and choose_seeds((7, 5)) == [7, 5]


@pytest.mark.parametrize("seeds", [0, -1, 1001, [], [1, 1], [-1], ["1"], [True]])
def test_choose_seeds_rejects_wrong_seeds(seeds):
    with pytest.raises(ConfigError, match="--seeds="):
        choose_seeds(seeds)
