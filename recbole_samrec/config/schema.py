"""The settings of this package, each declared once: type, range, default, meaning, and the models that read it.

Everything else is derived from these classes: the checks and their messages, ``properties/overall.yaml``,
``command.yaml`` and ``model/*.yaml`` and the page ``docs/reference/settings.md`` (by
``python -m tools.write_properties``), and the list of settings in ``run --help``. Importing this module loads neither
torch nor RecBole.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from recbole_samrec.config.value_types import (
    AtLeastTwo,
    Averages,
    Count,
    NonNegative,
    NonNegativeInt,
    Patterns,
    Positive,
    PositiveShare,
    Probability,
    Share,
)
from recbole_samrec.optim.schedule import ItemRho, Schedule, Variant

RENAMED = {"sam_row_radius": "sam_item_rho", "sam_leave_out": "sam_exclude"}
"""Names of settings in earlier revisions, and their present names."""


def upgrade_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the names of settings in earlier revisions by the current ones.

    Args:
        settings: Settings of a stored run, of a file of entries or of a configuration.

    Returns:
        A copy in the same order; if a setting occurs under both names, the present name wins.
    """
    return {RENAMED.get(key, key): settings.get(RENAMED.get(key, key), value) for key, value in settings.items()}


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    heading: ClassVar[str]
    """Title in help and docs."""
    models: ClassVar[tuple[str, ...]] = ()
    """The models that read these settings; empty where all do."""


def setting(default: Any, about: str, reads: str = "") -> Any:
    """Declare a setting.

    Args:
        default: Its default; models may have others, see :data:`DEFAULTS_OF_MODELS`.
        about: One line for help and docs, which begins with a capital letter and ends with a full stop.
        reads: Settings under which it is read, if fewer than for the rest of its group.
    """
    return Field(default, description=about, json_schema_extra={"reads": reads} if reads else None)


# Settings of every model ----------------------------------------------------------------------------------------------


class SAM(Group):
    """Sharpness-aware minimization, for every model that is trained by gradients."""

    heading: ClassVar[str] = "SAM"

    sam_rho: NonNegative = setting(
        0.0, "Radius of SAM's perturbation; 0 trains without SAM. Tune it between 0.01 and 2 for each data set."
    )
    sam_variant: Variant = setting(
        "sam",
        "Variant of SAM. asam scales the radius by each weight and needs a radius about ten times larger; msam also "
        "needs a larger one. looksam and msam cost little more than one gradient. random is a control, which perturbs "
        "in a random direction.",
    )
    sam_eta: NonNegative = setting(0.01, "Stability term of asam.", reads="sam_variant=asam")
    sam_exclude: Patterns = setting(
        [], "Name patterns of parameters that SAM does not perturb, such as ['*LayerNorm*']."
    )
    sam_params: Patterns = setting(
        "all", "Parameters that SAM perturbs: all, norm (normalization layers), embedding, or name patterns."
    )
    sam_start: NonNegative = setting(
        0, "Epochs to train without SAM first; a value below 1 is a fraction of the epochs of the run."
    )
    sam_rho_schedule: Schedule = setting(
        "constant",
        "Schedule of the radius from sam_rho_from to sam_rho after sam_start; constant starts at sam_rho.",
    )
    sam_rho_from: NonNegative = setting(0.0, "Radius at the start of the schedule.", reads="sam_rho_schedule")
    sam_rho_epochs: Positive = setting(10, "Epochs until the schedule reaches sam_rho.", reads="sam_rho_schedule")
    sam_item_rho: ItemRho = setting(
        "uniform",
        "Radius for the embedding rows of items: the same for all items, or proportional to an item's frequency, but "
        "at least 0.3 of the largest radius.",
    )
    sam_momentum: Probability = setting(
        0.9, "Decay of the moving average of gradients.", reads="sam_variant=fsam and sam_variant=msam"
    )
    gsam_alpha: NonNegative = setting(
        0.4, "Weight of the part of the gradient that is orthogonal to the perturbed one.", reads="sam_variant=gsam"
    )
    fsam_sigma: NonNegative = setting(
        1.0, "Factor of the moving average that is subtracted from the gradient.", reads="sam_variant=fsam"
    )
    looksam_k: Count = setting(5, "A second gradient is computed every looksam_k steps.", reads="sam_variant=looksam")
    looksam_alpha: NonNegative = setting(
        0.7, "Weight of the part of the second gradient that the other steps reuse.", reads="sam_variant=looksam"
    )
    max_bad_steps: Count = setting(
        20, "Number of consecutive steps with an inf or nan gradient after which training ends; each is skipped."
    )


