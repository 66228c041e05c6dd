"""Cases that are measured: data sets, entries of the tables, and the settings of each entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COMMON = {
    "n_layers": 2,
    "n_heads": 2,
    "hidden_size": 64,
    "inner_size": 256,
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "train_batch_size": 2048,
    "learning_rate": 0.001,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "seed": 2020,
    "show_progress": False,
    "state": "ERROR",
}
"""Settings of every entry. In RecBole a batch has as many samples as targets, so all entries have 2048 targets."""

DATASETS = {
    "ml-100k": {"MAX_ITEM_LIST_LENGTH": 50, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
    "ml-1m": {"MAX_ITEM_LIST_LENGTH": 200, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
    "Amazon_Beauty": {"MAX_ITEM_LIST_LENGTH": 50, "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5},
}

SAMPLE = {"ml-100k": (2, 10), "ml-1m": (1, 1), "Amazon_Beauty": (2, 6)}
"""RecBole's batches that warm up, and that are measured, in each repetition."""


MOST_REPETITIONS = {"ml-1m": 2}
"""Largest number of repetitions of data sets that take long."""

GROUPS = (
    "matrix products",
    "attention",
    "dropout",
    "softmax and loss",
    "normalization",
    "activation",
    "optimizer",
    "SAM's vector work",
    "data",
    "rest",
)
"""Parts of a step's time."""


@dataclass(frozen=True)
class Entry:
    """An entry of a table.

    Args:
        model: The model's name.
        settings: Its settings in addition to those of all entries and of the data set.
        recbole: Whether RecBole's trainer trains it, without this package.
        epochs: Epochs that are measured; None for a sample of batches, from which an epoch is estimated.
        explain: Whether its process also measures the arithmetic limit and a profile.
        compiled: Whether the loss goes through ``torch.compile``.
    """

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    recbole: bool = False
    epochs: int | None = 1
    explain: bool = False
    compiled: bool = False


RECBOLE, SAMREC, SASREC = "RecBole's SASRec", "SAMRec packed, two passes", "SASRec packed, one pass"
BF16 = "SAMRec packed, two passes, bf16"
PACKED = {"training": "packed"}
PREFIX = {"training": "prefix"}

MAIN = {
    SAMREC: Entry("SAMRec", {**PACKED, "sam_rho": 0.3}, explain=True),
    RECBOLE: Entry("SASRec", {**PREFIX, "fast_dropout": False}, recbole=True, epochs=None),
    SASREC: Entry("SASRec", PACKED, explain=True),
    BF16: Entry("SAMRec", {**PACKED, "sam_rho": 0.3, "enable_amp": True, "amp_dtype": "bfloat16"}),
}
"""The comparison that the targets are about, on every data set."""

PREFIX_ENTRY, GRU = "SASRec, training: prefix", "GRU4Rec packed"
COMPILED = "SASRec packed, torch.compile"
BESIDE = {
    PREFIX_ENTRY: Entry("SASRec", PREFIX, epochs=None),
    GRU: Entry("GRU4Rec", {**PACKED, "embedding_size": 64, "hidden_size": 128, "dropout_prob": 0.2}),
    COMPILED: Entry("SASRec", PACKED, epochs=None, compiled=True),
}
"""Other ways to train, on ml-100k."""

PLAIN = "Adam"
LATE = "late phase (sam_start: 0.8)"
NEAR = ("looksam", "msam", LATE)
"""Entries whose target is a cost close to plain Adam's."""
LATE_EPOCHS = 5
"""Epochs of the late phase; the last one uses SAM."""


def _variant(name: str, epochs: int = 2, **settings: Any) -> Entry:
    return Entry("SAMRec", {**PACKED, "epochs": epochs, **settings}, epochs=epochs, explain=name in NEAR)


VARIANTS = {
    PLAIN: _variant(PLAIN, sam_rho=0.0),
    "looksam": _variant("looksam", sam_rho=0.3, sam_variant="looksam"),
    "msam": _variant("msam", sam_rho=0.3, sam_variant="msam"),
    LATE: _variant(LATE, LATE_EPOCHS, sam_rho=0.3, sam_start=0.8),
}
"""Plain Adam and entries of similar cost, on ml-100k."""

TWO_PASSES = {name: _variant(name, sam_rho=0.3, sam_variant=name) for name in ("sam", "asam", "gsam", "fsam")}
"""SAM and its relatives of two passes, for comparison."""

CONVERGENCE = {
    SAMREC: Entry("SAMRec", {**PACKED, "sam_rho": 0.3}),
    SASREC: Entry("SASRec", PACKED),
}
"""Entries that are trained until early stopping, on ml-100k."""
SHARE_OF_BEST = 0.95
"""The validation NDCG@10 to be reached, as a share of the best that SASRec reaches."""

GROWTH = {
    "train_batch_size": 2048,
    "MAX_ITEM_LIST_LENGTH": 50,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2,
    "sam_rho": 0.3,
    **PACKED,
}
INTERACTIONS = (10**5, 10**6, 10**7)
ITEMS = (10**4, 10**5, 10**6)
LARGEST = (INTERACTIONS[-1], ITEMS[-1])
LARGEST_CE = 10**5
"""Most items with which the loss over all items is measured for comparison."""
GROWTH_STEPS = 25
"""Steps from which an epoch of a synthetic set is estimated; the largest set trains a whole epoch."""


def make_request(entry: Entry, dataset: str, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Make the request to measure an entry on a data set."""
    warm_up, batches = SAMPLE[dataset]
    return {
        "what": "epochs",
        "settings": {**COMMON, **DATASETS[dataset], **entry.settings, "model": entry.model, "dataset": dataset},
        "recbole": entry.recbole,
        "warm_up": warm_up if entry.epochs is None else 5,
        "batches": batches if entry.epochs is None else None,
        "epochs": entry.epochs or 1,
        "explain": entry.explain,
        "compiled": entry.compiled,
        "threads": threads,
        "device": device,
    }


def make_convergence_request(entry: Entry, threads: int) -> dict[str, Any]:
    """Make the request to measure training to convergence on ml-100k."""
    own = {"epochs": 200, "stopping_step": 10, "valid_metric": "NDCG@10", "topk": [10], "eval_batch_size": 4096}
    request = make_request(entry, "ml-100k", threads)
    return {**request, "what": "convergence", "settings": request["settings"] | own}


def growth_name(loss: str, interactions: int, items: int) -> str:
    """Return the name of a measurement of growth."""
    return f"{loss}, {interactions} x {items}"


def make_growth_requests(threads: int) -> dict[str, dict[str, Any]]:
    """Make the requests for synthetic sets: sampled softmax on all of them, all items up to a number of items."""
    sampled = {"loss_type": "SSM", "n_negatives": 256, "embedding_update": "sparse"}
    sizes = [("SSM", sampled, interactions, items) for interactions in INTERACTIONS for items in ITEMS]
    sizes += [("CE", {"loss_type": "CE"}, INTERACTIONS[0], items) for items in ITEMS if items <= LARGEST_CE]
    return {
        growth_name(loss, interactions, items): {
            "what": "growth",
            "settings": {**COMMON, **GROWTH, **own, "model": "SAMRec", "dataset": "synthetic"},
            "interactions": interactions,
            "items": items,
            "batches": None if (interactions, items) == LARGEST else GROWTH_STEPS,
            "threads": threads,
            "device": "cpu",
        }
        for loss, own, interactions, items in sizes
    }
