"""Number of occurrences of each item in the training data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def count_training_items(dataset: Any) -> Tensor:
    """Count the items of the training interactions; of a sequential data set, the targets.

    Args:
        dataset: RecBole's data set of the training part.

    Returns:
        Integers ``[items]`` on the CPU, including item 0, the padding.
    """
    return torch.bincount(dataset.inter_feat[dataset.iid_field].cpu(), minlength=dataset.item_num)
