"""The model of a run and its trainer."""

import pytest
import torch

from recbole_samrec.quick_start.build_trainer import require_no_users
from recbole_samrec.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("model", "kind", "layers", "reason"),
    [
        ("SASRec", "sequential", {"item_embedding": 9}, None),
        ("HGN", "sequential", {"user_embedding": 5}, "a vector for each user"),
        ("EASE", "general", {}, "represents users by their training data"),
        ("Pop", "general", {}, None),
    ],
)
def test_require_no_users__names_the_reason(model, kind, layers, reason):
    from recbole.utils import ModelType

    network = torch.nn.ModuleDict({name: torch.nn.Embedding(rows, 4) for name, rows in layers.items()})
    config = {"model": model, "MODEL_TYPE": ModelType.SEQUENTIAL if kind == "sequential" else ModelType.GENERAL}
    if reason is None:
        require_no_users(config, network, users=5)
        return
    with pytest.raises(ConfigError, match=f"{model}: it .*{reason.removeprefix('a vector ')}"):
        require_no_users(config, network, users=5)
