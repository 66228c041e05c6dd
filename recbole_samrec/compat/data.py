"""Mends of how RecBole reads atomic files and fills, filters and cuts what it has read.

The pandas mends look at pandas itself, so on a pandas without the defect they patch nothing.
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
from pandas._libs.parsers import STR_NA_VALUES
from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset
from recbole.utils import FeatureType

from recbole_samrec.compat import Patcher, mend

_keep_na_tokens = contextvars.ContextVar("keep_na_tokens", default=False)


class AtomicFileReader:
    """Stands in for ``pandas`` where RecBole reads atomic files; with its attributes as below it changes nothing.

    Several mends concern the one call of ``read_csv``; each of them sets one of these attributes.
    """

    text: type = str
    """The type that text columns are read as."""

    fill_sequences: bool = False
    """Whether an empty cell of a sequence column is read as an empty text."""

    use_c_engine: bool = False
    """Whether plain files are read by pandas' C engine."""

    first_column_is_data: bool = False
    """Whether the first column is never taken for row labels, as pandas does when the first row has surplus cells."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pd, name)

    def read_csv(self, path: str, **options: Any) -> pd.DataFrame:
        """Read an atomic file; ``options`` are RecBole's, column names are ``field:type``."""
        types = options["dtype"]
        texts = [column for column, type_ in types.items() if type_ is str]
        options["dtype"] = types | dict.fromkeys(texts, self.text)
        if _keep_na_tokens.get():
            missing = {column: [""] if column in texts else sorted(STR_NA_VALUES) for column in types}
            options |= {"keep_default_na": False, "na_values": missing}
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
                return pd.read_csv(path, **options | {"engine": "c"} | _exact_floats())
            except ValueError:  # let the engine that RecBole asks for accept the file or say what is wrong with it
                pass
        return pd.read_csv(path, **options)


_READER = AtomicFileReader()
_UNUSUAL = re.compile(rb'["\0]|\r(?!\n)')


def _is_plain(path: str, separator: str, encoding: str | None) -> bool:
    """Whether both engines of pandas read a file alike: one-byte separators, no quotes or stray control characters."""
    if not separator.isascii() or len(separator.encode(encoding or "utf-8")) != 1:
        return False
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return not _UNUSUAL.search(content)


@functools.cache
def _exact_floats() -> dict[str, str]:
    """What makes the C engine read the number nearest to the text; by itself, only a recent pandas does."""
    number = "0.30000000000000004"
    read = pd.read_csv(io.StringIO(number), header=None, engine="c").iloc[0, 0]
    return {} if read == float(number) else {"float_precision": "round_trip"}


def _reader() -> AtomicFileReader:
    """Put the stand-in, which changes nothing by itself, where RecBole looks for ``pandas``."""
    dataset_module.pd = _READER
    return _READER


def _source(function: Callable) -> str:
    return inspect.getsource(inspect.unwrap(function))


