"""RecBole's Transformer encoder for some rows at a time: the same computation, on a CPU in less time."""

from __future__ import annotations

import torch
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn

from recbole_samrec.nn import groups_of_rows


class GroupedEncoder(TransformerEncoder):
    """RecBole's encoder, which holds the intermediate results of few rows at once."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, output_all_encoded_layers: bool = True
    ) -> list[Tensor]:
        """States after every layer, or after the last one; arguments and result as RecBole's.

        Args:
            hidden_states: Embedded rows, shape ``[B, L, d]``.
            attention_mask: What is added to the attention's scores, shape ``[B, 1, 1 or L, L]``.
            output_all_encoded_layers: Whether the states after every layer are wanted.

        Returns:
            States ``[B, L, d]`` of each layer that is wanted.
        """
        mask = attention_mask.expand(len(hidden_states), -1, -1, -1)
        groups = [
            super(GroupedEncoder, self).forward(*group, output_all_encoded_layers)
            for group in groups_of_rows(hidden_states, mask)
        ]
        return groups[0] if len(groups) == 1 else [torch.cat(states) for states in zip(*groups, strict=True)]


def encode_in_groups(model: nn.Module) -> None:
    """Let RecBole's encoders in a model take some rows at a time; weights and settings stay as they are."""
    for module in model.modules():
        if type(module) is TransformerEncoder:
            module.__class__ = GroupedEncoder
