"""From arguments and files to RecBole's configuration and data, with everything checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from recbole.config import Config
from recbole.utils import get_model

from recbole_samrec.compat.config import READ_ARGV, Typed
from recbole_samrec.config.validate import check_evaluation, check_keys, check_values, declarations
from recbole_samrec.data.find import find_dataset
from recbole_samrec.data.validate.check import AtomicSummary, check_atomic_files
from recbole_samrec.integration import registry
from recbole_samrec.trainer.trainer import GROWS_TREES, no_sam
from recbole_samrec.utils.error_messages import RECBOLES, words_of
from recbole_samrec.utils.errors import ConfigError, UserError
from recbole_samrec.utils.settings import literal, nearest


def parse_settings(rest: Sequence[str]) -> dict[str, Any]:
    """Read ``--key=value`` arguments.

    Raises:
        ConfigError: An argument has another form, or a key is given twice with different values.
    """
    given: dict[str, Any] = {}
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key.isidentifier():
            raise ConfigError(f"{argument}: give settings as --key=value, such as --learning_rate=0.001")
        read = value if key.endswith("_num_interval") else literal(value)  # "[5,10]" is an interval there, not a list
        if key in given and given[key] != read:
            raise ConfigError(f"--{key} is given twice, as {given[key]} and {value}")
        given[key] = read
    return given


def settings_in(files: Sequence[str]) -> dict[str, Any]:
    """The settings of yaml files, of which the later ones win."""
    settings: dict[str, Any] = {}
    for file in files:
        settings |= registry.read_yaml(Path(file))
    return settings


def configure(
    base: dict[str, Any],
    given: dict[str, Any],
    note: Callable[[str], None] | None = None,
    read: Collection[str] = (),
) -> Any:
    """RecBole's configuration from settings.

    Args:
        base: Settings of files or of a stored run; a key that nothing is known to read may be the user's own.
        given: Settings that win over those, whose keys must all be known.
        note: Is told what looks odd. Without it the settings are taken as checked before.
        read: Keys of which nothing is to be said, whether they are known or not.

    Raises:
        ConfigError: A key, value, model or data set is wrong.
    """
    settings = {**base, **given}
    model, dataset = str(settings.get("model") or "SAMRec"), str(settings.get("dataset") or "ml-100k")
    if model in registry.TREES and settings.get("sam_rho"):  # said also where their packages are missing
        raise no_sam(model, GROWS_TREES)
    try:
        model_class = get_model(model)
    except ImportError as error:
        raise ConfigError(f"--model={model}: {words_of(error, {})}") from error
    if note is not None:
        known = registry.known_keys(model_class, model, dataset)
        check_keys(given, known | set(base))
        note_unread(set(base).difference(read), known, note)
        check_values(settings, declarations(registry.settings_files(model, dataset)))
    argv, defaults = READ_ARGV.set(False), registry.COMMAND_DEFAULTS.set(True)
    try:
        config = Config(model=model, dataset=dataset, config_dict=Typed(settings))
    except UserError:
        raise
    except RECBOLES as error:
        raise ConfigError(words_of(error, settings)) from error
    finally:
        READ_ARGV.reset(argv)
        registry.COMMAND_DEFAULTS.reset(defaults)
    check_evaluation(config)
    return config


def note_unread(keys: Iterable[str], known: Collection[str], note: Callable[[str], None]) -> None:
    """Say of which keys of files it seems that others were meant, as nothing is known to read them."""
    for key in sorted(set(keys).difference(known)):
        if (hint := nearest(key, known)).startswith("did you mean"):
            note(f"nothing is known to read the setting {key} of the files; {hint}")


def check_data(config: Any, note: Callable[[str], None]) -> AtomicSummary:
    """Find the data set, or fetch it, and check its files.

    Args:
        config: RecBole's configuration.
        note: Is told what is odd but can be read.

    Raises:
        DataError: It is not there, or cannot be read as it is.
    """
    name, path = config["dataset"], Path(config["data_path"])
    folder = find_dataset(name, path.parent)
    needs_time = registry.is_sequential(config) or config["eval_args"]["order"] == "TO"
    summary = check_atomic_files(folder, name, needs_time=needs_time, fields=config.final_config_dict)
    for line in summary.warnings:
        note(line)
    return summary