def _fillna_on_a_column_is_lost() -> bool:
    frame = pd.DataFrame({"column": [np.nan]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame["column"].fillna(0.0, inplace=True)
    return bool(frame["column"].isna().any())


@mend("data/dataset/dataset.py 648, 650", "missing values stay: fillna works on a temporary column", silent=True)
def fill_missing_values(patch: Patcher) -> None:
    if _fillna_on_a_column_is_lost():
        patch(Dataset, "_fill_nan", _fill_nan)


def _fill_nan(self: Dataset) -> None:
    """Fill missing tokens with the padding id 0, numbers with their mean, sequences with an empty one."""
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
                feat[field] = [empty if isinstance(row, float) else row for row in feat[field]]


@mend("data/dataset/dataset.py 501", "empty cells of sequence columns stay missing and end in an AttributeError")
def fill_empty_sequences(patch: Patcher) -> None:
    if _fillna_on_a_column_is_lost():
        patch(_reader(), "fill_sequences", True)


def silence_pandas() -> None:
    """Ignore what pandas and torch say of RecBole's lines whose effect is mended here, or that do no harm."""
    module = re.escape("recbole.data.dataset.")
    if hasattr(pd.errors, "ChainedAssignmentError"):
        warnings.filterwarnings("ignore", category=pd.errors.ChainedAssignmentError, module=module)
    warnings.filterwarnings("ignore", category=FutureWarning, module=module)  # pandas 2.2 announces pandas 3
    # Columns are read-only views; no tensor of a data set is ever written to in place.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable", module=module)


@mend(
    "data/dataset/dataset.py 712, 792, 809, 1217; kg_dataset.py 316; sequential_dataset.py 165",
    "Series.agg(len) is one number and not the length of each row",
    silent=True,
)
def length_of_each_row(patch: Patcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(pd.Series([[1, 2], [3]]).agg(len), pd.Series):
            return
    for module in (dataset_module, kg_module, sequential_module):
        patch(module, "len", _length)


def _length(value: Any) -> Any:
    """The builtin ``len``, but each row's length for a column of sequences; RecBole passes it by name to ``agg``."""
    return value.map(len) if isinstance(value, pd.Series) and value.dtype == object else len(value)


@mend("data/dataset/dataset.py 486", "text is read as pandas' string type where later code expects Python objects")
def read_text_as_object(patch: Patcher) -> None:
    if pd.Series(["text"], dtype=str).dtype != object:
        patch(_reader(), "text", object)


@mend("data/dataset/dataset.py 486", "files are read by pandas' Python engine, several times slower than the C engine")
def read_plain_files_fast(patch: Patcher) -> None:
    if 'engine="python"' in _source(Dataset._load_feat):
        patch(_reader(), "use_c_engine", True)


@mend("data/dataset/dataset.py 486", "surplus cells in the first row shift all columns by as many", silent=True)
def read_first_column_as_data(patch: Patcher) -> None:
    if "index_col" not in _source(Dataset._load_feat):
        patch(_reader(), "first_column_is_data", True)


@mend("data/dataset/dataset.py 486", "tokens such as NA, None, null and nan are read as missing values", silent=True)
def keep_na_tokens(patch: Patcher) -> None:
    load_feat = Dataset._load_feat
    if "keep_default_na" in _source(load_feat):
        return
    _reader()

    @functools.wraps(load_feat)
    def load_keeping_na_tokens(self: Dataset, filepath: str, source: Any) -> pd.DataFrame | None:
        token = _keep_na_tokens.set(self.config["keep_na_tokens"] is not False)
        try:
            return load_feat(self, filepath, source)
        finally:
            _keep_na_tokens.reset(token)

    patch(Dataset, "_load_feat", load_keeping_na_tokens)


@mend("data/dataset/dataset.py 822-836", "labels are used as positions, so the wrong rows go", silent=True)
def drop_rows_without_user_or_item(patch: Patcher) -> None:
    if "feat.index[dropped_feat]" in _source(Dataset._filter_nan_user_or_item):
        patch(Dataset, "_filter_nan_user_or_item", _filter_nan_user_or_item)


def _filter_nan_user_or_item(self: Dataset) -> None:
    """Remove the rows whose user or item is missing, and say once how many went from where."""
    fields = {"user_feat": [self.uid_field], "item_feat": [self.iid_field]}
    fields["inter_feat"] = fields["user_feat"] + fields["item_feat"]
    gone = []
    for name, ids in fields.items():
        feat = getattr(self, name)
        ids = [field for field in ids if field is not None]
        if feat is None or not ids:
            continue
        missing = feat.index[feat[ids].isna().any(axis=1)]
        feat.drop(missing, inplace=True)
        if number := missing.size:
            gone.append(f"{number} of {number + feat.shape[0]} rows of {name} ({' or '.join(ids)} is empty)")
    if gone:
        rows = "; ".join(gone)
        self.logger.warning(f"Data set [{self.dataset_name}]: removed {rows}. Fill the empty cells to keep them.")


@mend("data/dataset/sequential_dataset.py 155", "lists of benchmark files may exceed MAX_ITEM_LIST_LENGTH")
def cut_benchmark_lists(patch: Patcher) -> None:
    presets = SequentialDataset._benchmark_presets
    if "MAX_ITEM_LIST_LENGTH" in _source(presets) or "max_item_list_len" in _source(presets):
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
            rows = dataset.inter_feat[field + suffix]
            # A numerical feature's row is a pair of equally long arrays.
            dataset.inter_feat[field + suffix] = [
                tuple(part[-longest:] for part in row) if isinstance(row, tuple) else row[-longest:] for row in rows
            ]
            dataset.field2seqlen[field + suffix] = min(longest, dataset.field2seqlen[field + suffix])


_FILTERS = {
    "rm_dup_inter": (None,),
    "val_interval": (None,),
    "user_inter_num_interval": (None, "[0,inf)"),
    "item_inter_num_interval": (None, "[0,inf)"),
}
"""RecBole's filters and the settings with which they let everything pass."""


@mend("data/dataset/dataset.py 162", "benchmark files skip every filter without a word", silent=True)
def say_that_benchmark_files_are_not_filtered(patch: Patcher) -> None:
    process = Dataset._data_processing

    @functools.wraps(process)
    def process_and_say(self: Dataset) -> None:
        filters = [key for key, idle in _FILTERS.items() if self.config[key] not in idle]
        if self.benchmark_filename_list is not None and filters:
            self.logger.warning(
                f"Data set [{self.dataset_name}]: {', '.join(filters)} did nothing, because RecBole does not filter "
                f"benchmark files {list(self.benchmark_filename_list)}. Filter the files themselves."
            )
        process(self)

    patch(Dataset, "_data_processing", process_and_say)


@mend("data/dataset/kg_dataset.py 92, 188", "interactions keep gaps in their row labels, on which sequence fields fail")
def number_rows_after_link_filter(patch: Patcher) -> None:
    filtering = KnowledgeBasedDataset._data_filtering
    if "_reset_index" in _source(filtering):
        return

    @functools.wraps(filtering)
    def filter_and_number(self: KnowledgeBasedDataset) -> None:
        filtering(self)
        self._reset_index()

    patch(KnowledgeBasedDataset, "_data_filtering", filter_and_number)
