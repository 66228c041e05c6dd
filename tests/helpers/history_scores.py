"""Data and a computation in plain Python for the tests of models that score whole histories."""

import numpy as np

from tests.helpers.tiny import build, make_config, random_events, write_events

LAST_TWO = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"}
EVENTS = [
    *(("a", item, time) for time, item in enumerate(["i1", "i2", "i3", "i4"])),
    *(("b", item, 10 + time) for time, item in enumerate(["i1", "i3", "i2", "i5"])),
    *(("c", item, 20 + time) for time, item in enumerate(["i2", "i3", "i3", "i1", "i4"])),
    *(("d", item, 30 + time) for time, item in enumerate(["i4", "i5", "i1"])),
]
"""Events in time order, of which one is a repetition."""


def known_before(part: str) -> dict[str, list[str]]:
    """The items of each user before the target of validation or test."""
    users = dict.fromkeys(user for user, _, _ in EVENTS)
    end = {"valid": -2, "test": -1}[part]
    return {user: [item for one, item, _ in EVENTS if one == user][:end] for user in users}


def make_matrix(dataset) -> np.ndarray:
    """The matrix of users and items of the training events under leave-one-out, in the order of RecBole's ids."""
    matrix = np.zeros((dataset.user_num, dataset.item_num))
    for user, items in known_before("valid").items():
        for item in items:
            matrix[dataset.token2id("user_id", user), dataset.token2id("item_id", item)] = 1
    return matrix


def build_model(folder, model, **settings):
    """The loaders, the model and its trainer on :data:`EVENTS`."""
    write_events(folder, "tiny", EVENTS)
    settings = {"eval_args": LAST_TWO, "repeatable": True, "topk": [1], "valid_metric": "Hit@1", **settings}
    return build(make_config(model, folder, **settings))


def scores_of(trainer, loader) -> dict[str, np.ndarray]:
    """The scores of all items for each user in an evaluation of a loader, without padding."""
    found = {}
    collect = trainer.eval_collector.eval_batch_collect

    def watch(scores, interaction, *others):
        names = loader.dataset.id2token("user_id", interaction["user_id"].cpu().numpy())
        found.update(zip(names, scores[:, 1:].numpy().copy(), strict=True))
        collect(scores, interaction, *others)

    trainer.eval_collector.eval_batch_collect = watch
    try:
        trainer.evaluate(loader, load_best_model=False)
    finally:
        trainer.eval_collector.eval_batch_collect = collect
    return found


def scores_in_validation(folder, model, **settings) -> dict[str, np.ndarray]:
    """The scores of a model on the validation set of 20 users without repeated items."""
    events = {}
    for user, item, time in random_events(users=20, items=12):
        events.setdefault((user, item), time)
    write_events(folder, "distinct", [(*pair, time) for pair, time in events.items()])
    settings = {"eval_args": LAST_TWO, "repeatable": True, "topk": [1], "valid_metric": "Hit@1", **settings}
    (_, valid_data, _), _, trainer = build(make_config(model, folder, "distinct", **settings))
    return scores_of(trainer, valid_data)
