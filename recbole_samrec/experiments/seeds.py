"""Seeds of runs."""

from __future__ import annotations

from collections.abc import Sequence

from recbole_samrec.utils.errors import ConfigError

FIRST_SEED, MOST_SEEDS = 2020, 1000
SELECT_SEEDS = (2015, 2016, 2017)
"""Default seeds of the runs that choose settings."""


def choose_seeds(seeds: int | Sequence[int], flag: str = "--seeds", first: int = FIRST_SEED) -> list[int]:
    """Turn a number of seeds into seeds; a list of seeds is checked and returned.

    Args:
        seeds: Their number, or the seeds.
        flag: The argument, for messages.
        first: The first seed of a number of them.

    Raises:
        ConfigError: The number is out of its range, or a seed is negative or named twice.
    """
    if isinstance(seeds, int):
        if not 0 < seeds <= MOST_SEEDS:
            raise ConfigError(f"{flag}={seeds}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
        return [first + number for number in range(seeds)]
    named = ",".join(map(str, seeds))
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise ConfigError(f"{flag}={named}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{flag}={named}: a seed is named twice")
    return list(seeds)


def choose_select_seeds(select_seeds: int | Sequence[int], seeds: int | Sequence[int]) -> list[int]:
    """Choose the seeds of the runs that choose settings; none of them may be a seed of the comparison.

    Raises:
        ConfigError: A seed overlaps, or a value is not a seed.
    """
    chosen, others = choose_seeds(select_seeds, "--select_seeds", SELECT_SEEDS[0]), choose_seeds(seeds)
    if shared := sorted(set(chosen) & set(others)):
        raise ConfigError(
            f"--select_seeds: {shared[0]} is among --seeds, too; settings that a run chose are not judged by it: name "
            "other seeds"
        )
    return chosen
