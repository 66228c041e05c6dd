"""Data sets become tensors with one line for each event, without a table of prefixes."""

import torch

from recbole_samrec.integration.event_tensors import convert_events_to_tensors
from tests.helpers.toy_data import SASREC, load, table

EVENTS = ["u1|i1|1", "u1|i2|2", "u2|i2|1", "u1|i3|3"]


def test_convert_events_to_tensors__keeps_every_event(tmp_path):
    files = {"inter": table("user_id:token item_id:token timestamp:float", *EVENTS)}
    dataset = load(tmp_path, files, **SASREC)
    assert convert_events_to_tensors(dataset) is dataset
    assert len(dataset.inter_feat) == 4 and isinstance(dataset.inter_feat["item_id"], torch.Tensor)
    columns = (dataset.inter_feat[field].tolist() for field in ("user_id", "item_id", "timestamp"))
    assert sorted(zip(*columns, strict=True)) == [(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 2, 1)]
    assert dataset.item_id_list_field == "item_id_list" and "item_id_list" not in dataset.inter_feat
