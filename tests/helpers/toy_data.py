"""Small hand-written data sets for the tests of the patches."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataset import Dataset

import recbole_samrec  # noqa: F401  (patches RecBole)
from recbole_samrec import compat

LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
RATIO = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
SASREC = {"model": "SASRec", "train_neg_sample_args": None, "eval_args": LEAVE_ONE_OUT}


def table(head: str, *rows: str) -> str:
    """The text of an atomic file: columns are separated by spaces in ``head`` and by ``|`` in ``rows``."""
    return "".join("\t".join(cells) + "\n" for cells in [head.split(), *(row.split("|") for row in rows)])


def config(folder: Path, files: dict[str, str], model: str = "BPR", **settings: Any) -> Config:
    """Write atomic files, by suffix, and make a configuration that loads all their columns."""
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    for suffix, text in files.items():
        (folder / "toy" / f"toy.{suffix}").write_text(text)
    paths = {"data_path": str(folder), "checkpoint_dir": str(folder / "saved"), "use_gpu": False}
    return Config(model=model, dataset="toy", config_dict=paths | {"load_col": None, "eval_args": RATIO} | settings)


def load(folder: Path, files: dict[str, str], **settings: Any) -> Dataset:
    """The data set of these files, before it is split."""
    return create_dataset(config(folder, files, **settings))


def built(folder: Path, files: dict[str, str], **settings: Any) -> Dataset:
    """The data set of these files, as tensors."""
    dataset = load(folder, files, **settings)
    dataset._change_feat_format()
    return dataset


def tokens(dataset: Dataset, field: str) -> list[str]:
    """A token column of the interactions, as in the file."""
    return list(dataset.id2token(field, dataset.inter_feat[field].numpy()))


def suspend(name: str) -> AbstractContextManager[None]:
    """Suspend a patch, or skip the rest of the test where the patch is not needed."""
    if not compat.PATCHES[name].is_applied:
        pytest.skip(f"{name} is not needed on pandas {pd.__version__}")
    return compat.suspend(name)
