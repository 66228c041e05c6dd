"""Tiny data sets and configurations for tests."""

import random
from pathlib import Path

SMALL = {
    "hidden_size": 16,
    "inner_size": 32,
    "embedding_size": 16,
    "MAX_ITEM_LIST_LENGTH": 8,
    "train_batch_size": 64,
    "eval_batch_size": 64,
    "epochs": 2,
    "show_progress": False,
    "state": "ERROR",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
}
"""Settings under which a model trains in a moment."""


def write_events(folder, name: str, events) -> Path:
    """Write ``<folder>/<name>/<name>.inter`` from triples of user, item and time."""
    path = Path(folder, name)
    path.mkdir(parents=True, exist_ok=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *(f"{u}\t{i}\t{t}" for u, i, t in events)]
    (path / f"{name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_kinds(folder, items: int) -> None:
    """Give the items of :func:`random_events` one or two kinds, in the ``.item`` file of a data set's folder."""
    lines = ["item_id:token\tkind:token_seq", *(f"i{i}\tk{i % 4} k{i % 3}" for i in range(items))]
    Path(folder, f"{Path(folder).name}.item").write_text("\n".join(lines) + "\n", encoding="utf-8")


def cyclic(users: int = 60, items: int = 12, length: int = 10, shuffled: bool = False, seed: int = 0):
    """Events of users on a circle of items: item i is followed by item i + 1, the last one by the first.

    With ``shuffled`` the items are drawn at random instead, so that there is nothing to learn.
    """
    draw = random.Random(seed)
    for user in range(users):
        start = draw.randrange(items)
        for step in range(length):
            item = draw.randrange(items) if shuffled else (start + step) % items
            yield f"u{user}", f"i{item}", 1000 * user + step


def random_events(users: int = 30, items: int = 20, seed: int = 0):
    """Events of users with histories of 5 to 14 random items."""
    draw = random.Random(seed)
    for user in range(users):
        for step in range(draw.randint(5, 14)):
            yield f"u{user}", f"i{draw.randrange(items)}", 1000 * user + step


def make_config(model, folder, name: str = "tiny", **settings):
    """RecBole's configuration for a model on a tiny data set under ``folder``."""
    from recbole.config import Config

    return Config(model=model, dataset=name, config_dict={**SMALL, "data_path": str(folder), **settings})


def build(config):
    """The loaders, the model and its trainer for a configuration, with the seeds of RecBole's ``run_recbole``."""
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
    return loaders, model, get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
