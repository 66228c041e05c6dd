"""Lists of the events before a target equal RecBole's."""

import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.prefix_lists import add_lists, describe_lists
from tests.helpers.packed import prepared


def test_add_lists__aligns_the_events_before_a_target():
    events = Interaction({"item": torch.tensor([5, 6, 7, 8]), "place": torch.tensor([[1.0, 2.0]] * 4)})
    lists = {"items": ("item", (3,)), "places": ("place", (3, 2))}
    samples = Interaction({"item": torch.tensor([7, 8])})
    add_lists(samples, events, torch.tensor([2, 3]), torch.tensor([2, 3]), lists, 3)
    assert samples["items"].tolist() == [[5, 6, 0], [5, 6, 7]]
    assert samples["places"].shape == (2, 3, 2) and samples["places"][0, 2].tolist() == [0, 0]


def test_describe_lists__has_the_shapes_of_recboles(tmp_path):
    _, (train, *_) = prepared(tmp_path, "prefix")
    part = train._dataset
    lists = describe_lists(part, [field for field in part.inter_feat if f"{field}_list" in part.inter_feat])
    assert {"item_id_list", "tags_list", "point_list"} <= lists.keys()
    for name, (_, shape) in lists.items():
        assert part.inter_feat[name].shape[1:] == shape
