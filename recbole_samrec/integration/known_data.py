"""Read a data set with the internal ids and the row order of the run that was trained on it.

RecBole numbers tokens by their first appearance in the files. If a file is rewritten with its rows in another order,
every item gets a new id, and stored weights would be applied to the wrong items. A run stores its tokens and its order
of rows. If ``known_data`` in the configuration is the folder of a run, ``create_dataset`` returns the data set of that
run, or reports the changes.
"""

from __future__ import annotations

import contextvars
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_samrec.data.benchmark import drop_events
from recbole_samrec.data.files import hash_attributes, hash_interactions
from recbole_samrec.data.row_order import ROWS, RowOrder, TableOrder, list_tables, load_row_order, number_parts
from recbole_samrec.data.vocabulary import TOKENS, Vocabulary, load_vocabulary
from recbole_samrec.utils.errors import CheckpointError, DataError

DROP = "drop"
"""Value of the setting ``changed_data`` with which unknown tokens are left out instead of refused."""

_RESULT = "result.json"


@dataclass
class DataChanges:
    """Differences between a data set and the one that a run was trained on.

    Args:
        new: Number of tokens of the data that the run does not have, by field; only fields with such tokens.
        gone: Number of tokens of the run that the data do not have, by field.
        dropped: Number of events that were left out, because their user or item is new.
        events: Number of events.
        rows_differ: True if users and items are the same, but not their events.
    """

    new: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    events: int = 0
    rows_differ: bool = False

    def describe(self, dataset: Any) -> list[str]:
        """Describe new users and items, missing ones, and different events, in a line each."""
        lines = []
        if self.new:
            lines.append(f"{list_counts(self.new, dataset)} that the run does not know")
        if self.gone:
            lines.append(f"no {list_counts(self.gone, dataset)} that the run knows")
        if self.rows_differ:
            lines.append("other events of the same users and items")
        return lines


def list_counts(counts: dict[str, int], dataset: Any) -> str:
    """Format numbers of tokens, such as ``3 users and 1 item``."""
    nouns = {dataset.uid_field: "user", dataset.iid_field: "item"}
    parts = []
    for name, count in counts.items():
        noun = nouns.get(name)
        ending = "" if count == 1 else "s"
        parts.append(f"{count:,} {noun}{ending}" if noun else f"{count:,} value{ending} of {name}")
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"


@dataclass
class _Known:
    """Ids and row order of a run, for use while RecBole reads the data again."""

    folder: Path
    vocabulary: Vocabulary
    rows: RowOrder
    drop: bool
    changes: DataChanges = field(default_factory=DataChanges)


# RecBole numbers the tokens inside the constructor of its data set and passes nothing on.
_known: contextvars.ContextVar[_Known | None] = contextvars.ContextVar("known_data", default=None)
_CHANGES: WeakKeyDictionary[Any, DataChanges] = WeakKeyDictionary()


def find_changes(dataset: Any) -> DataChanges:
    """Return the differences between a data set that was read with ``known_data`` and that of the run."""
    return _CHANGES.get(dataset, DataChanges())


