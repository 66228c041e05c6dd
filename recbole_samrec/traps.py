"""What a user should know about RecBole's own behaviour that we leave as it is, said where he meets it."""

from __future__ import annotations

from typing import Any


def warnings_about(config: Any, dataset: Any, loaders: tuple) -> list[str]:
    """The remarks that apply to this run, one line each; all are explained in the README.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.
        loaders: Loaders for training, validation and test.
    """
    lines = []
    modes = {str(mode) for mode in config["eval_args"]["mode"].values()}
    split = next(iter(config["eval_args"]["split"] or {"": None}))
    sequential = config["MODEL_TYPE"].name == "SEQUENTIAL"
    if sequential and "full" in modes and not config["mask_history"]:
        lines.append("full ranking leaves items in it that the user had before; papers that mask them are not comparable")
    unseen = _items_nobody_had(dataset)
    if unseen and "full" in modes:
        lines.append(f"{unseen} items of the .item file occur in no interaction, and are candidates all the same")
    if any(mode.startswith(("uni", "pop")) for mode in modes):
        lines.append("sampled evaluation draws with replacement, anew at each evaluation, and may draw the history")
    if split == "RS" and any(mode.startswith(("uni", "pop")) for mode in modes) and sequential:
        lines.append("a ratio split with sampled evaluation merges the rows of a user")
    if split == "TS" and config["eval_args"]["order"] == "RO":
        lines.append("a time split needs order: TO; with RO it splits wrongly")
    if config["model"] == "BERT4Rec":
        lines.append("RecBole's BERT4Rec leaves about one in seven masked positions without a label")
    if config["worker"]:
        lines.append("worker above 0 draws other negatives than worker: 0, and gives another loss")
    without_test = dataset.user_num - 1 - _users_of(loaders[2])
    if without_test > 0:
        lines.append(f"{without_test} users have too few events to reach the test set")
    return lines


def _items_nobody_had(dataset: Any) -> int:
    if dataset.item_feat is None:
        return 0
    return int(dataset.item_num - 1 - len(set(dataset.inter_feat[dataset.iid_field].tolist()) - {0}) - _first_items(dataset))


def _first_items(dataset: Any) -> int:
    """Items that occur only as somebody's first, which sequential rows hold in their lists alone."""
    field = getattr(dataset, "item_id_list_field", None)
    if field is None or field not in dataset.inter_feat:
        return 0
    targets = set(dataset.inter_feat[dataset.iid_field].tolist())
    return len(set(dataset.inter_feat[field].unique().tolist()) - targets - {0})


def _users_of(loader: Any) -> int:
    dataset = loader._dataset
    if dataset.uid_field is None or dataset.uid_field not in dataset.inter_feat:
        return dataset.user_num - 1
    return len(dataset.inter_feat[dataset.uid_field].unique())
