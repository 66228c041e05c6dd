"""The vectors and weights of a finished run for other programs, such as an index of nearest neighbors."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.utils import ModelType
from rich.console import Console
from safetensors.torch import save

from recbole_samrec.data.sequences import Sequences
from recbole_samrec.evaluator.dot_product import DotProduct, find_dot_product
from recbole_samrec.quick_start.environment import versions
from recbole_samrec.quick_start.export_folder import require_folder, stage_files
from recbole_samrec.quick_start.recommend import Recommender
from recbole_samrec.quick_start.record import extract_settings
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.errors import ConfigError, DataError, UserError
from recbole_samrec.utils.tables import require_pyarrow

CONFIG, WEIGHTS = "config.json", "model.safetensors"
NAMES = ("item_vectors.npy", "item_ids.npy", "item_biases.npy", "items.parquet", "user_vectors.npy", "user_ids.npy")
FILES = (*NAMES, "users.parquet", WEIGHTS, CONFIG)
"""Files of an export."""


@dataclass(frozen=True, repr=False)
class Export:
    """Vectors of a run; the score of an item for a user is the dot product of their vectors, plus the item's bias.

    Args:
        folder: Folder of the files.
        item_ids: Ids of the items as in the data set, shape ``[I]``.
        item_vectors: Their vectors, shape ``[I, D]``.
        item_biases: Their biases, shape ``[I]``; None if the model has none.
        user_ids: Ids of the users as in the data set, shape ``[U]``.
        user_vectors: Vectors of the users after their full history, shape ``[U, D]``.
    """

    folder: Path
    item_ids: np.ndarray
    item_vectors: np.ndarray
    item_biases: np.ndarray | None
    user_ids: np.ndarray
    user_vectors: np.ndarray

    def __repr__(self) -> str:
        """Return the numbers of vectors, and the folder."""
        biases = "" if self.item_biases is None else " with biases"
        size = f"{self.item_vectors.shape[1]} numbers each"
        return f"{len(self.item_ids):,} items{biases} and {len(self.user_ids):,} users, {size}, in {self.folder}"


def export_vectors(
    run: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    model: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Export:
    """Export the vectors and weights of a finished run, as the command ``export`` does.

    Args:
        run: Folder of a run, or a checkpoint file.
        out: Output folder, which is created if it does not exist.
        overwrite: Replace an earlier export in that folder.
        model: ``file.py:Name`` of your own model; None for other models.
        console: Console for notes; None for standard output.
        settings: Settings that override those of the run.

    Returns:
        The vectors, as in the files.

    Raises:
        UserError: The run or the folder cannot be used, or the model does not score by a dot product.

    Example::

        from recbole_samrec import export_vectors, run

        result = run("SAMRec", "ml-100k", epochs=5)
        export_vectors(result.folder, "vectors").item_vectors
    """
    console, folder = console or Console(), Path(out)
    require_folder(folder, FILES, overwrite)
    recommender = Recommender(run, model=model, console=console, **settings)
    export = collect_vectors(recommender, folder)
    with stage_files(folder, FILES) as stage:
        _write_files(export, recommender, console, stage)
    return export


def collect_vectors(recommender: Recommender, folder: Path) -> Export:
    """Collect the vectors of all items and users, and compare the scores of all users with those of the model.

    Args:
        recommender: The trained model with its data.
        folder: Folder of the export.

    Raises:
        ConfigError: The model does not score by a dot product.
    """
    dataset = recommender.dataset
    if dataset.benchmark_filename_list is not None and dataset.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        raise DataError(f"export: the samples of {dataset.dataset_name}'s benchmark files are no histories of users")
    sequences = recommender.find_sequences("all")
    users: np.ndarray | None = None
    product: DotProduct | None = None
    for part, batch in recommender.split(sequences):
        if product is None:
            product = _find(recommender, batch if len(batch) > 1 else sequences.select(slice(2)))
        vectors = product.read_users(partial(recommender.score, batch), len(batch))
        if vectors is None:
            raise _make_error(recommender)
        if users is None:
            users = np.zeros((len(sequences), vectors.size(1)), np.float32)
        users[part] = vectors.float().cpu().numpy()
    if product is None or users is None:
        raise DataError(f"export: {dataset.dataset_name} has no users")
    biases = None if product.biases is None else product.biases[1:].float().cpu().numpy()
    ids = (_as_text(dataset.field2id_token[dataset.iid_field][1:]), _as_text(sequences.names))
    return Export(folder, ids[0], product.items[1:].float().cpu().numpy(), biases, ids[1], users)


def _find(recommender: Recommender, batch: Sequences) -> DotProduct:
    product = find_dot_product(partial(recommender.score, batch), len(batch), recommender.dataset.item_num)
    if product is None:
        raise _make_error(recommender)
    return product


def _make_error(recommender: Recommender) -> UserError:
    name = recommender.trainer.config["model"]
    return ConfigError(
        f"export: the scores of {name} are no dot product of a user's and an item's vector, which an index needs; "
        "use recommend, or export a model such as SASRec, GRU4Rec, BPR or LightGCN"
    )


def _as_text(ids: np.ndarray) -> np.ndarray:
    return np.array(list(map(str, ids)), dtype=np.str_)


def _write_files(export: Export, recommender: Recommender, console: Console, folder: Path) -> None:
    for name in ("item_ids", "item_vectors", "item_biases", "user_ids", "user_vectors"):
        if (values := getattr(export, name)) is not None:
            with checkpoint_io.open_atomically(folder / f"{name}.npy") as file:
                np.save(file, values, allow_pickle=False)
    try:
        require_pyarrow("export")
    except ConfigError as error:
        print_note(console, f"no Parquet files: {error}")
    else:
        biases = {} if export.item_biases is None else {"bias": export.item_biases}
        _write_parquet(folder / "items.parquet", {"item": export.item_ids, **biases}, export.item_vectors)
        _write_parquet(folder / "users.parquet", {"user": export.user_ids}, export.user_vectors)
    weights = recommender.trainer.model.state_dict()
    with checkpoint_io.open_atomically(folder / WEIGHTS) as file:
        file.write(save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}))
    with checkpoint_io.open_atomically(folder / CONFIG) as file:
        file.write(json.dumps(_describe(export, recommender.trainer.config), indent=2, default=str).encode())


def _write_parquet(path: Path, columns: dict[str, np.ndarray], vectors: np.ndarray) -> None:
    buffer = io.BytesIO()
    pd.DataFrame({**columns, "vector": list(vectors)}).to_parquet(buffer, index=False)
    with checkpoint_io.open_atomically(path) as file:
        file.write(buffer.getvalue())


def _describe(export: Export, config: Any) -> dict[str, Any]:
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "items": len(export.item_ids),
        "users": len(export.user_ids),
        "dimensions": export.item_vectors.shape[1],
        "score": "dot product" if export.item_biases is None else "dot product + item bias",
        "dtype": str(export.item_vectors.dtype),
        "versions": versions(),
        "settings": extract_settings(config),
    }
