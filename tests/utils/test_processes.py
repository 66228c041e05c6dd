"""A single process is the first of one; runs with several are tested in tests/trainer/test_processes.py."""

import pytest

from recbole_samrec.utils.processes import gather_values, is_first_process, share_name, wait_for_all


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ({"single_spec": True, "local_rank": 3}, True),
        ({"single_spec": False, "local_rank": 0}, True),
        ({"single_spec": False, "local_rank": 1}, False),
    ],
)
def test_is_first_process__is_the_only_or_first_one(config, first):
    assert is_first_process(config) is first


def test_share_name__one_process_shares_with_itself():
    config = {"single_spec": True, "local_rank": 0}
    assert share_name(config, "name") == "name" and gather_values(config, 3) == [3]
    wait_for_all(config)
