"""Patches of RecBole's reading of benchmark files, which contain interactions that are already split."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import FeatureType

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.data.benchmark import check_parts, drop_events, hold_out_last, make_list_error, remove_padding
from recbole_samrec.data.validate.layout import Layout, read_header
from recbole_samrec.utils.errors import DataError


@recbole_patch("data/dataset/dataset.py 1830", "benchmark files for training and test alone cannot be read")
def hold_out_for_validation(patch: Patcher) -> None:
    load = Dataset._load_inter_feat

    @functools.wraps(load)
    def load_three_parts(self: Dataset, token: str, dataset_path: str) -> None:
        check_parts(self.benchmark_filename_list)
        load(self, token, dataset_path)
        if self.benchmark_filename_list is not None and len(self.benchmark_filename_list) == 2:
            _hold_out(self)

    patch(Dataset, "_load_inter_feat", load_three_parts)


def _hold_out(dataset: Dataset) -> None:
    rows, lists = dataset.inter_feat, f"{dataset.iid_field}{dataset.config['LIST_SUFFIX']}"
    if dataset.uid_field not in rows:
        raise DataError(
            f"load_col leaves out {dataset.uid_field}, by which the events for validation are chosen; add it"
        )
    order, sizes = hold_out_last(rows, dataset.file_size_list[0], dataset.uid_field, dataset.time_field, lists)
    dataset.inter_feat, dataset.file_size_list = rows.iloc[order].reset_index(drop=True), sizes
    dataset.logger.warning(
        f"{list(dataset.benchmark_filename_list)}: {sizes[1]} training events, each user's last, are held out for "
        f"validation; {sizes[0]} are left"
    )


@recbole_patch(
    "data/dataset/dataset.py 555",
    "the lists of benchmark files and their items get different ids; padding in the lists becomes an item",
    silent=True,
)
def share_ids_with_lists(patch: Patcher) -> None:
    if "LIST_SUFFIX" in inspect.getsource(Dataset._set_alias):
        return
    # Call the next class in line, since data sets with a knowledge graph add aliases of entities.
    following = SequentialDataset

    def init_alias(self: SequentialDataset) -> None:
        if self.benchmark_filename_list is not None:
            _check_lists(self)
            _remove_padding(self)
            _drop_events_without_history(self)
            for field in _list_fields(self, FeatureType.TOKEN):
                if field not in (self.uid_field, self.iid_field):
                    self.alias[_name_list(self, field)] = np.array([field, _name_list(self, field)])
        super(following, self)._init_alias()

    def set_alias(self: SequentialDataset, alias_name: str, default_value: list[str | None]) -> None:
        super(following, self)._set_alias(alias_name, default_value)
        if self.benchmark_filename_list is not None:
            fields = list(self.alias[alias_name])
            lists = [_name_list(self, field) for field in _list_fields(self, FeatureType.TOKEN) if field in fields]
            for name in lists:
                self.alias.pop(name, None)
            self.alias[alias_name] = np.array(fields + [name for name in lists if name not in fields])

    patch(SequentialDataset, "_init_alias", init_alias)
    patch(SequentialDataset, "_set_alias", set_alias)


def _name_list(dataset: SequentialDataset, field: str) -> str:
    return f"{field}{dataset.config['LIST_SUFFIX']}"


def _list_fields(dataset: SequentialDataset, *types: FeatureType) -> Iterator[str]:
    """Yield the columns of these types that have a column of lists."""
    for field in dataset.inter_feat:
        if dataset.field2type[field] in types and _name_list(dataset, field) in dataset.inter_feat:
            yield field


def _check_lists(dataset: SequentialDataset) -> None:
    """Check that the lists of items are loaded, and are lists.

    Raises:
        DataError: They are not.
    """
    field, name = _name_list(dataset, dataset.iid_field), dataset.dataset_name
    file = Path(dataset.dataset_path, f"{name}.{dataset.benchmark_filename_list[0]}.inter")
    settings = dataset.config.final_config_dict
    if field not in dataset.inter_feat:
        columns = [column.name for column in read_header(file, Layout.from_settings(settings))]
        raise make_list_error(field, str(file), columns, settings)
    if (kind := dataset.field2type[field]) != FeatureType.TOKEN_SEQ:
        raise DataError(
            f"{file} line 1, column {field}: type is {kind.value}, must be token_seq: write {field}:token_seq"
        )


def _remove_padding(dataset: SequentialDataset) -> None:
    """Remove padding from lists, and warn about lists of other columns that have other lengths."""
    rows, field = dataset.inter_feat, _name_list(dataset, dataset.iid_field)
    items = set(rows[dataset.iid_field])
    if dataset.item_feat is not None:
        items.update(dataset.item_feat[dataset.iid_field])
    single = _list_fields(dataset, FeatureType.TOKEN, FeatureType.FLOAT)
    others = [name for name in map(functools.partial(_name_list, dataset), single) if name != field]
    for remark in remove_padding(rows, field, others, items):
        dataset.logger.warning(f"{dataset.dataset_name}: {remark}")
    lengths = rows[field].map(len)
    for name in (field, *others):
        dataset.field2seqlen[name] = int(rows[name].map(len).max())
        if unequal := int((rows[name].map(len) != lengths).sum()):
            dataset.logger.warning(
                f"{dataset.dataset_name}: {unequal} lists of {name} are longer or shorter than those of {field}, so "
                "that their entries belong to other items"
            )


def _drop_events_without_history(dataset: SequentialDataset) -> None:
    """Drop rows whose list of items is empty: RecBole makes no sample of a user's first event either."""
    empty = (dataset.inter_feat[_name_list(dataset, dataset.iid_field)].map(len) == 0).to_numpy()
    if not empty.any():
        return
    drop_events(dataset, empty)
    dataset.logger.warning(
        f"{dataset.dataset_name}: dropped {empty.sum()} events without earlier items in "
        f"{_name_list(dataset, dataset.iid_field)}, from which nothing can be predicted"
    )


@recbole_patch(
    "data/dataset/sequential_dataset.py 164", "benchmark lists must be called item_id_list, whatever the settings say"
)
def name_benchmark_lists(patch: Patcher) -> None:
    if "item_id_list_field" in inspect.getsource(inspect.unwrap(SequentialDataset._benchmark_presets)):
        patch(SequentialDataset, "item_id_list_field", _ListName())


class _ListName:
    """The attribute of a data set under which RecBole looks for the name of the lists of items.

    RecBole sets it only where the field is called item_id; what it sets comes before this.
    """

    def __get__(self, dataset: SequentialDataset | None, owner: type) -> object:
        return self if dataset is None else _name_list(dataset, dataset.iid_field)
