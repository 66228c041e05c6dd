"""Numerical columns: those that a model reads, and the settings that make it read others."""

from __future__ import annotations

from typing import Any

from recbole.utils import FeatureSource, FeatureType

from recbole_samrec.utils.errors import ConfigError

FLOATS = (FeatureType.FLOAT, FeatureType.FLOAT_SEQ)
SELECTING = ("FDSA", "GRU4RecF", "SASRecF")
"""Models that read the columns of the ``.item`` file that ``selected_features`` names."""
CONTEXT_OF_ITEMS = ("DIN", "DIEN")
"""Sequential models that read all columns of users and items."""


def check_numbers(config: Any, dataset: Any) -> None:
    """Check that the columns of ``numerical_features`` contain numbers.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set, which may not be complete yet.

    Raises:
        ConfigError: A column is of another type or is not loaded.
    """
    named = config["numerical_features"] or ()
    for field in named:
        if field not in dataset.field2type:
            raise ConfigError(f"numerical_features={named}: the column {field} is not loaded; add it to load_col")
        if (kind := dataset.field2type[field]) not in FLOATS:
            raise ConfigError(
                f"numerical_features={named}: {field} is a {kind.value} column, which is read without being named; "
                "leave it out"
            )


def check_features(config: Any, dataset: Any) -> None:
    """Check that a model can read the columns of ``selected_features``.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.

    Raises:
        ConfigError: A column is not loaded, is not one of the items, or is of another type.
    """
    if not _is_derived_from(config, SELECTING):
        return
    selected, model = config["selected_features"], config["model"]
    of_items = [] if dataset.item_feat is None else [field for field in dataset.item_feat if field != dataset.iid_field]
    if not selected:
        raise ConfigError(f"selected_features={selected}: name columns of the .item file for {model} to read")
    for field in selected:
        if field not in of_items:
            present = ", ".join(of_items) or "no columns of items"
            raise ConfigError(
                f"selected_features={selected}: {model} reads columns of the .item file, and {field} is not among "
                f"those that load_col loads ({present})"
            )
    floats = [field for field in selected if dataset.field2type[field] in FLOATS]
    if unread := [field for field in floats if field not in (config["numerical_features"] or ())]:
        raise ConfigError(
            f"selected_features={selected}: {', '.join(unread)} contains numbers, which {model} reads only where "
            f'numerical_features names them: --numerical_features="{floats}", perhaps with --normalize_field="{floats}"'
        )


def describe_unread_floats(config: Any, dataset: Any) -> str | None:
    """Describe the loaded numerical columns that the model does not read, if there are any.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.
    """
    model, kind = config["model"], config["MODEL_TYPE"].name
    theirs = config.model_class.__module__.startswith(("recbole.", "recbole_samrec."))
    if not theirs or kind == "DECISIONTREE":  # trees read all numbers
        return None
    context = kind == "CONTEXT" or _is_derived_from(config, CONTEXT_OF_ITEMS)
    sources = [FeatureSource.USER, FeatureSource.ITEM, *([FeatureSource.INTERACTION] if context else [])]
    used = {config["TIME_FIELD"], config["LABEL_FIELD"], *(config["threshold"] or ()), *(config["val_interval"] or ())}
    if context or _is_derived_from(config, SELECTING):
        used |= set(config["numerical_features"] or ())
    if _is_derived_from(config, CONTEXT_OF_ITEMS):
        used -= set(dataset.fields(FLOATS, [FeatureSource.INTERACTION])) - {config["TIME_FIELD"], config["LABEL_FIELD"]}
    if model == "DIN":  # embeds the columns of users, but uses only those of items
        used -= set(dataset.fields(FLOATS, [FeatureSource.USER]))
    if _is_derived_from(config, SELECTING):
        used &= {*config["selected_features"], config["TIME_FIELD"]}
    unread = [field for field in dataset.fields(FLOATS, sources) if field not in used and not _is_made(config, field)]
    if not unread:
        return None
    remedy = "no setting makes it read them; leave them out of load_col, or choose another model"
    if _is_derived_from(config, SELECTING):
        remedy = "name them in selected_features and numerical_features"
    elif context:
        readable = [field for field in unread if field not in (config["numerical_features"] or ())]
        if readable == unread:
            remedy = f'--numerical_features="{[*(config["numerical_features"] or ()), *unread]}" makes it read them'
    return f"{model} does not read the numbers in {', '.join(unread)}; {remedy}"


def _is_derived_from(config: Any, names: tuple[str, ...]) -> bool:
    return any(base.__name__ in names for base in config.model_class.__mro__)


def _is_made(config: Any, field: str) -> bool:
    """Return True for a column that RecBole derives from another one: its earlier values, or that of a sampled item."""
    return field.endswith(config["LIST_SUFFIX"]) or field.startswith(config["NEG_PREFIX"])
