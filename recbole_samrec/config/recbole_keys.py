"""Settings of RecBole 1.2.1 that its yaml files do not describe.

Names and the types of defaults come from RecBole's yaml files. The tables below add the settings that only RecBole's
code looks up, types where a default has none or a narrower one, ranges and choices. A test compares them with the
installed RecBole.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from recbole_samrec.config.value_types import Count, NonNegative, NonNegativeInt, Positive, PositiveShare, Probability
from recbole_samrec.utils.installer import describe_recbole

TREES = {"XGBoost": "xgboost", "LightGBM": "lightgbm"}
"""Models whose yaml file RecBole finds only on a file system that ignores case."""

LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
"""Optimizers that RecBole's trainers build."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "step_size"), ("learning_rate",)),
    **dict.fromkeys(("wd", "l2"), ("weight_decay",)),
    **dict.fromkeys(("bs", "batch", "batch_size"), ("train_batch_size",)),
    **dict.fromkeys(("patience", "early_stopping"), ("stopping_step",)),
    **dict.fromkeys(("optimizer", "optim"), ("learner",)),
    **dict.fromkeys(("max_len", "maxlen", "max_length", "max_seq_length", "seq_length"), ("MAX_ITEM_LIST_LENGTH",)),
    **dict.fromkeys(("dim", "embedding_dim", "d_model"), ("hidden_size", "embedding_size")),
    **dict.fromkeys(("dropout", "dropout_rate"), ("hidden_dropout_prob", "dropout_prob")),
    **dict.fromkeys(("n_blocks", "num_blocks", "num_layers", "layers"), ("n_layers", "num_layers")),
    **dict.fromkeys(("num_heads", "heads"), ("n_heads",)),
    **dict.fromkeys(("loss", "loss_fn"), ("loss_type",)),
    **dict.fromkeys(("rho", "radius"), ("sam_rho",)),
    **dict.fromkeys(("k", "cutoffs"), ("topk",)),
    **dict.fromkeys(("device", "gpu", "cuda"), ("gpu_id",)),
    "dropout_prob": ("hidden_dropout_prob",),
}
"""Names of settings in other programs."""

LOOKED_UP = frozenset(
    "model dataset encoding double_tower embedding_size reg_weight mask_ratio ft_ratio "
    # of trainers and data sets of some models
    "kge_interval train_kg_step train_rec_step warm_up_step m_step n_enc_epochs n_dec_epochs pretrain_epochs save_step "
    "xgb_model xgb_params xgb_num_boost_round xgb_early_stopping_rounds xgb_verbose_eval xgb_silent xgb_nthread "
    "lgb_params lgb_num_boost_round convert_token_to_onehot token_num_threshold "
    # of metrics, and of transformations of sequences
    "tail_ratio eta beta MASK_INDEX MASK_ITEM_SEQ POS_ITEMS NEG_ITEMS INVERSE_ITEM_SEQ "
    "CROP_ITEM_SEQ CROP_ITEM_SEQ_LEN REORDER_ITEM_SEQ "
    # computed by RecBole, or given by its start of several processes
    "MODEL_TYPE MODEL_INPUT_TYPE eval_type device single_spec valid_neg_sample_args test_neg_sample_args "
    "local_rank world_size nproc offset ip port".split()
)
"""Settings of any model that RecBole looks up and that its shared yaml files do not contain."""

LOOKED_UP_BY: dict[str, tuple[str, ...]] = {
    "AutoInt": ("has_residual",),
    "DiffRec": ("norm",),
    "LDiffRec": ("norm",),
    "FEARec": ("contrast", "sim", "tau", "use_filter"),
    "KD_DAGFM": ("cin", "feature_num"),
}
"""Settings that a model looks up and that its yaml file does not contain."""

