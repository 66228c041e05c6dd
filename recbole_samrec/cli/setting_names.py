"""An early check of the names of settings, before torch is imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from recbole_samrec.config.keys import list_keys_of_all_models, list_known_keys
from recbole_samrec.config.recbole_keys import LOOKED_UP_BY
from recbole_samrec.config.validate import suggest
from recbole_samrec.utils.errors import ConfigError


def check_setting_names(
    given: Iterable[str], model: str | None = None, dataset: str | None = None, also: Collection[str] = ()
) -> None:
    """Check that every setting on the command line belongs to RecBole, to this package or to some model.

    Which of them the model of the run reads is checked again when its class has been imported. Models of your own may
    read any setting, so do not call this for them.

    Args:
        given: Names of the settings.
        model: Name of the model, for suggestions.
        dataset: Name of the data set, for suggestions.
        also: Further names that are allowed, such as those in files.

    Raises:
        ConfigError: Names the first unknown setting and the ones it may have been meant for.
    """
    known = list_known_keys(model, dataset)
    allowed = known.union(also, list_keys_of_all_models(), *LOOKED_UP_BY.values())
    for key in given:
        if key not in allowed:
            raise ConfigError(f"unknown setting --{key}; {suggest(key, known)}")