class Averaging(Group):
    """Averaging of weights, for every model that is trained by gradients."""

    heading: ClassVar[str] = "Weight averaging"

    weight_average: Averages | None = setting(
        None,
        "Average of the weights, which is validated, saved and tested in place of the current weights: ema 0.999 "
        "(exponential moving average over steps with this decay) or last 5 (mean of the weights after each of the last "
        "5 epochs); ~ for no average.",
    )


class Packed(Group):
    """Packed training and other ways to train faster."""

    heading: ClassVar[str] = "Speed"

    training: Literal["packed", "prefix"] = setting(
        "prefix",
        "packed trains on whole sequences, with the same loss and much faster; prefix trains on one sample per prefix, "
        "like RecBole. SASRec, GRU4Rec and the fine-tuning of S3Rec also support packed.",
    )
    window_stride: Count | None = setting(
        None,
        "Maximum number of targets in each packed window after a user's first one; ~ gives each target a history of at "
        "least half of MAX_ITEM_LIST_LENGTH, 1 gives exactly RecBole's samples.",
        reads="training=packed",
    )
    fast_dropout: bool = setting(
        True,
        "Draw the random bits of dropout in bulk, remove padded columns where this is exact, and keep freed memory on "
        "a CPU; False trains with the same random draws as RecBole.",
    )


class Precision(Group):
    """Numeric precision and reproducibility."""

    heading: ClassVar[str] = "Precision and reproducibility"

    amp_dtype: Literal["bfloat16", "float16", "bf16", "fp16"] | None = setting(
        None,
        "Data type of autocast; ~ is bfloat16 if the device supports it natively, else float16.",
        reads="enable_amp",
    )
    fp16_scaler: bool = setting(
        True,
        "Scale the loss under float16, so that small gradients do not underflow; False does not scale, and warns.",
        reads="enable_amp",
    )
    deterministic: bool = setting(
        False,
        "Use deterministic algorithms, so that a run on a GPU is reproducible bit for bit; models without such "
        "algorithms raise an error.",
    )


class Data(Group):
    """Reading and splitting data sets."""

    heading: ClassVar[str] = "Data"

    exact_time_order: bool = setting(
        True, "Order events by their exact times; False first rounds times to float32, like RecBole."
    )
    sequential_targets: bool = setting(
        False,
        "In a leave-one-out split, hold out for general models what is held out for sequential ones: a user's first "
        "event is for training and does not count, so that users with two events are not tested.",
    )
    train_fraction: PositiveShare = setting(
        1.0, "Share of the users to train on, drawn with the seed of the run; validation and test are not reduced."
    )
    keep_na_tokens: bool = setting(
        True, 'Keep users and items named "NA", "None" and the like; False treats them as missing, like RecBole.'
    )


class Evaluation(Group):
    """Validation, test and measurements during training."""

    heading: ClassVar[str] = "Training and evaluation"

    exact_early_stopping: bool = setting(
        True,
        "Count ties as no improvement and stop after exactly stopping_step evaluations; False counts like RecBole.",
    )
    recbole_metrics: bool = setting(
        False,
        "Compute ItemCoverage, GiniIndex, ShannonEntropy, AveragePopularity and TailPercentage like RecBole, which "
        "counts the padding item and ignores each user's first event.",
    )
    mask_history: bool = setting(False, "Exclude the items of the user's history from rankings (history masked).")
    eval_memory: Positive | None = setting(
        None,
        "Maximum memory of the scores of a full ranking in megabytes, which limits the number of users scored at once; "
        "~ is 256 on a CPU, and 1/32 of the memory on a GPU.",
    )
    track_sharpness: NonNegativeInt = setting(
        0,
        "Number of epochs between measurements of the sharpness on 2048 training targets, which are written to the log "
        "and result.json; 0 for none.",
    )


