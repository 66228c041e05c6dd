"""The hit rate of a model on cyclic sequences."""

import random

import torch
from recbole.data.interaction import Interaction

from tests.helpers.tiny import cyclic


def hit_rate_on_new_users(network, dataset, length: int, items: int, shuffled: bool = False, users: int = 300) -> float:
    """HR@1 on users outside of the training data, with histories of every length."""
    rows = list(cyclic(users=users, items=items, length=length + 1, shuffled=shuffled, seed=99))
    ids = [dataset.token2id("item_id", item) for _, item, _ in rows]
    draw = random.Random(1)
    sequences, lengths, targets = [], [], []
    for user in range(users):
        known = draw.randint(1, length)
        own = ids[user * (length + 1) :][: known + 1]
        sequences.append(own[:-1] + [0] * (length - known))
        lengths.append(known)
        targets.append(own[-1])
    batch = Interaction({"item_id_list": torch.tensor(sequences), "item_length": torch.tensor(lengths)})
    with torch.no_grad():
        scores = network.full_sort_predict(batch).view(users, -1)
    return (scores.argmax(dim=1) == torch.tensor(targets)).float().mean().item()
