"""The rows of a data set that a run trains on, validates on and tests, as tables for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.data import create_dataset, data_preparation
from recbole.data.dataset import SequentialDataset
from recbole.utils import init_seed
from rich.console import Console

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.own_data import adopt_data, is_table
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.data.exact_times import parse_times
from recbole_samrec.data.id_types import read_id_type, restore_ids
from recbole_samrec.data.temporal_held import SELECTS_EPOCH, find_held, trains_on_all
from recbole_samrec.data.validate.layout import Layout, read_header
from recbole_samrec.data.validate.read import read_csv
from recbole_samrec.integration import registry
from recbole_samrec.integration.row_numbers import find_rows, number_rows
from recbole_samrec.quick_start.environment import versions
from recbole_samrec.quick_start.export_folder import require_folder, stage_files
from recbole_samrec.quick_start.record import extract_settings
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError

PARTS = ("train", "validation", "test", "history")
FILES = (*(f"{part}.parquet" for part in PARTS), "candidates.parquet", "split.json")
"""Files of an export; the last one is written last."""


@dataclass(frozen=True)
class SplitRows:
    """Rows of a file of interactions by their part, each ascending and counted from 0.

    Args:
        train: Events that are trained on.
        validation: Events that are predicted in the validation.
        test: Events that are predicted in the test.
        history: Events that are neither, and may only be input of a prediction.
        candidates: Ids of the items that are ranked, as text.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    history: np.ndarray
    candidates: np.ndarray


def export_split(
    dataset: Any,
    out: str | Path,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    config_files: Sequence[str | Path] = (),
    overwrite: bool = False,
    console: Console | None = None,
    **settings: Any,
) -> SplitRows:
    """Write the split of a data set, as a run with these settings has it, for other programs.

    Args:
        dataset: Name of a data set, pandas or polars frame, or path of a Parquet file; None for the data set of
            ``config_files``.
        out: Output folder, which is created if it does not exist.
        user: Column of the frame or file with user ids; None for ``user_id``.
        item: Column with item ids; None for ``item_id``.
        time: Column with times; None for ``timestamp``.
        config_files: Yaml files of settings, which ``settings`` override.
        overwrite: Replace an earlier export in that folder.
        console: Console for notes; None for standard output.
        settings: Settings of the run: ``model``, ``eval_args``, filters, ``seed`` and so on.

    Returns:
        The rows of each part.

    Raises:
        UserError: A setting, the data or the folder cannot be used.

    Example::

        from recbole_samrec import export_split

        export_split("ml-100k", "split", model="SASRec").test
    """
    folder, note = Path(out), partial(print_note, console or Console())
    require_folder(folder, FILES, overwrite, flag="--force")
    base = read_yaml_files([str(file) for file in config_files], note)
    config = _configure(dataset, Roles(user, item, time), base, settings, note)
    summary = check_data(config, note)
    about = {"dataset": config["dataset"], "sha256": summary.sha256, "settings": extract_settings(config)}
    rows = find_split(config)
    with stage_files(folder, FILES) as stage:
        _write(rows, config, about, stage)
    return rows


def _configure(dataset: Any, roles: Roles, base: dict[str, Any], settings: dict[str, Any], note: Any) -> Any:
    """Build the configuration of a run that is not trained here."""
    given = dict(settings)
    if ":" in str(given.get("model")):
        given["model"] = registry.model_from(given["model"])
    data = base.get("dataset") if dataset is None else dataset
    given["dataset"] = adopt_data(data, roles, base | given, note) if is_table(data) or any(roles) else data
    config = configure(base, given, note, plans=True)
    if config["benchmark_filename"]:
        raise ConfigError("benchmark_filename: these files are split already; export a data set of one .inter file")
    return config


