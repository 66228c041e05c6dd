"""The global temporal split that a run was trained with, for its evaluation and use on changed data.

The quantile of changed data is another time than that of the run: beyond it may be events that the run was trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_samrec.data.temporal_held import CANDIDATES, load_served
from recbole_samrec.data.temporal_options import complete_split
from recbole_samrec.data.temporal_split import KnownSplit
from recbole_samrec.utils.files import read_mapping

_RESULT = "result.json"


def find_known_split(dataset: Any) -> KnownSplit | None:
    """Find the split of the run whose ids a data set has; None while training, or if the run was split otherwise.

    Args:
        dataset: RecBole's data set with a global temporal split.
    """
    config = dataset.config
    if not config["known_data"] or config["changed_data"] != "drop":
        return None
    folder = Path(config["known_data"])
    record = read_mapping(folder / _RESULT)
    numbers = record.get("data", {}).get("split")
    served = load_served(folder / CANDIDATES, dataset.user_num, dataset.item_num)
    if not numbers or served is None or _training_split(record["config"]) != _training_split(config):
        return None
    return KnownSplit(numbers["cut"], numbers["validation_cut"], served)


def _training_split(settings: Any) -> Any:
    """Return the options that decide what is trained on."""
    return complete_split({"eval_args": settings["eval_args"]}, with_target=False)["eval_args"]["split"]
