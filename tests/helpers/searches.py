"""Searches on tiny data, and models of the user's own."""

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