class Runs(Group):
    """Run folders and checkpoints."""

    heading: ClassVar[str] = "Runs and checkpoints"

    run_dir: str | None = setting(
        None, "Folder of the run, for checkpoints, log and tensorboard; ~ is a new folder under runs/."
    )
    trust_checkpoint: bool = setting(False, "Also read pickled checkpoints and data sets, which may run code.")
    changed_data: Literal["refuse", "drop"] = setting(
        "refuse",
        "If the data have changed since the run was trained: refuse raises an error, drop ignores events of unknown "
        "users and items.",
    )


# Settings of our models -----------------------------------------------------------------------------------------------


class Transformer(Group):
    """The Transformer, with RecBole's names of settings."""

    heading: ClassVar[str] = "Transformer"
    models: ClassVar[tuple[str, ...]] = ("SAMRec", "gSASRec", "CL4SRec", "DuoRec", "BSARec", "S3Rec")

    n_layers: Count = setting(2, "Number of Transformer layers.")
    n_heads: Count = setting(2, "Number of attention heads.")
    hidden_size: Count = setting(64, "Size of the embeddings and hidden states.")
    inner_size: Count = setting(256, "Size of the feed-forward layers.")
    hidden_dropout_prob: Probability = setting(0.2, "Dropout probability of embeddings and hidden states.")
    attn_dropout_prob: Probability = setting(0.2, "Dropout probability of attention weights.")
    hidden_act: Literal["gelu", "relu", "swish", "tanh", "sigmoid"] = setting(
        "gelu", "Activation function of the feed-forward layers."
    )
    layer_norm_eps: Positive = setting(1e-12, "Constant that layer normalization adds to the variance.")
    initializer_range: NonNegative = setting(0.02, "Standard deviation of the initial weights.")


class CausalBody(Group):
    """The Transformer of models with their own layers."""

    heading: ClassVar[str] = "Transformer"
    models: ClassVar[tuple[str, ...]] = ("SASRecOriginal", "eSASRec")

    n_layers: Count = setting(2, "Number of Transformer layers.")
    n_heads: Count = setting(2, "Number of attention heads, which must divide hidden_size.")
    hidden_size: Count = setting(64, "Size of the embeddings and hidden states.")
    hidden_dropout_prob: Probability = setting(0.2, "Dropout probability of embeddings and hidden states.")
    attn_dropout_prob: Probability = setting(0.2, "Dropout probability of attention weights.")


class GatedForward(Group):
    """The feed-forward layers of eSASRec."""

    heading: ClassVar[str] = "Feed-forward layers"
    models: ClassVar[tuple[str, ...]] = ("eSASRec",)

    inner_size: Count = setting(256, "Size of the feed-forward layers (SwiGLU).")


class Losses(Group):
    """The next-item loss, with options for large catalogs."""

    heading: ClassVar[str] = "Loss"
    models: ClassVar[tuple[str, ...]] = ("SAMRec", "CL4SRec", "DuoRec")

    loss_type: Literal["CE", "BPR", "SSM", "gBCE"] = setting(
        "CE",
        "Cross-entropy over all items (CE), BPR, sampled softmax with shared uniform and in-batch negatives (SSM), or "
        "generalized binary cross-entropy (gBCE).",
    )
    n_negatives: Count = setting(
        256,
        "Number of negatives, per batch with SSM, per target with gBCE.",
        reads="loss_type=SSM and loss_type=gBCE",
    )
    shared_negatives: bool = setting(
        False, "Use the same negatives for the whole batch, which is much cheaper.", reads="loss_type=gBCE"
    )
    gbce_t: Share = setting(0.75, "Calibration, from 0 (binary cross-entropy) to 1.", reads="loss_type=gBCE")
    embedding_update: Literal["dense", "sparse"] = setting(
        "dense",
        "Embedding rows of items that Adam and SAM update: all, or those with a gradient, which suits large catalogs.",
        reads="loss_type=BPR, loss_type=SSM and loss_type=gBCE",
    )


class CalibratedLoss(Losses):
    """The loss of gSASRec: gBCE by definition."""

    models: ClassVar[tuple[str, ...]] = ("gSASRec",)

    loss_type: Literal["gBCE"] = setting("gBCE", "Generalized binary cross-entropy; SAMRec has other losses.")


