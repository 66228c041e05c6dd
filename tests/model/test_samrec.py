"""Every model of this package learns a learnable pattern, and nothing from noise."""

import pytest

from tests.helpers.hit_rate import hit_rate_on_new_users
from tests.helpers.tiny import build, cyclic, make_config, write_events

OURS = ["SAMRec", "CL4SRec", "DuoRec", "BSARec", "gSASRec", "SASRecOriginal", "eSASRec"]
OWN = {"CL4SRec": {"epochs": 30}, "gSASRec": {"epochs": 20, "n_negatives": 4}}
OWN |= {"SASRecOriginal": {"epochs": 20, "eval_step": 20}, "eSASRec": {"epochs": 20, "n_negatives": 4}}
"""What a model needs here: CL4SRec's other loss keeps it from its aim for a while, and there are 12 items to draw.

SASRecOriginal has every validation item right before it knows all items, so its last epoch is taken."""
ITEMS = 12


@pytest.mark.slow
@pytest.mark.parametrize("model", OURS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_our_models__learn_circles_and_nothing_of_shuffled(model, shuffled, tmp_path):
    write_events(tmp_path, "circle", cyclic(users=100, items=ITEMS, shuffled=shuffled))
    settings = {"epochs": 10, "learning_rate": 0.01, "topk": [1], "valid_metric": "Hit@1"}
    config = make_config(model, tmp_path, "circle", **settings | OWN.get(model, {}))
    (train_data, valid_data, _), network, trainer = build(config)
    trainer.fit(train_data, valid_data, verbose=False)
    trainer.resume_weights(trainer.saved_model_file)
    hits = hit_rate_on_new_users(network.eval(), train_data.dataset, config["MAX_ITEM_LIST_LENGTH"], ITEMS, shuffled)
    if shuffled:
        assert hits < 3 / ITEMS  # chance is 1 / ITEMS
    else:
        assert hits >= 0.95
