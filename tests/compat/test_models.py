"""Patched models of RecBole compute the right numbers, and the defects return without the patch."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from recbole.model.general_recommender.ncl import NCL

from recbole_samrec import compat
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events


@pytest.mark.parametrize("batch", [8, 4096])
def test_count_every_event__counts_each_once(own_folder, batch):
    write_events("dataset", "tiny", random_events(users=40, items=15))

    def counted():
        (train, *_), model, trainer = build(make_config("Pop", "dataset", train_batch_size=batch, epochs=1))
        trainer.fit(train, None, saved=False)
        items = train._dataset.inter_feat["item_id"].numpy()
        return model.item_cnt[:, 0].numpy(), np.bincount(items, minlength=model.n_items)

    got, events = counted()
    assert np.array_equal(got, events)
    with compat.suspend("count_every_event"):
        got, events = counted()
    assert not np.array_equal(got, events)


def test_explain_clusters__names_the_setting(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    model, rows = SimpleNamespace(k=5, latent_dim=2), np.zeros((4, 2), np.float32)
    with pytest.raises(ConfigError, match=r"num_clusters=5: NCL .* users or items \(here 4\); lower num_clusters"):
        NCL.run_kmeans(model, rows)
    with compat.suspend("explain_clusters"), pytest.raises(ModuleNotFoundError):
        NCL.run_kmeans(model, rows)
    model.k = 3
    with pytest.raises(ModuleNotFoundError):  # it clusters
        NCL.run_kmeans(model, rows)
