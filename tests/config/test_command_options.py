"""Options of commands are checked, and their help agrees with the functions that use them."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from recbole_samrec.compare.api import compare_models
from recbole_samrec.config.command_options import CompareOptions, SharpnessOptions, TuneOptions, option
from recbole_samrec.config.value_types import list_choices
from recbole_samrec.sharpness.arguments import MOST_RUNS
from recbole_samrec.sharpness.measure import FULL, QUICK
from recbole_samrec.tune import search
from recbole_samrec.tune.strategies import SCHEDULERS, SEARCHES, USUAL_TRIALS, Strategy


def test_option__stores_what_the_command_line_needs():
    field = option(3, "number of things", "N", short="-n", kept=True)
    assert (field.default, field.description) == (3, "number of things")
    assert field.json_schema_extra == {"metavar": "N", "short": "-n", "kept": True}
    assert option(..., "runs").is_required()


@pytest.mark.parametrize(
    "kind, given, name",
    [
        (CompareOptions, {"threads": 0}, "threads"),
        (CompareOptions, {"threads": True}, "threads"),
        (CompareOptions, {"gpus": float("nan")}, "gpus"),
        (CompareOptions, {"limit_hours": 0.0}, "limit_hours"),
        (CompareOptions, {"out": "runs"}, "out"),
        (CompareOptions, {"model": "SAMRec"}, "model"),
        (TuneOptions, {"search": "best"}, "search"),
        (TuneOptions, {"retries": -1}, "retries"),
        (TuneOptions, {"memory": float("inf")}, "memory"),
        (TuneOptions, {"resume": False}, "resume"),
        (SharpnessOptions, {}, "runs"),
    ],
)
def test_options__refuse_a_wrong_value_and_an_unknown_name(kind, given, name):
    with pytest.raises(ValidationError) as caught:
        kind(**given)
    assert {error["loc"][0] for error in caught.value.errors()} == {name}


def test_options__accept_the_limits_and_do_not_change():
    options = TuneOptions(trials=1, retries=0, gpus=0.0, resume=True, out=Path("x"))
    assert (options.trials, options.retries, options.gpus, options.resume) == (1, 0, 0.0, True)
    with pytest.raises(ValidationError, match="frozen"):
        options.trials = 2


def test_options__agree_with_what_reads_them():
    tune, usual = TuneOptions(), Strategy()
    assert (tune.search, tune.scheduler, tune.grace, tune.search_seed, tune.passes) == (
        *(getattr(usual, name) for name in ("search", "scheduler", "grace", "seed", "passes")),
    )
    assert {"search", "scheduler", "trials", "passes", "grace", "seed"} == {field.name for field in fields(Strategy)}
    extra = {name: field.json_schema_extra for name, field in TuneOptions.model_fields.items()}
    assert extra["trials"]["else_"].startswith(f"{USUAL_TRIALS},")
    assert list_choices(TuneOptions.model_fields["search"].annotation) == SEARCHES
    assert list_choices(TuneOptions.model_fields["scheduler"].annotation) == SCHEDULERS
    sharpness = SharpnessOptions.model_fields
    assert f"up to {MOST_RUNS} finished" in sharpness["runs"].description
    assert sharpness["targets"].json_schema_extra["else_"] == f"{FULL.targets}, quick {QUICK.targets}"


@pytest.mark.parametrize(("function", "options"), [(compare_models, CompareOptions), (search, TuneOptions)])
def test_options__have_the_defaults_of_the_function(function, options):
    """A call from Python equals the command without arguments."""
    renamed, of_command = {"algorithm": "search"}, {name: one.default for name, one in options.model_fields.items()}
    parameters = inspect.signature(function).parameters.values()
    shared = {one.name: one.default for one in parameters if renamed.get(one.name, one.name) in of_command}
    assert {"gpus", "threads", "parallel", "address", "seeds", "out"} <= set(shared)
    for name, default in shared.items():
        written = of_command[renamed.get(name, name)]
        if name in ("config_files", "entries", "protocol"):
            assert (default, written) == ((), None)
        elif name in ("models", "datasets"):
            assert ([default] if isinstance(default, str) else list(default)) == written.split(",")
        elif name == "select_seeds":
            assert list(default) == [int(seed) for seed in written.split(",")]
        elif isinstance(written, str) and not isinstance(default, str):
            assert default == float(written), name
        else:
            assert default == written, name
