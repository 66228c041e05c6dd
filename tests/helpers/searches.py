"""Searches on tiny data, and a user's own models."""

import json
from pathlib import Path

import yaml

SMALL = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_batch_size": 64,  # what follows is known to every model
    "topk": [5],
    "valid_metric": "NDCG@5",
    "epochs": 4,
}


PLANTED = '''
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType

class Planted(SequentialRecommender):
    """Puts one item before all others: the one that is right in validation, or the one that is right in the test."""

    input_type = InputType.POINTWISE

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.favourite = dataset.token2id(dataset.iid_field, config["favourite"])

    def calculate_loss(self, interaction):
        return self.weight**2

    def full_sort_predict(self, interaction):
        scores = torch.zeros(len(interaction), self.n_items)
        scores[:, self.favourite] = 1
        return scores
'''


FAILING = PLANTED.replace("Planted", "Stumbling").replace(
    'self.favourite = dataset.token2id(dataset.iid_field, config["favourite"])',
    'self.favourite, self.fails, self.steps = 1, config["fails"], 0',
).replace("        return self.weight**2", '''
        self.steps += 1
        if self.fails and self.steps > 5:
            raise ValueError("it was planted")
        return self.weight**2''')  # fmt: skip


def settings(**more):
    """Settings of a tiny search as arguments of a command."""
    return [f"--{key}={value}" for key, value in (SMALL | more).items()]


BEST = {"learning_rate": 0.002, "hidden_dropout_prob": 0.4, "attn_dropout_prob": 0.4}
"""Settings that :func:`write_search` found."""


def write_search(
    folder, entry="SAMRec", dataset="ml-100k", best=BEST, complete=True, settings=None, model="SAMRec", **record
):
    """Write the folder of a search for the learning rate and dropout; attention dropout has the same value."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    strategy = {"search": "random", "scheduler": "asha", "trials": 30, "grace": 10, "seed": 7}
    fields = {
        "entry": entry,
        "dataset": dataset,
        "sha256": "hash",
        "trials": 30,
        "epochs": 300,
        "seeds": [2020],
        "metric": "NDCG@10",
        "strategy": strategy | record.pop("strategy", {}),
        "space": {
            "parameters": [
                {
                    "name": "learning_rate",
                    "kind": "loguniform",
                    "values": [],
                    "low": 0.0001,
                    "high": 0.01,
                    "step": None,
                },
                {"name": "hidden_dropout_prob", "kind": "choice", "values": [0.1, 0.2, 0.5]},
            ],
            "follow": {"attn_dropout_prob": "hidden_dropout_prob"},
        },
    }
    if complete:
        fields |= {"complete": True, "found": {"best": best and {"trial": 12, "settings": best}}}
        if best:
            stored = {"n_layers": 2, "model": model, "dataset": dataset, **(settings or {}), **best}
            (folder / "best.yaml").write_text(f"# A comment.\n{yaml.safe_dump(stored)}")
    (folder / "search.json").write_text(json.dumps(fields | record))
    return folder
