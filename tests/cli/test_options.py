"""Arguments of commands come from declared options."""

import argparse
from pathlib import Path

import pytest

from recbole_samrec.cli.options import add_options, describe_settings
from recbole_samrec.config.command_options import CompareOptions, SharpnessOptions, TuneOptions
from recbole_samrec.config.schema import MODEL_GROUPS, SHARED_GROUPS, list_group_settings
from recbole_samrec.utils.errors import UserError


def parse(options, *argv):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, options)
    return parser.parse_args(argv)


def test_add_options_gives_the_declared_defaults():
    for options, argv in ((CompareOptions, ()), (SharpnessOptions, ("run",))):
        given = {"runs": ["run"]} if argv else {}
        assert vars(parse(options, *argv)) == options(**given).model_dump()
    tune = vars(parse(TuneOptions))
    kept = {name for name, field in TuneOptions.model_fields.items() if field.json_schema_extra.get("kept")}
    assert {name: tune[name] for name in kept} == dict.fromkeys(kept)
    assert {name: value for name, value in TuneOptions().model_dump().items() if name not in kept} == {
        name: value for name, value in tune.items() if name not in kept
    }


def test_add_options_reads_values():
    found = parse(CompareOptions, "--threads=2", "--gpus=0.5", "--out=x", "--tuned", "--tables", "--limit_hours=1")
    assert (found.threads, found.gpus, found.out, found.tuned) == (2, 0.5, Path("x"), "runs/tune")
    assert found.tables and not found.mask_history and found.limit_hours == 1.0
    found = parse(TuneOptions, "-m", "Pop", "--resume", "--search=grid")
    assert (found.model, found.resume, found.search) == ("Pop", True, "grid")
    assert parse(TuneOptions, "--resume=x").resume == Path("x")


@pytest.mark.parametrize(
    ("options", "argument", "words"),
    [
        (CompareOptions, "--threads=0", "a whole number of at least 1"),
        (CompareOptions, "--threads=two", "a whole number of at least 1"),
        (CompareOptions, "--limit_hours=nan", "a number above 0"),
        (CompareOptions, "--gpus=-1", "a number of at least 0"),
        (TuneOptions, "--scheduler=best", "one of asha, median, pbt, none"),
    ],
)
def test_add_options_checks_values(options, argument, words):
    with pytest.raises(UserError, match=f"^{argument}: must be {words}$"):
        parse(options, argument)


def test_describe_settings_lists_all_of_them():
    text = describe_settings()
    for group in (*SHARED_GROUPS, *MODEL_GROUPS):
        assert f"{group.heading}" in text
        assert all(f"\n  --{one.key} " in text for one in list_group_settings(group))
    assert max(map(len, text.splitlines())) <= 100
