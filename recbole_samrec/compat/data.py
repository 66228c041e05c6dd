"""Patches of how RecBole reads atomic files, and how it fills, filters and cuts columns.

The patches for pandas test the behavior of pandas itself, so they change nothing on a version without the defect.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import io
import mmap
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import recbole.data.dataset.dataset as dataset_module
import recbole.data.dataset.kg_dataset as kg_module
import recbole.data.dataset.sequential_dataset as sequential_module
from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset
from recbole.utils import FeatureType

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.data.features import check_numbers
from recbole_samrec.data.validate.read import list_missing_words, read_by_python
from recbole_samrec.utils.exact_floats import exact_floats

_keep_na_tokens = contextvars.ContextVar("keep_na_tokens", default=False)


class AtomicFileReader:
    """Proxy of ``pandas`` where RecBole reads atomic files; with the attribute defaults below it changes nothing.

    Several patches concern the one call of ``read_csv``; each of them sets one of these attributes.
    """

    text: type = str
    """Type that text columns are read as."""

    fill_sequences: bool = False
    """True to read an empty cell of a sequence column as an empty text."""

    use_c_engine: bool = False
    """True to read plain files by pandas' C engine."""

    convert_large_numbers: bool = False
    """True to read integers that pandas' Python engine does not convert."""

    first_column_is_data: bool = False
    """True to read the first column as data, not as row labels, when the first line has surplus cells."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pd, name)

    def read_csv(self, path: str, **options: Any) -> pd.DataFrame:
        """Read an atomic file; ``options`` are RecBole's, column names are ``field:type``."""
        types = options["dtype"]
        texts = [column for column, type_ in types.items() if type_ is str]
        options["dtype"] = types | dict.fromkeys(texts, self.text)
        if _keep_na_tokens.get():
            options |= {"keep_default_na": False, "na_values": list_missing_words(types, texts)}
        if self.first_column_is_data:
            options["index_col"] = False
        frame = self._read(path, options)
        if self.fill_sequences:
            sequences = [column for column in frame if column.endswith("_seq")]
            frame[sequences] = frame[sequences].fillna("")
        return frame

    def _read(self, path: str, options: dict[str, Any]) -> pd.DataFrame:
        if self.use_c_engine and _is_plain(path, options["delimiter"], options["encoding"]):
            try:
                return pd.read_csv(path, **options | {"engine": "c"} | exact_floats())
            except ValueError:  # the engine that RecBole requests accepts the file or reports its error
                pass
        return read_by_python(path, options) if self.convert_large_numbers else pd.read_csv(path, **options)


_READER = AtomicFileReader()
_UNUSUAL = re.compile(rb'["\0]|\r(?!\n)')


def _is_plain(path: str, separator: str, encoding: str | None) -> bool:
    """Return True if both engines of pandas read a file alike: one-byte separators, no quotes or control characters."""
    if not separator.isascii() or len(separator.encode(encoding or "utf-8")) != 1:
        return False
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return not _UNUSUAL.search(content)


def _install_reader() -> AtomicFileReader:
    """Install the proxy, which changes nothing by itself, where RecBole looks for ``pandas``."""
    dataset_module.pd = _READER
    return _READER


def _read_source(function: Callable) -> str:
    return inspect.getsource(inspect.unwrap(function))


