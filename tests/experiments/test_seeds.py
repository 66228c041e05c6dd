"""Seeds of runs."""

import pytest

from recbole_samrec.experiments.seeds import SELECT_SEEDS, choose_seeds, choose_select_seeds
from recbole_samrec.utils.errors import ConfigError


def test_choose_seeds_counts_from_the_first_or_takes_a_list():
    assert choose_seeds(3) == [2020, 2021, 2022] and choose_seeds((7, 5)) == [7, 5]


@pytest.mark.parametrize("seeds", [0, -1, 1001, [], [1, 1], [-1], ["1"], [True]])
def test_choose_seeds_rejects_wrong_seeds(seeds):
    with pytest.raises(ConfigError, match="--seeds="):
        choose_seeds(seeds)


def test_choose_select_seeds__are_other_seeds():
    assert choose_select_seeds(3, 5) == list(SELECT_SEEDS) == [2015, 2016, 2017]
    assert choose_select_seeds([7], [8, 9]) == [7]
    for seeds, others in (([7, 8], [8]), ([2021], 3), (6, 5)):
        with pytest.raises(ConfigError, match=r"^--select_seeds: \d+ is also in --seeds; settings must be chosen"):
            choose_select_seeds(seeds, others)
    with pytest.raises(ConfigError, match=r"^--select_seeds=0: give a number of seeds"):
        choose_select_seeds(0, 5)