class BinaryLoss(Group):
    """The loss of SASRecOriginal: binary cross-entropy with one negative by definition."""

    heading: ClassVar[str] = "Loss"
    models: ClassVar[tuple[str, ...]] = ("SASRecOriginal",)

    loss_type: Literal["BCE"] = setting("BCE", "Binary cross-entropy with one negative; SAMRec has other losses.")
    embedding_update: Literal["dense", "sparse"] = setting(
        "dense",
        "Embedding rows of items that Adam and SAM update: all, or those with a gradient, which suits large catalogs.",
    )


class UncorrectedLoss(Group):
    """The loss of eSASRec: a softmax over sampled items by definition."""

    heading: ClassVar[str] = "Loss"
    models: ClassVar[tuple[str, ...]] = ("eSASRec",)

    loss_type: Literal["uSSM"] = setting(
        "uSSM", "Softmax over the target and uniform negatives, without correction; SAMRec has other losses."
    )
    n_negatives: Count = setting(256, "Number of negatives for each target.")
    shared_negatives: bool = setting(False, "Use the same negatives for the whole batch, which is much cheaper.")
    embedding_update: Literal["dense", "sparse"] = setting(
        "dense",
        "Embedding rows of items that Adam and SAM update: all, or those with a gradient, which suits large catalogs.",
    )


class NextItemLoss(Group):
    """The next-item loss of models that score all items."""

    heading: ClassVar[str] = "Loss"
    models: ClassVar[tuple[str, ...]] = ("BSARec", "S3Rec")

    loss_type: Literal["CE", "BPR"] = setting(
        "CE", "Cross-entropy over all items (CE) or BPR; in S3Rec for fine-tuning."
    )


class Contrastive(Group):
    """The additional loss of contrastive models."""

    heading: ClassVar[str] = "Contrastive loss"
    models: ClassVar[tuple[str, ...]] = ("CL4SRec", "DuoRec")

    cl_weight: NonNegative = setting(0.1, "Weight of the contrastive loss; 0 trains SASRec.")
    cl_temperature: Positive = setting(1.0, "Temperature that divides the similarities.")
    cl_similarity: Literal["dot", "cosine"] = setting("cosine", "Similarity of two views: inner product or cosine.")


class Views(Group):
    """Augmented views of CL4SRec."""

    heading: ClassVar[str] = "Views of a sequence"
    models: ClassVar[tuple[str, ...]] = ("CL4SRec",)

    cl_batch_users: AtLeastTwo = setting(128, "Number of users drawn for each step, with two views of each.")
    crop_rate: Share = setting(0.6, "Share of a sequence that a crop keeps (eta).")
    mask_rate: Share = setting(0.3, "Share of a sequence that is masked (gamma).")
    reorder_rate: Share = setting(0.6, "Share of a sequence that is shuffled (beta).")


class SameTarget(Group):
    """Positive pairs of DuoRec."""

    heading: ClassVar[str] = "Pairs of sequences"
    models: ClassVar[tuple[str, ...]] = ("DuoRec",)

    cl_batch: AtLeastTwo = setting(
        256, "Number of training sequences drawn for each step, each with another sequence of the same next item."
    )


class Filter(Group):
    """The frequency rescaler of BSARec."""

    heading: ClassVar[str] = "Frequency rescaler"
    models: ClassVar[tuple[str, ...]] = ("BSARec",)

    filter_share: Share = setting(
        0.7, "Weight of the frequency rescaler against attention in a layer (the paper's alpha, 0.7 for Beauty)."
    )
    filter_cutoff: Count = setting(
        5, "Cutoff c: the c // 2 + 1 lowest frequencies of a sequence are not rescaled (5 in the paper for Beauty)."
    )


class Recency(Group):
    """The popularity window of RecentPop."""

    heading: ClassVar[str] = "Recent events"
    models: ClassVar[tuple[str, ...]] = ("RecentPop",)

    recency: Literal["window", "decay"] = setting(
        "window", "window counts the events of the last recent_days; decay halves an event's weight every recent_days."
    )
    recent_days: Positive = setting(30.0, "Length of the window, or half-life, in days before the last training event.")
    time_unit: Literal["s", "ms", "us", "ns", "day"] = setting("s", "Unit of time in the data set.")


