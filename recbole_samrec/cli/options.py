"""Command-line arguments and help from declared options and settings."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable
from typing import Annotated, Any, get_origin

from pydantic.fields import FieldInfo

from recbole_samrec.config.command_options import GROUPS, Options
from recbole_samrec.config.schema import MODEL_GROUPS, SHARED_GROUPS, Group, Setting, list_group_settings
from recbole_samrec.config.value_types import describe_range, describe_type, is_accepted, list_base_types, list_choices
from recbole_samrec.utils.errors import UserError


def add_options(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the options of a command to a parser.

    An option that is declared as kept is None in the result where it was not given; all others have their defaults.

    Args:
        parser: The parser of the command.
        options: The class that declares the options.
    """
    for title in GROUPS:
        chosen = [one for one in options.model_fields.items() if _extra(one[1])["group"] == title]
        if chosen:
            group = parser.add_argument_group(title)
            for name, field in chosen:
                _add_option(group, name, field)


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _add_option(group: argparse._ArgumentGroup, name: str, field: FieldInfo) -> None:
    extra = _extra(field)
    annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    default = None if extra.get("kept") else field.default
    how: dict[str, Any] = {"help": _help(field, annotation, extra.get("else_"))}
    if list_base_types(annotation) == (bool,):
        group.add_argument(f"--{name}", action="store_true", default=default, **how)
        return
    how["metavar"] = extra["metavar"]
    if get_origin(annotation) is list:
        group.add_argument(name, nargs="+", **how)
        return
    how["type"] = _reader(name, annotation)
    if field.is_required():
        group.add_argument(name, **how)
        return
    if "const" in extra:
        how |= {"nargs": "?", "const": extra["const"]}
    names = [f"--{name}", *([extra["short"]] if "short" in extra else [])]
    group.add_argument(*names, default=default, required=extra.get("needed", False), **how)


def _help(field: FieldInfo, annotation: Any, else_: str | None) -> str:
    """Return the meaning of an option, its choices or its range, and its default."""
    choices = list_choices(annotation)
    values = f": {', '.join(map(str, choices))}" if len(choices) > 1 else ""
    default = else_ or (None if isinstance(field.default, bool) or field.is_required() else field.default)
    notes = [describe_range(annotation), "" if default is None else f"default: {default}"]
    return f"{field.description}{values}" + (f" ({'; '.join(filter(None, notes))})" if any(notes) else "")


def _reader(name: str, annotation: Any) -> Callable[[str], Any]:
    """Return a function that parses the value of an option and checks it.

    It raises a UserError, which argparse passes on, and no ValueError, whose message argparse would replace.
    """
    (kind, *_) = list_base_types(annotation)

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text
        if not is_accepted(annotation, value):
            raise UserError(f"--{name}={text}: must be {describe_type(annotation)}")
        return value

    return read


def describe_settings(width: int | None = None) -> str:
    """List the settings of this package in groups, for ``run --help``.

    Args:
        width: Columns of the text; None for those of the terminal, at most 100.
    """
    width = min(shutil.get_terminal_size().columns - 2, 100) if width is None else width
    head = "Settings of this package, as --key=value. Those of RecBole and of its models can be given, too."
    groups = (_describe_group(group, width) for group in (*SHARED_GROUPS, *MODEL_GROUPS))
    return "\n\n".join([textwrap.fill(head, width), *groups])


def _describe_group(group: type[Group], width: int) -> str:
    models = f" ({', '.join(group.models)})" if group.models else ""
    return "\n".join([f"{group.heading}{models}:", *(_describe_one(one, width) for one in list_group_settings(group))])


def _describe_one(one: Setting, width: int) -> str:
    default = "~" if one.default is None else str(one.default) or "''"
    text = f"{one.about} ({describe_type(one.annotation)}; default: {default})"
    return textwrap.fill(text, width, initial_indent=f"  --{one.key:24} ", subsequent_indent=" " * 29)
