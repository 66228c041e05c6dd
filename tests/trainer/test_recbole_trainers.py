"""Trainers of RecBole that need more than a different base class."""

import math

import pytest
import torch
from recbole.utils import ModelType

from recbole_samrec.trainer.recbole_trainers import reject_sam
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events
from tests.trainer.test_callbacks import Notes, without_repeats


class Trees(torch.nn.Module):
    type = ModelType.DECISIONTREE


def test_reject_sam__lets_trees_be_grown_without_it():
    built = []
    init = reject_sam(lambda self, config, model: built.append(model))
    with pytest.raises(ConfigError, match="sam_rho cannot be used with Trees: it grows trees"):
        init(None, {"sam_rho": 0.1}, Trees())
    model = Trees()
    init(None, {"sam_rho": 0.0, "weight_average": None}, model)
    with pytest.raises(ConfigError, match="weight_average cannot be used with Trees: it grows trees"):
        init(None, {"sam_rho": 0.0, "weight_average": "ema 0.9"}, Trees())
    assert built == [model]


@pytest.mark.slow
def test_train_ncl_with_sam__calls_callbacks_and_is_tracked(own_folder, monkeypatch):
    def clusters(self, rows):
        rows = torch.as_tensor(rows)
        return rows[:3], torch.arange(len(rows)) % 3

    monkeypatch.setattr("recbole.model.general_recommender.ncl.NCL.run_kmeans", clusters)
    write_events("dataset", "tiny", random_events())
    settings = {"num_clusters": 3, "m_step": 1, "warm_up_step": 1, "track_sharpness": 1, "sam_rho": 0.1}
    loaders, _, trainer = build(make_config("NCL", "dataset", checkpoint_dir="saved", **settings))
    notes = Notes()
    trainer.callbacks.add(notes)
    trainer.fit(*loaders[:2], show_progress=False)
    epoch = ["on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end", "on_validation_end"]
    assert without_repeats(notes.moments) == ["on_train_start", *epoch * 2, "on_train_end"]
    assert [entry["epoch"] for entry in trainer.tracker.history] == [0, 1]
    assert all(math.isfinite(entry["top_eigenvalue"]) for entry in trainer.tracker.history)