TYPES: dict[str, Any] = {
    **dict.fromkeys(
        "alias_of_entity_id alias_of_item_id alias_of_relation_id alias_of_user_id benchmark_filename "
        "normalize_field".split(),
        list | tuple,
    ),
    **dict.fromkeys(
        "discretization fields preload_weight seq_len threshold train_neg_sample_args unload_col unused_col".split(),
        dict,
    ),
    **dict.fromkeys(
        "dataloaders_save_path dataset_save_path mf_pretrain_path mlp_pretrain_path pretrain_path transform "
        "rm_dup_inter model dataset encoding".split(),
        str,
    ),
    **dict.fromkeys(("xgb_nthread", "xgb_early_stopping_rounds", "lgb_early_stopping_rounds"), int),
    **dict.fromkeys(("normalize_all", "xgb_silent"), bool),
    **dict.fromkeys(("use_proj_bias", "xgb_verbose_eval"), bool | int),
    **dict.fromkeys(("global_ratio", "spatial_ratio", "resolution"), float),
    "reranker_CAN_NUM": int | str,
    "selected_features": list | tuple | str,
}
"""Types of settings whose default is None, or has a narrower type."""

TEXTS = frozenset(
    "model dataset encoding data_path checkpoint_dir dataset_save_path dataloaders_save_path wandb_project state "
    "learner valid_metric transform rm_dup_inter field_separator seq_separator "
    # names of columns
    "USER_ID_FIELD ITEM_ID_FIELD RATING_FIELD TIME_FIELD LABEL_FIELD ENTITY_ID_FIELD HEAD_ENTITY_ID_FIELD "
    "TAIL_ENTITY_ID_FIELD RELATION_ID_FIELD ITEM_LIST_LENGTH_FIELD POSITION_FIELD LIST_SUFFIX NEG_PREFIX "
    # of models
    "accum ae_act_func aggregator aggregator_type algorithm dnn_type fredom_type gru_type hid_activation hidden_act "
    "ind item_attribute inter_matrix_type knn_method loss_function loss_type mean_type mf_pretrain_path mlp_act_func "
    "mlp_pretrain_path neigh_info_method noise_schedule out_activation partition_merging_mode phase pooling_mode "
    "pooling_type pooling_type_layer_1 pooling_type_layer_2 pre_model_path pretrain_path reranker_merging_mode "
    "structure teacher train_method train_stage type warm_up weight_mode xgb_model "
    "user_inter_num_interval item_inter_num_interval entity_kg_num_interval relation_kg_num_interval".split()
)
"""Settings that are text; each keeps its spelling even if it looks like a number or a date."""

TEXT_LISTS = frozenset(
    "load_col unload_col unused_col additional_feat_suffix benchmark_filename alias_of_user_id alias_of_item_id "
    "alias_of_entity_id alias_of_relation_id preload_weight val_interval normalize_field numerical_features "
    "selected_features metrics".split()
)
"""Settings that are lists or dictionaries of texts, most of them names of columns or files."""

FIELD_KEYED = frozenset(("threshold", "seq_len", "discretization", "fields", "datasets"))
"""Dictionaries whose keys are names of columns or data sets, and whose values may be numbers."""

CHECKED_APART = frozenset(
    "gpu_id clip_grad_norm metrics topk valid_metric_bigger eval_args val_interval additional_feat_suffix "
    "train_neg_sample_args "
    "user_inter_num_interval item_inter_num_interval entity_kg_num_interval relation_kg_num_interval".split()
)
"""Settings that take several forms, which :mod:`recbole_samrec.config.validate` or RecBole checks."""

RANGES: dict[str, Any] = {
    **dict.fromkeys(("learning_rate", "layer_norm_eps", "pretrain_learning_rate"), Positive),
    **dict.fromkeys(
        "epochs train_batch_size eval_batch_size stopping_step MAX_ITEM_LIST_LENGTH n_layers n_heads hidden_size "
        "inner_size embedding_size nproc pretrain_epochs save_step".split(),
        Count,
    ),
    **dict.fromkeys(("eval_step", "worker"), NonNegativeInt),
    **dict.fromkeys(("weight_decay", "initializer_range"), NonNegative),
    **dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob", "dropout_prob"), Probability),
    "mask_ratio": PositiveShare,
    "seed": Annotated[int, Ge(0), Le(2**32 - 1)],
}
"""Ranges of settings that many models share."""

