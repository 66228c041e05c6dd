"""Command-line arguments and help from declared options and settings."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import Annotated, Any

from recbole_samrec.config.command_options import Options
from recbole_samrec.config.schema import MODEL_GROUPS, SHARED_GROUPS, Group, Setting, list_group_settings
from recbole_samrec.config.value_types import describe_type, is_accepted, list_base_types, list_choices
from recbole_samrec.utils.errors import UserError


def add_options(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the options of a command to a parser.

    An option that a search keeps is None in the result where it was not given; all others have their defaults.

    Args:
        parser: The parser of the command.
        options: The class that declares the options.
    """
    for name, field in options.model_fields.items():
        extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        if list_base_types(annotation) == (bool,):
            parser.add_argument(f"--{name}", action="store_true", help=field.description)
            continue
        how: dict[str, Any] = {"metavar": extra["metavar"] or None}
        if field.is_required():
            parser.add_argument(name, nargs="+", help=field.description, **how)
            continue
        if "const" in extra:
            how |= {"nargs": "?", "const": extra["const"]}
        names = [f"--{name}", *([extra["short"]] if "short" in extra else [])]
        default = None if extra.get("kept") else field.default
        words = _help(field.description or "", annotation, extra.get("else_") or field.default)
        parser.add_argument(*names, type=_reader(name, annotation), default=default, help=words, **how)


def _help(about: str, annotation: Any, default: Any) -> str:
    values = f": {', '.join(map(str, list_choices(annotation)))}" if len(list_choices(annotation)) > 1 else ""
    return about + values + ("" if default is None else f" (default: {default})")


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


def describe_settings(width: int = 100) -> str:
    """List the settings of this package in groups, for ``run --help``.

    Args:
        width: Columns of the text.
    """
    head = "settings of this package, as --key=value; those of RecBole and of its models work too"
    return "\n\n".join([head, *(_describe_group(group, width) for group in (*SHARED_GROUPS, *MODEL_GROUPS))])


def _describe_group(group: type[Group], width: int) -> str:
    models = f" ({', '.join(group.models)})" if group.models else ""
    return "\n".join([f"{group.heading}{models}:", *(_describe_one(one, width) for one in list_group_settings(group))])


def _describe_one(one: Setting, width: int) -> str:
    default = "~" if one.default is None else str(one.default) or "''"
    text = f"{one.about} ({describe_type(one.annotation)}; default: {default})"
    return textwrap.fill(text, width, initial_indent=f"  --{one.key:24} ", subsequent_indent=" " * 29)
