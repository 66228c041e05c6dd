"""Settings that are text keep their spelling: a folder ``2024-10-11`` is not a date, and a column ``010`` is not 8."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import yaml

from recbole_samrec.config.recbole_keys import FIELD_KEYED, TEXT_LISTS, TEXTS
from recbole_samrec.config.schema import MODEL_GROUPS, SHARED_GROUPS, list_group_settings
from recbole_samrec.config.value_types import list_base_types
from recbole_samrec.utils.settings import is_number, parse_literal

CUT = "cut"
"""Option of a split in ``eval_args``, whose dates stay as written."""
_STR, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


@functools.cache
def list_texts() -> frozenset[str]:
    """List the settings, RecBole's and ours, whose value is one text."""
    return TEXTS.union(key for key, types in _list_our_types() if set(types) == {str}) - list_text_lists()


@functools.cache
def list_text_lists() -> frozenset[str]:
    """List the settings, RecBole's and ours, whose value is a list or dictionary of texts, or one text."""
    return TEXT_LISTS.union(key for key, types in _list_our_types() if str in types and {list, tuple} & set(types))


def _list_our_types() -> Iterator[tuple[str, tuple[type, ...]]]:
    for group in (*SHARED_GROUPS, *MODEL_GROUPS):
        for one in list_group_settings(group):
            yield one.key, list_base_types(one.annotation)


def parse_value(key: str, text: str) -> Any:
    """Read the value of a setting from text without running it.

    Args:
        key: The setting.
        text: Its value: a Python literal, simple arithmetic or text. Quotation marks around a text are dropped, and
            ``None`` stands for no value.
    """
    value = parse_literal(text)
    if key in list_texts():
        return value if value is None or isinstance(value, str) else text
    if key in list_text_lists():
        return value if value is None or _is_of_texts(value, text) else _read_texts(text)
    if key == "eval_args":
        return _read_yaml(text) if isinstance(value, str) else _keep_cut(value, text)
    if key in FIELD_KEYED and isinstance(value, dict):
        return {str(field): one for field, one in value.items()}
    return value


def _is_of_texts(value: Any, text: str) -> bool:
    """Return True if a value consists of texts, and is not a list that failed to parse."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_of_texts(one, "") for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_of_texts(one, "") for one in value)
    return isinstance(value, str) and not text.lstrip().startswith(("[", "{"))


def _read_texts(text: str) -> Any:
    """Read a list or dictionary whose texts need no quotation marks, such as ``[train, 010]``."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None or isinstance(node, yaml.ScalarNode):
            return text
        keep_spelling(node)
        return yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError:
        return text


def _keep_cut(value: Any, text: str) -> Any:
    """Keep the date of a global temporal split as written, which arithmetic makes a number: 2018-11-12 is 1995."""
    try:
        written = _read_yaml(text)["split"]["GTS"][CUT]
        options = value["split"]["GTS"]
    except (KeyError, TypeError):
        return value
    if not isinstance(written, str) or is_number(written) or not isinstance(options[CUT], (int, float)):
        return value
    return {**value, "split": {**value["split"], "GTS": {**options, CUT: written}}}


def _read_yaml(text: str) -> Any:
    """Parse a dictionary in yaml syntax, such as ``{split: {GTS: {cut: 2018-01-01}}}``; else return the text itself."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            return text
        keep_texts(node)
        return yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError:
        return text


def keep_texts(node: yaml.Node) -> None:
    """Mark the values of settings that are text as text, in a yaml document before it is constructed.

    Args:
        node: Root of the document; settings may also be further down, as in a file of entries.
    """
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            keep_texts(one)
    if not isinstance(node, yaml.MappingNode):
        return
    for index, (key, value) in enumerate(node.value):
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value.endswith("_num_interval") and isinstance(value, yaml.SequenceNode):
            node.value[index] = (key, _as_written(value))  # [5,10] is an interval there, not a list
        elif key.value in list_texts() or key.value in list_text_lists() or key.value == CUT:
            keep_spelling(value)
        else:
            if key.value in FIELD_KEYED and isinstance(value, yaml.MappingNode):
                for field, _ in value.value:
                    _make_text(field)
            keep_texts(value)


def keep_spelling(node: yaml.Node) -> None:
    """Mark all values of a yaml node, and its keys, as text; null stays null."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _make_text(key)
            keep_spelling(value)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            keep_spelling(one)
    else:
        _make_text(node)


def _make_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag != _NULL and node.value != "<<":
        node.tag = _STR


def _as_written(node: yaml.Node) -> yaml.Node:
    source, start, end = node.start_mark.buffer, node.start_mark.pointer, node.end_mark.pointer
    return node if source is None else yaml.ScalarNode(_STR, source[start:end], node.start_mark, node.end_mark)
