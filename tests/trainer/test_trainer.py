"""The trainer's settings are read, and models without gradients are refused."""

import pytest
from recbole.utils import ModelType
from torch import nn

from recbole_samrec.trainer.trainer import clip_arguments, require_gradients
from recbole_samrec.utils.errors import ConfigError


@pytest.mark.parametrize(
    "value, arguments",
    [
        (None, None),
        (False, None),
        (5, {"max_norm": 5.0}),
        (0.5, {"max_norm": 0.5}),
        ({"max_norm": 2, "norm_type": 1}, {"max_norm": 2, "norm_type": 1}),
    ],
)
def test_clip_arguments__of_numbers_and_dictionaries(value, arguments):
    assert clip_arguments(value) == arguments


@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan"), {}, {"max_norm": 0}, {"max_norm": "a"}, [5]])
def test_clip_arguments__refuse_other_values(value):
    with pytest.raises(ConfigError, match=r"^clip_grad_norm=.*: give the largest norm as a number above 0, or"):
        clip_arguments(value)


@pytest.mark.parametrize(
    "name, kind, layer, reason",
    [
        ("Random", ModelType.GENERAL, nn.Linear, "it has nothing to learn"),
        ("Pop", ModelType.TRADITIONAL, nn.Linear, "it is computed from counts, not trained by gradients"),
        ("NCEPLRec", ModelType.GENERAL, nn.Linear, "it is computed from counts, not trained by gradients"),
        ("Trees", ModelType.DECISIONTREE, nn.Linear, "it grows trees and is not trained by gradients"),
        ("Frozen", ModelType.GENERAL, nn.Identity, "it has no trainable parameters"),
    ],
)
def test_require_gradients__names_model_and_reason(name, kind, layer, reason):
    model = type(name, (nn.Module,), {"type": kind})()
    model.layer = layer(1, 1)
    with pytest.raises(ConfigError, match=f"^sam_rho cannot be used with {name}: {reason}; leave sam_rho out$"):
        require_gradients(model)


def test_require_gradients__accepts_a_model_with_weights():
    require_gradients(nn.Linear(1, 1))