def _loses_fillna_on_column() -> bool:
    frame = pd.DataFrame({"column": [np.nan]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame["column"].fillna(0.0, inplace=True)
    return bool(frame["column"].isna().any())


@recbole_patch(
    "data/dataset/dataset.py 648, 650", "missing values stay: fillna works on a temporary column", silent=True
)
def fill_missing_values(patch: Patcher) -> None:
    if _loses_fillna_on_column():
        patch(Dataset, "_fill_nan", _fill_nan)


def _fill_nan(self: Dataset) -> None:
    """Fill missing tokens with the padding id 0, numbers with their mean, sequences with an empty sequence."""
    for name in self.feat_name_list:
        feat = getattr(self, name)
        for field in feat:
            kind = self.field2type[field]
            if kind == FeatureType.TOKEN:
                feat[field] = feat[field].fillna(0)
            elif kind == FeatureType.FLOAT:
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64)
                feat[field] = [empty if isinstance(cell, float) else cell for cell in feat[field]]


@recbole_patch(
    "data/dataset/dataset.py 501", "empty cells of sequence columns stay missing and raise an AttributeError"
)
def fill_empty_sequences(patch: Patcher) -> None:
    if _loses_fillna_on_column():
        patch(_install_reader(), "fill_sequences", True)


def silence_pandas() -> None:
    """Ignore warnings of pandas and torch about code of RecBole that is patched here or harmless."""
    module = re.escape("recbole.data.dataset.")
    if hasattr(pd.errors, "ChainedAssignmentError"):
        warnings.filterwarnings("ignore", category=pd.errors.ChainedAssignmentError, module=module)
    warnings.filterwarnings("ignore", category=FutureWarning, module=module)  # pandas 2.2 announces pandas 3
    # Columns are read-only views; no tensor of a data set is ever written to in place.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable", module=module)


@recbole_patch(
    "data/dataset/dataset.py 712, 792, 809, 1217; kg_dataset.py 316; sequential_dataset.py 165",
    "Series.agg(len) returns one number instead of the length of each cell",
    silent=True,
)
def return_length_of_each_row(patch: Patcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(pd.Series([[1, 2], [3]]).agg(len), pd.Series):
            return
    for module in (dataset_module, kg_module, sequential_module):
        patch(module, "len", _measure)


def _measure(value: Any) -> Any:
    """Act as ``len``, but return the length of each cell of a column of sequences; RecBole passes it to ``agg``."""
    return value.map(len) if isinstance(value, pd.Series) and value.dtype == object else len(value)


@recbole_patch(
    "data/dataset/dataset.py 486", "text is read as pandas' string type where later code expects Python objects"
)
def read_text_as_object(patch: Patcher) -> None:
    if pd.Series(["text"], dtype=str).dtype != object:
        patch(_install_reader(), "text", object)


@recbole_patch(
    "data/dataset/dataset.py 486", "files are read by pandas' Python engine, several times slower than the C engine"
)
def read_plain_files_fast(patch: Patcher) -> None:
    if 'engine="python"' in _read_source(Dataset._load_feat):
        patch(_install_reader(), "use_c_engine", True)


@recbole_patch("data/dataset/dataset.py 486", "integers from 2**63 in a column of numbers with missing cells fail")
def read_large_integers(patch: Patcher) -> None:
    try:
        pd.read_csv(io.StringIO("a,b\n9223372036854775808,x\n,y\n"), engine="python", dtype={"a": np.float64})
    except ValueError:
        patch(_install_reader(), "convert_large_numbers", True)


@recbole_patch("data/dataset/dataset.py 486", "surplus cells in the first row shift all columns", silent=True)
def read_first_column_as_data(patch: Patcher) -> None:
    if "index_col" not in _read_source(Dataset._load_feat):
        patch(_install_reader(), "first_column_is_data", True)


@recbole_patch(
    "data/dataset/dataset.py 486", "tokens such as NA, None, null and nan are read as missing values", silent=True
)
def keep_na_tokens(patch: Patcher) -> None:
    load_feat = Dataset._load_feat
    if "keep_default_na" in _read_source(load_feat):
        return
    _install_reader()

    @functools.wraps(load_feat)
    def load_keeping_na_tokens(self: Dataset, filepath: str, source: Any) -> pd.DataFrame | None:
        token = _keep_na_tokens.set(self.config["keep_na_tokens"] is not False)
        try:
            return load_feat(self, filepath, source)
        finally:
            _keep_na_tokens.reset(token)

    patch(Dataset, "_load_feat", load_keeping_na_tokens)


@recbole_patch(
    "data/dataset/dataset.py 822-836", "labels are used as positions, so the wrong rows are dropped", silent=True
)
def drop_rows_without_user_or_item(patch: Patcher) -> None:
    if "feat.index[dropped_feat]" in _read_source(Dataset._filter_nan_user_or_item):
        patch(Dataset, "_filter_nan_user_or_item", _filter_nan_user_or_item)


def _filter_nan_user_or_item(self: Dataset) -> None:
    """Remove the rows without a user or an item, and warn once with the number of removed rows per table."""
    fields = {"user_feat": [self.uid_field], "item_feat": [self.iid_field]}
    fields["inter_feat"] = fields["user_feat"] + fields["item_feat"]
    removed = []
    for name, ids in fields.items():
        feat = getattr(self, name)
        ids = [field for field in ids if field is not None]
        if feat is None or not ids:
            continue
        missing = feat.index[feat[ids].isna().any(axis=1)]
        feat.drop(missing, inplace=True)
        if number := missing.size:
            removed.append(f"{number} of {number + feat.shape[0]} rows of {name} ({' or '.join(ids)} is empty)")
    if removed:
        counts = "; ".join(removed)
        self.logger.warning(f"Data set [{self.dataset_name}]: removed {counts}. Fill the empty cells to keep them.")


@recbole_patch("data/dataset/sequential_dataset.py 155", "lists of benchmark files may exceed MAX_ITEM_LIST_LENGTH")
def cut_benchmark_lists(patch: Patcher) -> None:
    presets = SequentialDataset._benchmark_presets
    if "MAX_ITEM_LIST_LENGTH" in _read_source(presets) or "max_item_list_len" in _read_source(presets):
        return

    @functools.wraps(presets)
    def cut_and_preset(self: SequentialDataset) -> None:
        _cut_lists(self)
        presets(self)

    patch(SequentialDataset, "_benchmark_presets", cut_and_preset)


def _cut_lists(dataset: SequentialDataset) -> None:
    """Keep the last ``MAX_ITEM_LIST_LENGTH`` entries of every list field, as RecBole's own augmentation does."""
    longest, suffix = dataset.max_item_list_len, dataset.config["LIST_SUFFIX"]
    for field in dataset.inter_feat:
        if field + suffix in dataset.inter_feat:
            lists = dataset.inter_feat[field + suffix]
            # The list of a numerical feature is a pair of equally long arrays.
            dataset.inter_feat[field + suffix] = [
                tuple(part[-longest:] for part in cell) if isinstance(cell, tuple) else cell[-longest:]
                for cell in lists
            ]
            dataset.field2seqlen[field + suffix] = min(longest, dataset.field2seqlen[field + suffix])


_FILTERS = {
    "rm_dup_inter": (None,),
    "val_interval": (None,),
    "user_inter_num_interval": (None, "[0,inf)"),
    "item_inter_num_interval": (None, "[0,inf)"),
}
"""RecBole's filters and the settings with which they remove nothing."""


@recbole_patch("data/dataset/dataset.py 162", "benchmark files skip every filter without a warning", silent=True)
def warn_of_unfiltered_benchmark_files(patch: Patcher) -> None:
    process = Dataset._data_processing

    @functools.wraps(process)
    def warn_and_process(self: Dataset) -> None:
        filters = [key for key, idle in _FILTERS.items() if self.config[key] not in idle]
        if self.benchmark_filename_list is not None and filters:
            self.logger.warning(
                f"Data set [{self.dataset_name}]: {', '.join(filters)} had no effect, because RecBole does not filter "
                f"benchmark files {list(self.benchmark_filename_list)}. Filter the files themselves."
            )
        process(self)

    patch(Dataset, "_data_processing", warn_and_process)


@recbole_patch("data/dataset/kg_dataset.py 92, 188", "gaps in the row labels of interactions make sequence fields fail")
def number_rows_after_link_filter(patch: Patcher) -> None:
    filtering = KnowledgeBasedDataset._data_filtering
    if "_reset_index" in _read_source(filtering):
        return

    @functools.wraps(filtering)
    def filter_and_number(self: KnowledgeBasedDataset) -> None:
        filtering(self)
        self._reset_index()

    patch(KnowledgeBasedDataset, "_data_filtering", filter_and_number)


@recbole_patch("data/dataset/dataset.py 741", "numerical_features of another type fail without naming the setting")
def check_numerical_features(patch: Patcher) -> None:
    discretize = Dataset._discretization

    @functools.wraps(discretize)
    def check_and_discretize(self: Dataset) -> None:
        check_numbers(self.config, self)
        discretize(self)

    patch(Dataset, "_discretization", check_and_discretize)