def find_split(config: Any) -> SplitRows:
    """Split a data set as a run does, and find the rows of each part.

    Of a global temporal split with ``retrain`` these are the parts of the first training.

    Args:
        config: RecBole's configuration; settings that do not matter for the split are changed.

    Raises:
        UserError: RecBole does not take the settings or the data, or prepares the model's data in another way.
    """
    config["training"], config["MAX_ITEM_LIST_LENGTH"] = "prefix", 1  # to save memory
    config[SELECTS_EPOCH] = trains_on_all(config)
    name = config["dataset"]
    init_seed(config["seed"], config["reproducibility"])
    with raise_as_user_error(f"{name} cannot be split with these settings", config), number_rows():
        dataset = create_dataset(config)
        ids = {kind: dataset.inter_feat[field].to_numpy() for kind, field in _list_ids(dataset).items()}
        events = pd.DataFrame(ids, index=pd.Index(find_rows(dataset, dataset.inter_feat), name="row"))
        parts = [_find_part(loader, config) for loader in data_preparation(config, dataset)]
    train, validation, test = (np.unique(find_rows(dataset, part.inter_feat)) for part in parts)
    users = events.loc[train, "user"]
    held = find_held(parts[2])
    if held is not None:
        train = find_rows(dataset, dataset.inter_feat)  # which is the training part, one line for each event
        candidates = np.flatnonzero(held.candidates)
        times = read_interactions(config)["time"].loc[events.index]
        history = _find_earlier(events[events["item"].isin(candidates)], times, np.concatenate([validation, test]))
        if config["train_fraction"] < 1:
            train = train[events.loc[train, "user"].isin(users)]
    else:
        candidates = np.arange(1, dataset.item_num)
        history = events.index
        if isinstance(dataset, SequentialDataset):  # a user's first event is the input of the first sample
            rest = events.drop(np.concatenate([train, validation, test]))
            train = np.concatenate([train, rest.index[rest["user"].isin(users)]])
    history = np.setdiff1d(history, np.concatenate([train, validation, test]))
    tokens = dataset.field2id_token[dataset.iid_field][candidates]
    return SplitRows(np.sort(train), validation, test, history, np.sort(tokens.astype(str)))


def _list_ids(dataset: Any) -> dict[str, str]:
    return {"user": dataset.uid_field, "item": dataset.iid_field}


def _find_part(loader: Any, config: Any) -> Any:
    """Find the data set of a loader."""
    part = getattr(loader, "_dataset", None)
    if part is None:
        raise ConfigError(f"{config['model']} prepares its data in its own way; choose a sequential or a general model")
    return part


def _find_earlier(events: pd.DataFrame, times: pd.Series, targets: np.ndarray) -> np.ndarray:
    """Find the rows of the events before each user's last target.

    Args:
        events: Users by row.
        times: Exact times by row.
        targets: Rows of the targets.
    """
    times = times.loc[events.index]
    order = np.lexsort((events.index, pd.factorize(times, sort=True)[0], events["user"]))
    place = pd.Series(np.argsort(order), index=events.index)
    last = place[targets].groupby(events.loc[targets, "user"]).max()
    return events.index[place < events["user"].map(last)].to_numpy()


def read_interactions(config: Any) -> pd.DataFrame:
    """Read user, item and, where the file has it, time of each row; times are exact.

    Args:
        config: RecBole's configuration.
    """
    layout = Layout.from_settings(config.final_config_dict)
    path = Path(config["data_path"], f"{config['dataset']}.inter")
    headers = {column.name: column.header for column in read_header(path, layout)}
    fields = {"user": layout.user, "item": layout.item, "time": layout.time}
    wanted = {headers[field]: kind for kind, field in fields.items() if field in headers}
    frame = read_csv(path, layout, dict.fromkeys(wanted, str), list(wanted))[list(wanted)].rename(columns=wanted)
    if "time" in frame:
        frame["time"] = parse_times(frame["time"])
    return frame


def _write(rows: SplitRows, config: Any, about: dict[str, Any], folder: Path) -> None:
    """Write the tables, with the ids' types of the user's own table."""
    frame, data = read_interactions(config), Path(config["data_path"])
    frame["row"] = np.arange(len(frame))
    types = {kind: read_id_type(data, config[f"{kind.upper()}_ID_FIELD"]) for kind in ("user", "item")}
    for part in PARTS:
        table = frame.iloc[getattr(rows, part)]
        table.assign(**{kind: restore_ids(table[kind], of) for kind, of in types.items()}).to_parquet(
            folder / f"{part}.parquet", index=False
        )
    items = pd.DataFrame({"item": restore_ids(rows.candidates, types["item"])})
    items.to_parquet(folder / "candidates.parquet", index=False)
    sizes = {name: len(values) for name, values in vars(rows).items()}
    about = {**about, "sizes": sizes, "versions": versions()}
    (folder / FILES[-1]).write_text(json.dumps(about, indent=2, default=str) + "\n", encoding="utf-8")
