"""The model of a run and its trainer."""

from __future__ import annotations

import inspect
import re
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import ModelType, get_model, get_trainer, init_seed

from recbole_samrec.data.known_history import scores_histories
from recbole_samrec.data.temporal_held import find_held
from recbole_samrec.integration.read_fields import record_read_fields
from recbole_samrec.quick_start.context import RunContext
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError

SERVE_ALL = ("Pop", "Random", "RecentPop")
"""Models that read no history and rank the same items for every user."""
_TABLE_OF_USERS = re.compile(r"Embedding\(\s*[\w.]*(n_users?|user_num)\b")
BEST_TREES = "best.ubj"
"""File of a model of boosted trees, whose checkpoints hold no tensors."""


def build_trainer(context: RunContext) -> Any:
    """Build the model of a run and its trainer, with the same seeds as RecBole's ``run_recbole``.

    Raises:
        UserError: The model does not take the settings or the data.
    """
    config = context.config
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    with raise_as_user_error(f"{config['model']} cannot be built with these settings", config):
        with record_read_fields() as read:
            model = get_model(config["model"])(config, context.train_data._dataset).to(config["device"])
        getLogger().info(model)
        if config["train_fraction"] < 1:
            require_no_users(config, model, context.dataset.user_num)
        if any(map(_ranks_for_untrained_users, (context.valid_data, context.test_data))):
            require_unseen_users(config, model, context.dataset.user_num)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    if isinstance(trainer, SAMTrainer):
        trainer.read_fields = frozenset(read)
    else:
        _name_tree_files(trainer, config)
    return trainer


def require_no_users(config: Any, model: Any, users: int) -> None:
    """Check that a model can rank for users without training data, as ``train_fraction`` leaves some.

    Raises:
        ConfigError: It cannot; names the reason.
    """
    if reason := explain_unserved(config, model, users):
        raise ConfigError(
            f"train_fraction cannot be used with {config['model']}: {reason}, and has none for users without "
            "training events; use a model that reads sequences, or remove train_fraction"
        )


def require_unseen_users(config: Any, model: Any, users: int) -> None:
    """Check that a model can rank for the untrained users that a global temporal split keeps.

    Raises:
        ConfigError: It cannot; names the reason.
    """
    if reason := explain_unserved(config, model, users):
        raise ConfigError(
            f"eval_args: split GTS with unseen_users: keep cannot be used with {config['model']}: {reason}, and has "
            "none for users with fewer than two training events; add unseen_users: drop"
        )


def _ranks_for_untrained_users(data: Any) -> bool:
    """Return True if a loader has users that a global temporal split did not train on; None has none."""
    if data is None or (held := find_held(data._dataset)) is None:
        return False
    part = data._dataset
    return not held.served.users[part.inter_feat[part.uid_field].numpy()].all()


def explain_unserved(config: Any, model: Any, users: int) -> str | None:
    """Explain why a model cannot rank for users without training data; None if it can."""
    known = [
        f"it learns a vector for each user ({name})"
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and parameter.size(0) == users and "item" not in name
    ]
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and not _serves_all(config["model"], type(model)):
        known.append("it represents users by their training data")
    return known[0] if known else None


def _serves_all(name: str, model_class: Any) -> bool:
    """Return True if a general model can rank for users without their training data."""
    return name in SERVE_ALL or scores_histories(model_class)


def serves_unseen_users(model_class: Any) -> bool:
    """Guess from the source of a model, without building it, whether it can rank for users without training data."""
    if model_class.type != ModelType.SEQUENTIAL:
        return _serves_all(model_class.__name__, model_class)
    own = [base for base in model_class.__mro__ if issubclass(base, SequentialRecommender)]
    return not any(_TABLE_OF_USERS.search(_read_source(base)) for base in own)


def _read_source(own: type) -> str:
    try:
        return inspect.getsource(own)
    except (OSError, TypeError):
        return ""


def _name_tree_files(trainer: Any, config: Any) -> None:
    """Let a trainer of boosted trees, which is not derived from ours, name its files as the others do."""
    folder = Path(config["checkpoint_dir"])
    trainer.saved_model_file = str(folder / "best.pth")
    trainer.temp_best_file, trainer.temp_file = str(folder / BEST_TREES), str(folder / "last.ubj")
