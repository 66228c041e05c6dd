"""Patches of how RecBole reads its configuration and chooses its device."""

from __future__ import annotations

import os
import re
import sys
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from recbole_samrec.compat import ModuleProxy, Patcher, recbole_patch
from recbole_samrec.config.former_settings import describe_successor
from recbole_samrec.config.keys import list_keys_of_all_models, list_known_keys
from recbole_samrec.config.recbole_config import Typed, is_typed
from recbole_samrec.config.recbole_keys import LEARNERS
from recbole_samrec.config.texts import parse_value
from recbole_samrec.config.validate import suggest
from recbole_samrec.config.yaml_files import YamlLoader
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import DERIVED, parse_literal, suggest_nearest

OTHER_PROGRAMS = re.compile(
    r"(pytest|py\.test|unittest|ipykernel|colab_kernel|jupyter|default_worker|setup_worker|^-[cm]?$|^$|recbole-samrec$)"
)
"""Names of programs whose command lines are not RecBole's configuration."""


@recbole_patch("config/configurator.py 122-147", "every string of a configuration is passed to eval")
def parse_strings_as_literals(patch: Patcher) -> None:
    """Read strings as literals and simple arithmetic, without running them; settings that are text stay text."""
    from recbole.config import Config

    def convert(self: Any, settings: dict[str, Any]) -> dict[str, Any]:
        if isinstance(settings, Typed):
            return settings
        return {key: parse_value(key, value) if isinstance(value, str) else value for key, value in settings.items()}

    patch(Config, "_convert_config_dict", convert)


@recbole_patch("trainer/hyper_tuning.py 239", "the choices of a search space file are passed to eval")
def parse_search_space_as_literals(patch: Patcher) -> None:
    """Read the choices as a list of literals."""
    from recbole.trainer import hyper_tuning

    def choices(text: str) -> list[Any] | tuple[Any, ...]:
        values = parse_literal(text)
        if not isinstance(values, (list, tuple)):
            raise ConfigError(f"{text}: give the choices as a list, such as [0.01,0.001] or ['gelu','relu']")
        return values

    patch(hyper_tuning, "eval", choices)


@recbole_patch("model/context_aware_recommender/kd_dagfm.py 44", "the setting teacher is passed to eval")
def look_up_teacher(patch: Patcher) -> None:
    """Accept only names of teacher networks."""
    from recbole.model.context_aware_recommender import kd_dagfm

    def network(name: str) -> type[torch.nn.Module]:
        teacher = getattr(kd_dagfm, name, None)
        if not (isinstance(teacher, type) and issubclass(teacher, torch.nn.Module)):
            raise ConfigError(f"teacher={name}: KD_DAGFM has no such teacher network; choose one of its classes")
        return teacher

    patch(kd_dagfm, "eval", network)


@recbole_patch("config/configurator.py 101", "yaml.FullLoader is changed for the whole process", True)
def use_own_yaml_loader(patch: Patcher) -> None:
    """Read RecBole's yaml files, with its wider definition of a float, with a separate loader."""
    from recbole.config import Config

    patch(Config, "_build_yaml_loader", lambda self: YamlLoader)


@recbole_patch("config/configurator.py 171-200", "the command line of any program is read as configuration", True)
def ignore_foreign_command_lines(patch: Patcher) -> None:
    """Ignore the command lines of pytest, notebooks, Ray's workers and our own commands."""
    from recbole.config import Config

    read = Config._load_cmd_line

    def load(self: Any) -> dict[str, Any]:
        program = os.path.basename(sys.argv[0]) if sys.argv else ""
        module = getattr(sys.modules.get("__main__"), "__package__", "") or ""
        if is_typed(self) or OTHER_PROGRAMS.search(program) or module.split(".")[0] in ("pytest", "unittest"):
            return {}
        return read(self)

    patch(Config, "_load_cmd_line", load)


