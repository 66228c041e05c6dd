"""Check settings and data, and build RecBole's configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from recbole.utils import get_model

from recbole_samrec.config.defaults import needs_times
from recbole_samrec.config.former_settings import OF_MODELS
from recbole_samrec.config.keys import collect_types, list_known_keys
from recbole_samrec.config.recbole_config import build_config, is_sequential, reads_graph
from recbole_samrec.config.recbole_keys import TREES
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.validate import check_evaluation, check_keys, check_values, suggest
from recbole_samrec.data.benchmark import check_parts
from recbole_samrec.data.find import find_dataset
from recbole_samrec.data.validate.check import AtomicSummary, check_atomic_files
from recbole_samrec.data.vectors import check_additional_files
from recbole_samrec.trainer.trainer import GROWS_TREES, make_gradient_error
from recbole_samrec.utils.error_messages import RECBOLE_ERRORS, describe_error
from recbole_samrec.utils.errors import ConfigError, UserError


def configure(
    base: dict[str, Any],
    given: dict[str, Any],
    note: Callable[[str], None] | None = None,
    read: Collection[str] = (),
    trains: bool = True,
    plans: bool = False,
) -> Any:
    """Build RecBole's configuration from settings.

    Args:
        base: Settings of files or of a stored run, also under the names of earlier revisions; unknown keys may belong
            to a user's model.
        given: Settings that override those, whose keys must all be known.
        note: Receives notes on irregularities. Without it the settings are assumed to be checked.
        read: Keys for which no note is needed, whether they are known or not.
        trains: Whether a model is trained; the evaluation of a finished run needs no validation metric.
        plans: Whether another process will train it, so that this one leaves the GPUs alone.

    Raises:
        ConfigError: A key, value, model or data set is wrong.
    """
    base = upgrade_settings(base)
    settings = {**base, **given}
    model, dataset = str(settings.get("model") or "SAMRec"), str(settings.get("dataset") or "ml-100k")
    settings |= {"model": model, "dataset": dataset}
    for key in ("sam_rho", "weight_average"):
        if model in TREES and settings.get(key):  # reported even if their packages are missing
            raise make_gradient_error(model, GROWS_TREES, key)
    try:
        model_class = get_model(model)
    except ImportError as error:
        raise ConfigError(f"--model={model}: {describe_error(error, {})}") from error
    if note is not None:
        known = list_known_keys(model, dataset, model_class)
        check_keys(given, known | set(base))
        report_unread(set(base).difference(read), known, note)
        check_values(settings, collect_types(model, dataset, model_class))
    try:
        config = build_config(settings, of_command=True, plans=plans)
    except UserError:
        raise
    except RECBOLE_ERRORS as error:
        raise ConfigError(describe_error(error, settings)) from error
    check_evaluation(config, chooses=trains or "valid_metric" in given)
    check_parts(config["benchmark_filename"])
    return config


def report_unread(keys: Iterable[str], known: Collection[str], note: Callable[[str], None]) -> None:
    """Report unknown keys of files that resemble a known key, or that an earlier RecBole used."""
    for key in sorted(set(keys).difference(known)):
        if key in OF_MODELS:
            note(f"{key} in the files has no effect: no model of RecBole 1.2.1 reads it")
        elif (hint := suggest(key, known)).startswith("did you mean"):
            note(f"unknown setting {key} in the files; {hint}")


def check_data(config: Any, note: Callable[[str], None]) -> AtomicSummary:
    """Find or download the data set, and check its files.

    Args:
        config: RecBole's configuration.
        note: Receives notes on irregularities that do not prevent reading.

    Raises:
        DataError: It is missing or cannot be read.
    """
    name, path = config["dataset"], Path(config["data_path"])
    folder = find_dataset(name, path.parent)
    needs_time = needs_times(get_model(config["model"]), config["eval_args"]["order"])
    fields, model = config.final_config_dict, {"sequential": is_sequential(config), "graph": reads_graph(config)}
    summary = check_atomic_files(folder, name, needs_time=needs_time, fields=fields, **model)
    for line in (*summary.warnings, *check_additional_files(folder, name, fields)):
        note(line)
    return summary