class Neighbors(Group):
    """The item neighborhoods of HistoryItemKNN, with RecBole's names and defaults."""

    heading: ClassVar[str] = "Neighbors"
    models: ClassVar[tuple[str, ...]] = ("HistoryItemKNN",)

    k: Count = setting(100, "Number of neighbors of an item.")
    shrink: NonNegative = setting(0.0, "Constant added to the denominator of the cosine.")


class Ridge(Group):
    """The regularization of HistoryEASE, with RecBole's name and default."""

    heading: ClassVar[str] = "Regularization"
    models: ClassVar[tuple[str, ...]] = ("HistoryEASE",)

    reg_weight: Positive = setting(250.0, "Weight of L2 regularization (the paper's lambda).")


class Pretraining(Group):
    """Pre-training of S3Rec."""

    heading: ClassVar[str] = "Pre-training"
    models: ClassVar[tuple[str, ...]] = ("S3Rec",)

    train_stage: Literal["both", "pretrain", "finetune"] = setting(
        "both", "Both stages in one run, or one of RecBole's stages."
    )
    sam_stage: Literal["finetuning", "pretraining", "both"] = setting(
        "finetuning", "Stages that use SAM, if sam_rho is above 0.", reads="train_stage=both"
    )
    pretraining: Literal["users", "recbole"] = setting(
        "users", "Pre-train on users' whole sequences, aligned as in fine-tuning, or with RecBole's loop and samples."
    )
    pretrain_epochs: Count = setting(100, "Epochs of pre-training; the default is 500 with RecBole's loop.")
    pretrain_batch_size: Count = setting(
        256, "Sequences in a batch; RecBole's loop uses train_batch_size instead.", reads="pretraining=users"
    )
    pretrain_learning_rate: Positive = setting(
        0.001,
        "Learning rate of pre-training; RecBole's loop and train_stage=pretrain use learning_rate instead.",
        reads="pretraining=users",
    )
    pretrained_dir: str | None = setting(
        None, "Folder of pre-trained weights, which runs with equal settings share; ~ is pretrained/ next to the run."
    )
    pre_model_path: str = setting("", "File of pre-trained weights to start from.", reads="train_stage=finetune")
    save_step: Count = setting(50, "Number of epochs between two saves of the weights.", reads="train_stage=pretrain")
    item_attribute: str | list[str] | None = setting(
        None, "Column, or list of columns, of the .item file with the items' attributes; ~ detects it."
    )
    mask_ratio: PositiveShare = setting(0.2, "Probability that an item is masked.")
    aap_weight: NonNegative = setting(0.2, "Weight of the associated attribute prediction (AAP).")
    mip_weight: NonNegative = setting(1.0, "Weight of the masked item prediction (MIP).")
    map_weight: NonNegative = setting(1.0, "Weight of the masked attribute prediction (MAP).")
    sp_weight: NonNegative = setting(0.5, "Weight of the segment prediction (SP).")


# Lists of groups ------------------------------------------------------------------------------------------------------

SHARED_GROUPS: tuple[type[Group], ...] = (SAM, Averaging, Packed, Precision, Data, Evaluation, Runs)
"""Settings of every model, in the order of ``properties/overall.yaml``."""

MODEL_GROUPS: tuple[type[Group], ...] = (
    Transformer,
    CausalBody,
    GatedForward,
    Losses,
    CalibratedLoss,
    BinaryLoss,
    UncorrectedLoss,
    NextItemLoss,
    Contrastive,
    Views,
    SameTarget,
    Filter,
    Recency,
    Neighbors,
    Ridge,
    Pretraining,
)
"""Settings of some models, in the order of ``properties/model/*.yaml``."""

ABOUT_MODELS = {
    "SAMRec": "SASRec trained with SAM.",
    "gSASRec": "SASRec trained with gBCE.",
    "CL4SRec": "SASRec with a contrastive loss between two views of a sequence.",
    "DuoRec": "SASRec with a contrastive loss between sequences that are followed by the same item.",
    "BSARec": "SASRec whose layers mix attention with a rescaling of frequencies.",
    "SASRecOriginal": "SASRec with the layers and the loss of its first implementation.",
    "eSASRec": "SASRec with gated layers and a softmax over sampled items.",
    "RecentPop": "The most popular items of the last days of the training data.",
    "HistoryItemKNN": "ItemKNN that scores from the whole history before a target.",
    "HistoryEASE": "EASE that scores from the whole history before a target.",
    "S3Rec": "RecBole's S3Rec, pre-trained and fine-tuned in one run.",
}
"""Descriptions of the models that have a file of defaults."""

