"""The model of a run and its trainer."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import Any

from recbole.utils import ModelType, get_model, get_trainer, init_seed

from recbole_samrec.integration.read_fields import record_read_fields
from recbole_samrec.quick_start.context import RunContext
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError

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
    known = [
        f"it learns a vector for each user ({name})"
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and parameter.size(0) == users and "item" not in name
    ]
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and config["model"] != "Pop":
        known.append("it represents users by their training data")
    if known:
        raise ConfigError(
            f"train_fraction cannot be used with {config['model']}: {known[0]}, and would know nothing of those left "
            "out; use a model that reads sequences, or leave train_fraction out"
        )


def _name_tree_files(trainer: Any, config: Any) -> None:
    """Let a trainer of boosted trees, which is not derived from ours, name its files as the others do."""
    folder = Path(config["checkpoint_dir"])
    trainer.saved_model_file = str(folder / "best.pth")
    trainer.temp_best_file, trainer.temp_file = str(folder / BEST_TREES), str(folder / "last.ubj")
