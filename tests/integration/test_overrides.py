"""The list of overridden methods matches the classes, and the page prints it."""

import importlib

import pytest
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataset import SequentialDataset
from recbole.evaluator import Collector
from recbole.trainer.trainer import AbstractTrainer

from recbole_samrec.data.event_loader import EventLoader
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.evaluator.full_ranking import RankingCollector
from recbole_samrec.integration import hooks
from recbole_samrec.integration.overrides import CALLED, OVERRIDDEN, OVERRIDES, WRAPPED, table
from recbole_samrec.trainer.trainer import SAMRecTrainer, SAMTrainer
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "explanation" / "differences.md"


def listed(how):
    return [one.name for one in OVERRIDES if one.how == how]


def overridden(ours, base):
    """The methods of a class, and of its bases in this package, that a class of RecBole also has."""
    classes = [one for one in ours.__mro__ if one.__module__.startswith("recbole_samrec")]
    names = {name for one in classes for name, value in vars(one).items() if callable(value)}
    plain = {"__init__", *(name for name in names if not hasattr(object, name) or name == "__getitem__")}
    return {f"{base.__name__}.{name}" for name in names & plain if hasattr(base, name)}


def test_overrides_lists_the_methods_of_our_classes():
    trainer = next(base for base in SAMTrainer.__mro__ if base.__name__ == "Trainer" and base is not SAMTrainer)
    assert issubclass(trainer, AbstractTrainer) and trainer.__module__.startswith("recbole.")
    found = overridden(SAMRecTrainer, trainer)
    found |= overridden(RankingCollector, Collector) | overridden(PackedDataset, SequentialDataset)
    found |= overridden(EventLoader, FullSortEvalDataLoader)
    assert sorted(listed(OVERRIDDEN)) == sorted(found)


class RecordingPatcher:
    """Records the requested replacements without making them."""

    def __init__(self):
        self.names = set()

    def __call__(self, target, name, value):
        if name != "__bases__":  # those of all trainers, which stand in the list as recbole.trainer.Trainer
            self.names.add(f"{getattr(target, '__qualname__', target.__name__)}.{name}")

    def replace_everywhere(self, function, replacement):
        self.names.add(function.__name__)


def test_overrides_lists_what_the_hooks_wrap():
    patcher = RecordingPatcher()
    hooks.install_hooks(patcher)
    assert sorted(listed(WRAPPED)) == sorted(patcher.names)


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: override.name)
def test_overrides_names_modules_that_exist(override):
    module = importlib.import_module(f"recbole_samrec.{override.by}")
    if override.how == CALLED:
        source = (ROOT / module.__file__).read_text()
        assert f".{override.name.partition('.')[2]}(" in source


def test_overrides_are_printed_in_the_documentation():
    assert table() in PAGE.read_text()