@recbole_patch(
    "config/configurator.py 307-321", "sequential models with cross-entropy fail on a default that requests negatives"
)
def drop_negatives_for_cross_entropy(patch: Patcher) -> None:
    """Remove RecBole's default of one negative where the loss is cross-entropy, unless the user set it."""
    from recbole.config import Config
    from recbole.utils import ModelType

    set_defaults = Config._set_default_parameters

    def set_with_loss(self: Any) -> None:
        config = self.final_config_dict
        crossed = config.get("loss_type") == "CE" and not hasattr(self.model_class, "input_type")
        if crossed and config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            if "train_neg_sample_args" not in self.external_config_dict:
                config["train_neg_sample_args"] = None
        set_defaults(self)

    patch(Config, "_set_default_parameters", set_with_loss)


FLAGS_OF_SCRIPTS = {"group_offset", "config_files", "params_file", "output_file"}
"""Arguments of RecBole's own scripts, which ``Config`` ignores on their command lines."""


@recbole_patch("config/configurator.py", "a misspelled setting is accepted without a warning", True)
def warn_of_misspelled_settings(patch: Patcher) -> None:
    """Warn about unknown settings whose names resemble a known one."""
    from recbole.config import Config

    merge = Config._get_final_config_dict

    def merge_and_warn(self: Any) -> dict[str, Any]:
        if not is_typed(self) and not self.external_config_dict.get("local_rank"):  # our commands check them
            for line in list_misspelled(self):
                getLogger().warning(line)
        return merge(self)

    patch(Config, "_get_final_config_dict", merge_and_warn)


def list_misspelled(config: Any) -> list[str]:
    """Describe each external unknown setting whose name resembles a known one, in one line each.

    Args:
        config: RecBole's configuration.
    """
    read = list_known_keys(config.model, config.dataset, config.model_class).union(*config.parameters.values())
    known = read | DERIVED | FLAGS_OF_SCRIPTS | set(config.internal_config_dict)
    unread = {key for key in config.external_config_dict if key not in known}
    unread -= list_keys_of_all_models() if unread else set()
    hints = {key: suggest(key, read - DERIVED) for key in sorted(unread)}
    hints = {key: hint for key, hint in hints.items() if hint.startswith("did you mean") or describe_successor(key)}
    return [f"unknown setting {key}; {hint}" for key, hint in hints.items()]


@recbole_patch("trainer/trainer.py 196", "an unknown learner is replaced by Adam without weight decay", True)
def warn_of_unknown_learner(patch: Patcher) -> None:
    """Use Adam as RecBole does, but with weight decay and a warning."""
    from recbole.trainer import trainer

    build = trainer.Trainer._build_optimizer

    def build_known(self: Any, **kwargs: Any) -> torch.optim.Optimizer:
        learner = str(kwargs.get("learner", self.learner))
        if learner.lower() not in LEARNERS:
            hint = suggest_nearest(learner, LEARNERS)
            getLogger().warning(f"learner={learner}: no such optimizer, using adam; {hint}")
            kwargs["learner"] = "adam"
        return build(self, **kwargs)

    patch(trainer.Trainer, "_build_optimizer", build_known)


PRETRAINED = {
    "general_recommender": ("convncf", "nais", "ract", "neumf"),
    "context_aware_recommender": ("kd_dagfm",),
    "sequential_recommender": ("s3rec",),
}


@recbole_patch("s3rec.py 120 and five other models", "pre-trained weights are unpickled or cannot be read")
def load_pretrained_weights_safely(patch: Patcher) -> None:
    """Read the checkpoints that models start from with the safe reader of this package."""
    import importlib

    safe = _SafeTorch(torch)
    for family, names in PRETRAINED.items():
        for name in names:
            module = importlib.import_module(f"recbole.model.{family}.{name}")
            patch(module, "torch", safe)
            for model in vars(module).values():
                if isinstance(model, type) and model.__module__ == module.__name__ and "__init__" in vars(model):
                    if issubclass(model, torch.nn.Module) and hasattr(model, "calculate_loss"):
                        patch(model, "__init__", _apply_trust(model.__init__))


class _SafeTorch(ModuleProxy):
    """Proxy of torch whose ``load`` runs no code from checkpoints."""

    @staticmethod
    def load(path: Any, *args: Any, **kwargs: Any) -> Any:
        return checkpoint_io.load(Path(path))


def _apply_trust(build: Any) -> Any:
    def init(self: Any, config: Any, dataset: Any) -> None:
        with checkpoint_io.trust_pickles(bool(config["trust_checkpoint"])):
            build(self, config, dataset)

    return init