DEFAULTS_OF_MODELS: dict[str, dict[str, Any]] = {
    "SAMRec": {"sam_rho": 0.3, "sam_variant": "sam", "training": "packed"},
    "gSASRec": {"train_neg_sample_args": None, "sam_rho": 0.0, "training": "packed"},
    "CL4SRec": {"training": "packed"},
    "DuoRec": {"cl_similarity": "dot", "training": "packed"},
    "BSARec": {},
    "SASRecOriginal": {"train_neg_sample_args": None, "training": "packed"},
    "eSASRec": {"train_neg_sample_args": None, "training": "packed"},
    "RecentPop": {"train_neg_sample_args": None},
    "HistoryItemKNN": {"train_neg_sample_args": None},
    "HistoryEASE": {"train_neg_sample_args": None},
    "S3Rec": {
        "training": "packed",
        "item_inter_num_interval": "[1,inf)",
        "filter_inter_by_user_or_item": False,
    },
}
"""Defaults of models that differ from those of their groups; settings of ours or RecBole's."""

WHY = {
    ("SAMRec", "sam_rho"): "Embedding tables need more than the 0.05 of vision models.",
    ("gSASRec", "train_neg_sample_args"): "RecBole draws no negatives: gBCE draws its own.",
    ("SASRecOriginal", "train_neg_sample_args"): "RecBole draws no negatives: the loss draws its own.",
    ("eSASRec", "train_neg_sample_args"): "RecBole draws no negatives: the loss draws its own.",
    ("RecentPop", "train_neg_sample_args"): "RecBole draws no negatives: events are only counted.",
    ("HistoryItemKNN", "train_neg_sample_args"): "RecBole draws no negatives: events are only counted.",
    ("HistoryEASE", "train_neg_sample_args"): "RecBole draws no negatives: events are only counted.",
    ("S3Rec", "item_inter_num_interval"): "Items without interactions are dropped: the same are ranked as elsewhere.",
    ("S3Rec", "filter_inter_by_user_or_item"): "Events of items that the .item file lacks stay, as elsewhere.",
}
"""Reasons of such defaults."""

COMMAND_DEFAULTS: dict[str, Any] = {"topk": [5, 10, 20], "valid_metric": "NDCG@10"}
"""Defaults of our commands, of RecBole's settings, for every model that is evaluated by ranking."""

INTERNAL = frozenset({"quiet_terminal", "known_data", "selects_epoch"})
"""Settings that our commands pass to a run; they are not for users."""


@dataclass(frozen=True)
class Setting:
    """A declared setting.

    Args:
        key: Its name.
        default: Its default.
        annotation: Its type, with the range; see :mod:`recbole_samrec.config.value_types`.
        about: Its meaning in one line.
        group: The group that declares it.
        reads: Settings under which it is read, if fewer than for the rest of its group.
    """

    key: str
    default: Any
    annotation: Any
    about: str
    group: type[Group]
    reads: str = ""


@functools.cache
def list_group_settings(group: type[Group]) -> tuple[Setting, ...]:
    """List the settings that a group declares."""
    return tuple(_read_declared(group))


def _read_declared(group: type[Group]) -> Iterator[Setting]:
    for key, field in group.model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        yield Setting(key, field.default, annotation, str(field.description), group, str(extra.get("reads", "")))


@functools.cache
def collect_model_settings(model: str | None = None) -> Mapping[str, Setting]:
    """Collect the declarations of the settings that a model reads, by name, with the defaults of the model.

    Args:
        model: Name of a model, RecBole's or ours; None for the settings of every model.
    """
    groups = [*SHARED_GROUPS, *(group for group in MODEL_GROUPS if model in group.models)]
    found = {one.key: one for group in groups for one in list_group_settings(group)}
    defaults = DEFAULTS_OF_MODELS.get(model or "", {})
    return found | {key: replace(found[key], default=value) for key, value in defaults.items() if key in found}


def list_model_groups(model: str) -> list[type[Group]]:
    """List the groups of settings that a model reads in addition to those of every model."""
    return [group for group in MODEL_GROUPS if model in group.models]
