"""Seeds of runs."""

from __future__ import annotations

from collections.abc import Sequence

from recbole_samrec.utils.errors import ConfigError

FIRST_SEED, MOST_SEEDS = 2020, 1000


def choose_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Turn a number of seeds into seeds from ``FIRST_SEED`` on; a list of seeds is checked and returned.

    Raises:
        ConfigError: The number is out of its range, or a seed is negative or named twice.
    """
    if isinstance(seeds, int):
        if not 0 < seeds <= MOST_SEEDS:
            raise ConfigError(f"--seeds={seeds}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
        return [FIRST_SEED + number for number in range(seeds)]
    named = ",".join(map(str, seeds))
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise ConfigError(f"--seeds={named}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds={named}: a seed is named twice")
    return list(seeds)
