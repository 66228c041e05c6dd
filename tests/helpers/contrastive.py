"""Helpers for the tests of CL4SRec and DuoRec."""

import torch

from tests.helpers.tiny import build, make_config

OFF = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
"""Settings without dropout."""


def make(folder, model="CL4SRec", name="tiny", **settings):
    """The training loader, a model with large random weights in double precision, and its trainer."""
    loaders, network, trainer = build(make_config(model, folder, name, **settings))
    torch.manual_seed(1)
    for _, parameter in sorted(network.named_parameters(), key=lambda named: named[0] == "mask_vector"):
        torch.nn.init.normal_(parameter, std=0.3)  # the weights that SASRec has too are drawn first, alike
    return loaders[0], network.double(), trainer