CHOICES: dict[str, tuple[str, ...]] = {
    "hidden_act": ("gelu", "relu", "swish", "tanh", "sigmoid"),
    "state": ("debug", "info", "warning", "warn", "error", "critical"),
    "rm_dup_inter": ("first", "last"),
    "transform": ("mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq", "user_defined"),
}
"""Words that RecBole accepts for settings of several models; those of ``state`` in any case."""

_BPR_OR_CE = (
    "FOSSIL GCSAN GRU4Rec GRU4RecF HGN HRM KSR NARM NextItNet NPE RepeatNet S3Rec SASRec SASRecF SINE SRGNN STAMP"
).split()

CHOICES_OF_MODELS: dict[tuple[str, str], tuple[str, ...]] = {
    **{(model, "loss_type"): ("BPR", "CE") for model in (*_BPR_OR_CE, "CORE")},
    ("CDAE", "loss_type"): ("BCE", "MSE"),
    ("FPMC", "loss_type"): ("BPR",),
    ("CDAE", "hid_activation"): ("sigmoid", "relu", "tanh"),
    ("CDAE", "out_activation"): ("sigmoid", "relu"),
    ("CFKG", "loss_function"): ("inner_product", "transe"),
    ("ConvNCF", "train_method"): ("after_pretrain", "no_pretrain"),
    ("CORE", "dnn_type"): ("trm", "ave"),
    ("DMF", "inter_matrix_type"): ("01", "rating"),
    ("GCMC", "accum"): ("sum", "stack"),
    ("GRU4RecF", "pooling_mode"): ("max", "mean", "sum"),
    ("HRM", "pooling_type_layer_1"): ("max", "average"),
    ("HRM", "pooling_type_layer_2"): ("max", "average"),
    ("KD_DAGFM", "phase"): ("teacher_training", "distillation", "finetuning"),
    ("KGAT", "aggregator_type"): ("gcn", "graphsage", "bi"),
    ("KGCN", "aggregator"): ("sum", "neighbor", "concat"),
    ("KGNNLS", "aggregator"): ("sum", "neighbor", "concat"),
    ("NAIS", "algorithm"): ("prod", "concat"),
    ("RaCT", "train_stage"): ("actor_pretrain", "critic_pretrain", "finetune"),
    ("SASRecF", "pooling_mode"): ("max", "mean", "sum"),
    ("SGL", "type"): ("ED", "ND", "RW"),
    ("SimpleX", "aggregator"): ("mean", "user_attention", "self_attention"),
}
"""Words that RecBole's models accept for their own settings, by model and setting."""


@cache
def find_recbole_folder() -> Path:
    """Return the folder of the installed RecBole, without importing it.

    Raises:
        ModuleNotFoundError: RecBole is not installed.
    """
    found = importlib.util.find_spec("recbole")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(describe_recbole(), name="recbole")
    return Path(found.origin).parent


def infer_recbole_type(key: str, default: Any, model: str | None) -> Any:
    """Return the type of a setting of RecBole, with its range or choices; None if it is unknown.

    Args:
        key: The setting.
        default: Its default in RecBole's yaml files.
        model: The model that reads it.
    """
    if key in CHECKED_APART:
        return None
    words = CHOICES_OF_MODELS.get((model or "", key)) or CHOICES.get(key)
    if words:
        return Literal[words]
    if key in TYPES or key in RANGES:
        return TYPES.get(key) or RANGES.get(key)
    if default is None:
        return None
    return list | tuple if isinstance(default, list | tuple) else type(default)
