"""List of all methods of RecBole that this package overrides, wraps or calls although they are private.

RecBole's training loop itself is kept: ``Trainer.fit`` and ``Trainer._train_epoch`` run as they are, between the
methods below. A test compares the list with the classes, and with what :mod:`recbole_samrec.integration.hooks` wraps;
``docs/explanation/patches.md`` shows it below the patches of :mod:`recbole_samrec.compat`, which are not repeated here.
"""

from __future__ import annotations

from typing import NamedTuple

OVERRIDDEN, WRAPPED, CALLED = "overridden", "wrapped", "called"


class Override(NamedTuple):
    """A method or function of RecBole.

    Args:
        how: :data:`OVERRIDDEN` by a class derived from RecBole's, :data:`WRAPPED` in place, or :data:`CALLED`.
        name: ``Class.method`` in RecBole, or the name of a function.
        by: Module of this package that does it.
        why: Reason.
    """

    how: str
    name: str
    by: str
    why: str


OVERRIDES = (
    Override(OVERRIDDEN, "Trainer.__init__", "trainer.trainer", "adds SAM, callbacks, a scaler that lasts, resume"),
    Override(OVERRIDDEN, "Trainer._build_optimizer", "trainer.trainer", "hooks SAM onto the optimizer; sparse Adam"),
    Override(OVERRIDDEN, "Trainer._train_epoch", "trainer.trainer", "gives RecBole's loop SAM's loss function"),
    Override(OVERRIDDEN, "Trainer._check_nan", "trainer.trainer", "SAM's hook skips such a step and counts it"),
    Override(OVERRIDDEN, "Trainer._valid_epoch", "trainer.trainer", "rejects scores that are nan; calls callbacks"),
    Override(OVERRIDDEN, "Trainer.fit", "trainer.resume", "resumes exactly; calls callbacks"),
    Override(OVERRIDDEN, "Trainer._save_checkpoint", "trainer.resume", "writes all of the state, without pickled code"),
    Override(OVERRIDDEN, "Trainer.resume_checkpoint", "trainer.resume", "reads all of the state, without running code"),
    Override(OVERRIDDEN, "Trainer.evaluate", "trainer.trainer", "reads weights safely; masks histories"),
    Override(OVERRIDDEN, "Trainer._full_sort_batch_eval", "trainer.trainer", "keeps to eval_memory; masks histories"),
    Override(OVERRIDDEN, "Trainer._neg_sample_batch_eval", "trainer.trainer", "rejects scores that are nan"),
    Override(OVERRIDDEN, "Trainer._map_reduce", "trainer.trainer", "every process has the metrics of all samples"),
    Override(OVERRIDDEN, "Collector.__init__", "evaluator.full_ranking", "remembers the training data it has counted"),
    Override(OVERRIDDEN, "Collector.data_collect", "evaluator.full_ranking", "counts the training data once"),
    Override(OVERRIDDEN, "Collector.eval_batch_collect", "evaluator.full_ranking", "sorts the best items only"),
    Override(
        OVERRIDDEN, "FullSortEvalDataLoader.__init__", "data.event_loader", "ranks for each target of a user apart"
    ),
    Override(
        OVERRIDDEN, "FullSortEvalDataLoader._init_batch_size_and_step", "data.event_loader", "counts samples, not items"
    ),
    Override(
        OVERRIDDEN, "FullSortEvalDataLoader.collate_fn", "data.event_loader", "ranks for each target of a user apart"
    ),
    Override(OVERRIDDEN, "SequentialDataset.__init__", "data.packed_dataset", "rejects data that cannot be packed"),
    Override(OVERRIDDEN, "SequentialDataset.build", "data.packed_dataset", "keeps sequences whole for packed training"),
    Override(OVERRIDDEN, "SequentialDataset.data_augmentation", "data.packed_dataset", "makes no table of prefixes"),
    Override(OVERRIDDEN, "SequentialDataset.inter_matrix", "data.packed_dataset", "counts events of whole sequences"),
    Override(OVERRIDDEN, "SequentialDataset.__getitem__", "data.packed_dataset", "makes a prefix on demand"),
    Override(WRAPPED, "Config._load_internal_config_dict", "integration.hooks", "adds our defaults to RecBole's"),
    Override(WRAPPED, "get_model", "integration.hooks", "suggests the nearest name for an unknown model"),
    Override(WRAPPED, "create_dataset", "integration.hooks", "chooses the data set of packed training; known ids"),
    Override(WRAPPED, "Dataset._remap_ID_all", "integration.known_data", "compares the data with those of a run"),
    Override(WRAPPED, "Dataset._remap", "integration.known_data", "gives tokens the ids that they have in a run"),
    Override(WRAPPED, "Dataset.build", "integration.hooks", "splits by a global time, which RecBole cannot"),
    Override(
        WRAPPED, "Dataset._split_index_by_leave_one_out", "data.leave_one_out", "tests what sequential models test"
    ),
    Override(WRAPPED, "get_dataloader", "integration.hooks", "chooses the loaders of packed training and of GTS"),
    Override(WRAPPED, "data_preparation", "integration.hooks", "remembers the split, by which histories are masked"),
    Override(WRAPPED, "S3Rec.__init__", "trainer.pretraining", "builds one model for both stages"),
    Override(WRAPPED, "S3Rec.full_sort_predict", "model.packed_forward", "computes the last states only"),
    Override(WRAPPED, "S3RecTrainer.fit", "trainer.pretraining", "pre-trains first; resumes exactly"),
    Override(WRAPPED, "RaCTTrainer.fit", "trainer.resume", "resumes exactly; calls callbacks"),
    Override(WRAPPED, "NCLTrainer.fit", "trainer.resume", "resumes exactly; calls callbacks"),
    Override(WRAPPED, "NCLTrainer._train_epoch", "trainer.recbole_trainers", "gives NCL's loop SAM's loss function"),
    Override(WRAPPED, "DecisionTreeTrainer.__init__", "trainer.recbole_trainers", "rejects SAM for boosted trees"),
    Override(WRAPPED, "recbole.trainer.Trainer", "integration.hooks", "is SAMTrainer, base of all trainers of RecBole"),
    Override(WRAPPED, "recbole.trainer.SAMRecTrainer", "integration.hooks", "is found for the model of that name"),
    Override(
        CALLED, "Dataset._change_feat_format", "integration.event_tensors", "makes tensors without making prefixes"
    ),
    Override(CALLED, "SequentialDataset._aug_presets", "integration.event_tensors", "names the lists of a sequence"),
)


def table() -> str:
    """Return the list as a table in Markdown."""
    lines = ["| RecBole's | is | in | why |", "| --- | --- | --- | --- |"]
    lines += [f"| `{one.name}` | {one.how} | `{one.by}` | {one.why} |" for one in OVERRIDES]
    return "\n".join(lines)