def read_known_data(create: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap RecBole's ``create_dataset`` so that ``known_data`` decides about ids and order."""

    @functools.wraps(create)
    def create_dataset(config: Any) -> Any:
        folder = config["known_data"] and Path(config["known_data"])
        if not folder:
            return create(config)
        if not (folder / TOKENS).exists():
            _check_hash(config, folder)
            return create(config)
        try:
            stored = load_vocabulary(folder / TOKENS), load_row_order(folder / ROWS)
        except CheckpointError as error:
            if not _is_unchanged(config, folder):
                raise
            getLogger().warning(f"{error}; its data have not changed since (sha256), so it can be used all the same")
            return create(config)
        known = _Known(folder, *stored, config["changed_data"] == DROP)
        token = _known.set(known)
        try:
            dataset = create(config)
        finally:
            _known.reset(token)
        _check_tokens(dataset, known)
        _restore_rows(dataset, known)
        _CHANGES[dataset] = known.changes
        return dataset

    return create_dataset


def _check_hash(config: Any, folder: Path) -> None:
    """Compare the hash of the data with that in the record of a run that stores no tokens.

    Raises:
        DataError: They differ.
    """
    trained_on = _read_hashes(folder)
    if trained_on is None:
        return  # a run without a record, or one made by RecBole
    if hash_interactions(config) != trained_on[0]:
        raise DataError(
            f"{folder}: {config['dataset']} has changed since the run was trained (sha256), and the run stores no "
            "tokens by which its ids could be found; name the data it was trained on by --data_path, or train it again"
        )


def _is_unchanged(config: Any, folder: Path) -> bool:
    """Return True if the record of a run has the hashes of the data, so that ids and rows are as they were."""
    return _read_hashes(folder) == (hash_interactions(config), hash_attributes(config))


def _read_hashes(folder: Path) -> tuple[str, str | None] | None:
    """Read the hashes of interactions and attributes in the record of a run; None if there is none."""
    try:
        data = json.loads((folder / _RESULT).read_text(encoding="utf-8"))["data"]
        return data["sha256"], data.get("attributes_sha256")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _check_tokens(dataset: Any, known: _Known) -> None:
    """Raise an error if the data set has other ids after all, as one that RecBole unpickles may have."""
    for name, tokens in known.vocabulary.tokens.items():
        found = dataset.field2id_token.get(name, np.zeros(0))
        if not np.array_equal(found[: len(tokens)].astype(str), tokens.astype(str)):
            raise CheckpointError(
                f"{known.folder}: {name} has other internal ids than the run was trained with; if the data come from "
                "dataset_save_path or dataloaders_save_path, leave these settings out"
            )


def _restore_rows(dataset: Any, known: _Known) -> None:
    """Put the rows in the order of the run where the files have changed.

    Raises:
        DataError: There are other events.
    """
    stored, changes = known.rows, known.changes
    changes.events = len(dataset.inter_feat)
    if stored.sha256 == hash_interactions(dataset.config) and not changes.new and not changes.gone:
        return
    for name, keys in list_tables(dataset).items():
        table, before = number_parts(dataset, name), stored.tables.get(name)
        now = TableOrder.of(table, keys)
        if before is not None and before.digest == now.digest:
            setattr(dataset, name, before.restore(getattr(dataset, name), now))
        elif not changes.new and not changes.gone:
            changes.rows_differ = True
    if changes.rows_differ and not known.drop:
        raise _make_error(dataset, known)


def _make_error(dataset: Any, known: _Known) -> DataError:
    changes = "; ".join(known.changes.describe(dataset))
    return DataError(
        f"{known.folder}: {dataset.dataset_name} is not the data that the run was trained on: it has {changes}; name "
        "the data it was trained on by --data_path, or train a new run; evaluate --changed_data=drop scores the known "
        "users and items all the same"
    )


def remap_all_known(remap: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap RecBole's ``Dataset._remap_ID_all``: compare tokens first, and drop unknown ones last."""

    @functools.wraps(remap)
    def remap_all(self: Any) -> None:
        known = _known.get()
        if known is None:
            remap(self)
            return
        _restore_links(self, known)
        _compare(self, known)
        if (known.changes.new or known.changes.gone) and not known.drop:
            raise _make_error(self, known)
        remap(self)
        if known.changes.new:
            _drop_unknown(self, known.changes)

    return remap_all


def remap_known(remap: Callable[[Any, list], None]) -> Callable[[Any, list], None]:
    """Wrap RecBole's ``Dataset._remap``: tokens of known fields have their known ids, unknown ones have id 0."""

    @functools.wraps(remap)
    def remap_list(self: Any, remap_list: list) -> None:
        known = _known.get()
        tokens = None if known is None else _find_tokens(self, known, [name for _, name, _ in remap_list])
        if known is None or tokens is None:
            remap(self, remap_list)
            return
        values, splits = self._concat_remaped_tokens(remap_list)
        if self.uid_field in [name for _, name, _ in remap_list] and self.uid_field not in known.vocabulary.read:
            tokens = np.concatenate((tokens, _list_new(values, tokens)))
        ids = np.split(pd.Index(tokens[1:]).get_indexer(values) + 1, splits)
        numbers = {token: number for number, token in enumerate(tokens)}
        for (table, name, kind), of_field in zip(remap_list, ids, strict=True):
            self.field2id_token[name], self.field2token_id[name] = tokens, numbers
            if kind == FeatureType.TOKEN_SEQ:
                table[name] = np.split(of_field, np.cumsum([len(cell) for cell in table[name]])[:-1])
            else:
                table[name] = of_field

    return remap_list


def _list_new(values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """List the unknown tokens among values, each once; missing values are not tokens."""
    unique = pd.unique(pd.Series(values, dtype=object).dropna())
    return unique[~pd.Index(unique).isin(tokens)]


def _find_tokens(dataset: Any, known: _Known, names: list[str]) -> np.ndarray | None:
    """Find the known tokens of fields that share their ids, as RecBole numbers them before it joins item and entity."""
    name = _find_name(dataset, known, names)
    if name is None:
        return None
    tokens = known.vocabulary.tokens[name]
    if name == getattr(dataset, "relation_field", None):
        return _strip_added_relations(tokens, dataset)
    if name == getattr(dataset, "entity_field", None):
        return _strip_items(tokens, known.vocabulary.tokens[dataset.iid_field], dataset)
    return tokens


def _find_name(dataset: Any, known: _Known, names: list[str]) -> str | None:
    """Find the name under which the tokens of fields that share their ids are stored."""
    if getattr(dataset, "head_entity_field", None) in names:
        names = [dataset.entity_field]  # RecBole's name for head and tail together
    return next((name for name in names if name in known.vocabulary.tokens), None)


def _strip_added_relations(tokens: np.ndarray, dataset: Any) -> np.ndarray:
    """Remove the reversed relations and that between users and items, which RecBole adds at the end."""
    own = tokens[:-1]
    return own[: 1 + (len(own) - 1) // 2] if dataset.kg_reverse_r else own


def _strip_items(tokens: np.ndarray, items: np.ndarray, dataset: Any) -> np.ndarray:
    """Remove the items without an entity, which RecBole stores in place of the first entities."""
    placeholder = np.zeros(len(tokens), dtype=bool)
    placeholder[1 : len(items)] = [item not in dataset.item2entity for item in items[1:]]
    return tokens[~placeholder]


def _restore_links(dataset: Any, known: _Known) -> None:
    """Restore the links of items to entities: RecBole drops the links of items without events."""
    entities = known.vocabulary.tokens.get(getattr(dataset, "entity_field", None) or "")
    if entities is None:
        return
    items, linked = known.vocabulary.tokens[dataset.iid_field], dataset.item2entity
    pairs = zip(items[1:], entities[1 : len(items)], strict=True)
    dataset.item2entity = {item: entity for item, entity in pairs if item != entity or item in linked}
    dataset.entity2item = {entity: item for item, entity in dataset.item2entity.items()}


def _compare(dataset: Any, known: _Known) -> None:
    """Count the new tokens of known fields, and the missing ones."""
    groups = [*map(list, dataset.alias.values()), *([name] for name in dataset._rest_fields)]
    for names in groups:
        remap_list = dataset._get_remap_list(np.array(names))
        tokens = _find_tokens(dataset, known, names) if remap_list else None
        if tokens is None:
            continue
        values, _ = dataset._concat_remaped_tokens(remap_list)
        name = str(_find_name(dataset, known, names))
        gone = int((~np.isin(tokens[1:].astype(object), pd.unique(values))).sum())
        for count, counts in ((len(_list_new(values, tokens)), known.changes.new), (gone, known.changes.gone)):
            if count:
                counts[name] = count


def _drop_unknown(dataset: Any, changes: DataChanges) -> None:
    """Drop the rows of unknown users, items, entities and relations, and unknown tokens of sequences."""
    names = [dataset.uid_field, dataset.iid_field]
    names += [getattr(dataset, f"{part}_field", None) for part in ("head_entity", "tail_entity", "relation")]
    before = len(dataset.inter_feat)
    for table_name in dataset.feat_name_list:
        table = getattr(dataset, table_name)
        unknown = np.zeros(len(table), dtype=bool)
        for name in table:
            if name in names:
                unknown |= (table[name] == 0).to_numpy()
            elif dataset.field2type[name] == FeatureType.TOKEN_SEQ:
                table[name] = [cell[cell != 0] for cell in table[name]]
        if table_name == "inter_feat":
            drop_events(dataset, unknown)
        else:
            setattr(dataset, table_name, table[~unknown].reset_index(drop=True))
    changes.dropped = before - len(dataset.inter_feat)
    if dataset.inter_feat.empty:
        raise DataError(f"{dataset.dataset_name}: none of its events has a user and an item that the run knows")
