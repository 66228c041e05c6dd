"""Rows keep their numbers while RecBole filters and splits a data set."""

import numpy as np
from recbole.data import create_dataset
from recbole.data.dataset import Dataset

from recbole_samrec.integration.row_numbers import ROW, find_rows, number_rows
from tests.helpers.tiny import make_config, random_events, write_events


def test_number_rows__follows_filters_and_leaves_no_trace(own_folder):
    events = list(random_events(users=20, items=10))
    write_events("dataset", "tiny", events)
    load = Dataset._load_inter_feat
    with number_rows():
        dataset = create_dataset(make_config("BPR", "dataset", user_inter_num_interval="[8,inf)"))
    users = [user for user, _, _ in events]
    kept = [row for row, user in enumerate(users) if users.count(user) >= 8]
    assert find_rows(dataset, dataset.inter_feat).tolist() == kept and len(kept) < len(events)
    parts = dataset.build()
    rows = np.concatenate([find_rows(dataset, part.inter_feat) for part in parts])
    assert sorted(rows) == kept
    assert Dataset._load_inter_feat is load
    assert ROW not in create_dataset(make_config("BPR", "dataset")).inter_feat
