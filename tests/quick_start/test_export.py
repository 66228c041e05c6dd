"""An index over exported vectors finds the items that the model ranks best."""

from pathlib import Path

import numpy as np
import pytest
import torch

import recbole_samrec
from recbole_samrec.quick_start.export import collect_vectors
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import random_events, write_events
from tests.quick_start.test_recommend import made

SEQUENTIAL = ["SASRec", "SAMRec", "GRU4Rec", "BSARec", "BERT4Rec", "CORE", "FPMC", "Caser", "NARM", "STAMP"]
SEQUENTIAL += ["SASRecOriginal", "eSASRec"]
GENERAL = ["BPR", "LightGCN", "MultiDAE", "SimpleX"]
OTHERS = ["TransRec", "RepeatNet", "DIN", "NeuMF", "EASE"]
SPLIT = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user"}}


def recommender_of(folder, model):
    write_events(folder, "tiny", dict.fromkeys(random_events(users=25, items=18)))
    recommender = made(folder, model, **(SPLIT if model in (*GENERAL, "NeuMF", "EASE") else {}))[0]
    draw = torch.Generator().manual_seed(1)
    for name, parameter in recommender.trainer.model.named_parameters():  # as of a trained model: no bias is 0
        if parameter.dim() == 1 and "bias" in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=draw)
    return recommender


def search(export, k):
    """The best items of each user by the exported vectors, as found by an exact index."""
    scores = export.user_vectors @ export.item_vectors.T + (0 if export.item_biases is None else export.item_biases)
    return export.item_ids[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


@pytest.mark.parametrize("model", [*SEQUENTIAL, *GENERAL])
@pytest.mark.parametrize("memory", [256, 1e-9])
def test_collect_vectors__give_the_ranking_of_the_model(own_folder, model, memory):
    recommender = recommender_of(own_folder, model)
    recommender.trainer.config["eval_memory"] = memory
    export = collect_vectors(recommender, Path("out"))
    sequences = recommender.find_sequences("all")
    items, _ = recommender.best(sequences, 5)
    assert (export.user_ids == sequences.names.astype(str)).all() and len(export.item_ids) == 18
    tokens = recommender.dataset.field2id_token["item_id"]
    assert (search(export, 5) == tokens[items].astype(str)).all()
    assert (export.item_biases is not None) == (model in ("BERT4Rec", "MultiDAE"))


@pytest.mark.parametrize("model", OTHERS)
def test_collect_vectors__refuses_other_models(own_folder, model):
    recommender = recommender_of(own_folder, model)
    with pytest.raises(ConfigError, match=f"export: the scores of {model} are no dot product"):
        collect_vectors(recommender, Path("out"))


def test_export_vectors__is_public():
    assert recbole_samrec.export_vectors.__module__ == "recbole_samrec.quick_start.export"
