"""Generated settings have the intended value, or give a one-line error, on the command line and in yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.keys import list_keys_of_all_models, list_known_keys
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files
from recbole_samrec.quick_start.context import read_data
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.fuzz_levels import Refused, levels, outcome, try_examples
from tests.helpers.fuzz_settings import NAMES_OF_DATA, misspelled, typed, valued, yaml_of
from tests.helpers.tiny import random_events, write_events

BASE = {
    "model": "SAMRec",
    "dataset": "toy",
    "data_path": "data",
    "checkpoint_dir": "saved",
    "state": "ERROR",
    "use_gpu": False,
}
FILES = [
    "user_id:token\titem_id:token\ttimestamp:float\trating:float",
    "item_id:token\tkind:token\tprice:float\ttags:token_seq\tvector:float_seq",
]


def of_command_line(arguments: list[str]) -> Any:
    given = parse_settings(arguments)
    check_setting_names(given, "SAMRec", "toy")
    return configure(BASE, given, lambda line: None)


def of_file(text: str) -> Any:
    Path("a.yaml").write_text(text, encoding="utf-8")
    return configure(BASE | read_yaml_files(["a.yaml"]), {}, lambda line: None)


def check_value(example: tuple[str, Any, bool, str]) -> None:
    key, value, is_good, spelled = example
    for found in (
        outcome(lambda: of_command_line([f"--{key}={spelled}"])),
        outcome(lambda: of_file(yaml_of(key, value))),
    ):
        if isinstance(found, Refused):
            assert not is_good, found.message
        else:
            assert is_good, f"accepted as {found[key]!r}"
            assert found[key] == value and type(found[key]) is type(value)


def check_name(name: str) -> None:
    known = list_known_keys("SAMRec", "toy") | list_keys_of_all_models()
    found = outcome(lambda: check_setting_names(parse_settings([f"--{name}=1"]), "SAMRec", "toy"))
    assert isinstance(found, Refused) or name in known or name.lower() != name, name


def write_toy() -> None:
    folder = write_events("data", "toy", [])
    events = [f"{user}\t{item}\t{time}\t{time % 5}" for user, item, time in random_events(12, 24)]
    items = [f"i{n}\tk{n % 3}\t{n}.5\tt{n} t1\t0.5 {n}" for n in range(24)]
    for name, lines in (("inter", [FILES[0], *events]), ("item", [FILES[1], *items])):
        (folder / f"toy.{name}").write_text("\n".join(lines) + "\n")


def check_reading(arguments: list[str]) -> None:
    write_toy()

    def read() -> Any:
        config = configure(BASE, parse_settings(arguments), lambda line: None)
        if config["dataset"] != "toy" or Path(config["data_path"]) != Path("data", "toy"):
            raise ConfigError("another data set, which may be downloaded")
        summary = check_data(config, lambda line: None)
        return summary, read_data(config)

    found = outcome(read)
    if not isinstance(found, Refused):
        summary, context = found
        assert context.interactions == summary.findings.steps[-1].events


def check_file(arguments: list[str]) -> None:
    text = "".join(f"{key}: {value}\n" for key, _, value in (one[2:].partition("=") for one in arguments))
    outcome(lambda: of_file(text))


@levels(quick=15, thorough=200)
def test_configure__keeps_the_value_that_is_meant(level):
    try_examples(level, valued(), check_value)


@levels(quick=15, thorough=100)
def test_check_setting_names__knows_no_misspelled_names(level):
    try_examples(level, misspelled(sorted(list_known_keys("SAMRec"))), check_name)


@levels(quick=12, thorough=150)
def test_read_data__takes_settings_or_says_why_not(level):
    try_examples(level, typed(NAMES_OF_DATA), check_reading)


@levels(quick=15, thorough=150)
def test_read_yaml_files__takes_a_file_or_says_why_not(level):
    try_examples(level, typed(NAMES_OF_DATA), check_file)
