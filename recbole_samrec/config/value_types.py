"""Types of settings: check values, and describe types in messages, help and docs."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from recbole_samrec.optim.average_options import FORMS, parse_average

Count = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
"""A share that may be nothing or all."""
PositiveShare = Annotated[float, Gt(0), Le(1)]
Probability = Annotated[float, Ge(0), Lt(1)]
"""A dropout rate, or another share that is never all."""
OpenShare = Annotated[float, Gt(0), Lt(1)]
"""A share that is neither nothing nor all."""
AtLeastTwo = Annotated[int, Ge(2)]
ListOrTuple = list | tuple
Patterns = str | list[str] | tuple[str, ...]
"""Name patterns as of a shell, or one of them."""


@dataclass(frozen=True)
class Form:
    """The format of a text in words, which messages show in place of its type."""

    words: str


def _accept_average(text: str) -> str:
    parse_average(text)
    return text


Averages = Annotated[str, AfterValidator(_accept_average), Form(FORMS)]
"""Weights that are averaged, see :func:`recbole_samrec.optim.average_options.parse_average`."""

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_NOUNS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    dict: "a dictionary",
}


def is_accepted(annotation: Any, value: Any) -> bool:
    """Return True if a value has a type and is in its range; integers are accepted as numbers, True is not.

    Args:
        annotation: A type such as :data:`Count`, or a union of types.
        value: A value that was read from text or yaml.
    """
    try:
        _adapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=_STRICT)


def describe_type(annotation: Any) -> str:
    """Describe a type for people, such as ``a number in [0, 1)`` or ``one of sam, asam``."""
    words = [_describe_one(one) for one in list_alternatives(annotation)]
    return " or ".join(dict.fromkeys(words))


def list_alternatives(annotation: Any) -> list[Any]:
    """List the types of a union without None, or the type itself."""
    if get_origin(annotation) is Annotated and get_origin(annotation.__origin__) in (Union, types.UnionType):
        ranges = annotation.__metadata__
        return [Annotated[one, *ranges] for one in list_alternatives(annotation.__origin__)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [one for one in get_args(annotation) if one is not type(None)]
    return [annotation]


def has_form(annotation: Any) -> bool:
    """Return True if a type is a text of a :class:`Form`."""
    return any(_find_form(one) for one in list_alternatives(annotation))


def _find_form(annotation: Any) -> str:
    metadata = getattr(annotation, "__metadata__", ()) if get_origin(annotation) is Annotated else ()
    return next((one.words for one in metadata if isinstance(one, Form)), "")


def list_choices(annotation: Any) -> tuple[Any, ...]:
    """List the values of the literals in a type; empty for other types."""
    return tuple(
        value for one in list_alternatives(annotation) if get_origin(one) is Literal for value in get_args(one)
    )


def list_base_types(annotation: Any) -> tuple[type, ...]:
    """List the plain Python types that values of a type have."""
    found: list[type] = []
    for one in list_alternatives(annotation):
        plain = one.__origin__ if get_origin(one) is Annotated else one
        if get_origin(plain) is Literal:
            found += [type(value) for value in get_args(plain)]
        else:
            found.append(get_origin(plain) or plain)
    return tuple(dict.fromkeys(found))


def _describe_one(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return f"one of {', '.join(map(str, values))}" if len(values) > 1 else str(values[0])
    if words := _find_form(annotation):
        return words
    (base,) = list_base_types(annotation)
    noun = _NOUNS.get(base, base.__name__)
    limits = getattr(annotation, "__metadata__", ()) if get_origin(annotation) is Annotated else ()
    return f"{noun} {words}" if (words := _describe_range(limits)) else noun


def _describe_range(limits: tuple[Any, ...]) -> str:
    low = next((limit for limit in limits if isinstance(limit, Ge | Gt)), None)
    high = next((limit for limit in limits if isinstance(limit, Le | Lt)), None)
    if low is not None and high is not None:
        left = f"[{low.ge}" if isinstance(low, Ge) else f"({low.gt}"
        return f"in {left}, {high.le}]" if isinstance(high, Le) else f"in {left}, {high.lt})"
    if low is not None:
        return f"of at least {low.ge}" if isinstance(low, Ge) else f"above {low.gt}"
    if high is not None:
        return f"of at most {high.le}" if isinstance(high, Le) else f"below {high.lt}"
    return ""
