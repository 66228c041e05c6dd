"""The entries of a report: groups of runs, their training losses, and the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

if TYPE_CHECKING:
    from recbole_samrec.sharpness.measure import Measured

NEXT_ITEM_LOSS = frozenset(
    "SAMRec SASRec gSASRec GRU4Rec S3Rec BSARec LightSANs NARM STAMP SASRecOriginal eSASRec".split()
)
"""Models whose training loss is only that of the next item, which ``loss_type`` names."""
LOSSES = {
    "CE": "cross-entropy over all items",
    "SSM": "sampled softmax",
    "uSSM": "uncorrected sampled softmax",
    "BCE": "binary cross-entropy with one negative",
}
SAMPLED = ("SSM", "gBCE", "uSSM")
SAMPLING = ("training", "window_stride", "MAX_ITEM_LIST_LENGTH", "train_fraction")
"""Settings that decide what training targets there are and how they are drawn."""
IGNORED = frozenset(
    "seed gpu_id worker use_gpu device state nproc show_progress log_wandb wandb_project save_dataset save_dataloaders "
    "dataset_save_path dataloaders_save_path eval_batch_size eval_memory loss_decimal_place metric_decimal_place "
    "track_sharpness trust_checkpoint".split()
)
"""Settings in which the runs of one entry may differ."""


class Recorded(Protocol):
    """A run with its name and its ``result.json``, measured or not yet."""

    @property
    def name(self) -> str:
        """Name of the run among those of a report."""

    @property
    def record(self) -> Mapping[str, Any]:
        """The run's ``result.json``."""


def list_labels(runs: Sequence[Measured]) -> list[str]:
    """Return the labels of some runs, each once, in their order."""
    return list(dict.fromkeys(run.label for run in runs))


def choose_reference(runs: Sequence[Measured]) -> str:
    """Choose the entry that the others are compared with: plain SASRec if it is present, else the last one."""
    labels = list_labels(runs)
    plain = [label for label in labels if label.startswith("SASRec")]
    return "SASRec" if "SASRec" in labels else (plain or labels)[-1]


def describe_entries(runs: Sequence[Measured]) -> pd.DataFrame:
    """Describe the training of the runs with each label.

    Returns:
        One line per entry: ``entry``, ``seeds``, ``loss``, ``weights``, ``ranking`` (among which items the test items
        are ranked) and ``differing``, the settings other than the seed in which its runs differ.
    """
    lines = []
    for label in list_labels(runs):
        of_label = [run for run in runs if run.label == label]
        lines.append(
            {
                "entry": label,
                "seeds": ", ".join(str(run.seed) for run in of_label),
                "loss": join_losses(of_label),
                "weights": ", ".join(dict.fromkeys(f"{run.record.get('parameters') or 0:,}" for run in of_label)),
                "ranking": ", ".join(dict.fromkeys(map(ranking_mode, of_label))),
                "differing": list_differing_settings(of_label),
            }
        )
    return pd.DataFrame(lines)


def name_loss(run: Measured) -> str:
    """Name the training loss of a run."""
    config, model = find_config(run), run.record.get("model") or find_config(run).get("model")
    name = config.get("loss_type") or ""
    loss = LOSSES.get(name, name)
    if name in SAMPLED:
        loss = f"{loss} with {config.get('n_negatives')} negatives"
    return str(loss) if model in NEXT_ITEM_LOSS and loss else f"the loss of {model}"


def join_losses(runs: Sequence[Measured]) -> str:
    """Name the training losses of some runs, each once."""
    return "; ".join(dict.fromkeys(map(name_loss, runs)))


def ranking_mode(run: Measured) -> str:
    """Return the candidates among which test items are ranked: ``full``, ``uni100`` and the like."""
    mode = (find_config(run).get("eval_args") or {}).get("mode", "full")
    return str(mode.get("test", "full") if isinstance(mode, Mapping) else mode)


def list_differing_settings(runs: Sequence[Measured]) -> str:
    """Return the settings in which the runs of an entry differ; settings that only some records have are ignored."""
    configs = [find_config(run) for run in runs]
    keys = [key for key in configs[0] if key not in IGNORED and all(key in config for config in configs)]
    found = {key: list(dict.fromkeys(str(config[key]) for config in configs)) for key in keys}
    return "; ".join(f"{key}: {', '.join(values)}" for key, values in found.items() if len(values) > 1)


def find_config(run: Recorded) -> Mapping[str, Any]:
    """Return the settings of a run, or none where its record has none."""
    return run.record.get("config") or {}
