"""The code of a model: its location, the method that it implements, and its departures, from the docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, replace

from recbole.utils import get_model

from recbole_samrec.compat import PATCHES
from recbole_samrec.config.schema import ABOUT_MODELS
from recbole_samrec.integration.registry import MODELS
from recbole_samrec.utils.errors import UserError

_WITHOUT_SAM = {"SAMRec": "SASRec"}
"""Models of ours that are models of RecBole when they are trained without SAM."""
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
_IDENTIFIER = re.compile(r"arXiv \d{4}\.\d{4,5}|doi [\w./]+|https://[\w./-]+")
_REFERENCE = re.compile(r"Reference(?: code)?:\s*\n?(.*?)(?=\n\s*\n|\n\s*Reference|\Z)", re.DOTALL)


@dataclass(frozen=True)
class ModelSource:
    """The code of a model.

    Attributes:
        module: The module that it is in.
        source: Papers and code that it implements, as its docstring names them; empty if it names none.
        departures: How it departs from its source, as its docstring states; empty if it states nothing.
        patches: Names of our patches that change the model itself.
    """

    module: str
    source: str = ""
    departures: str = ""
    patches: tuple[str, ...] = ()


def find_source(model: str, *, with_sam: bool = True) -> ModelSource:
    """Find the code of a model by its name: RecBole's, ours or a registered one.

    Args:
        model: The name of the model.
        with_sam: Whether it is trained with SAM. Without it, SAMRec is SASRec, and its source is that of SASRec.
    """
    try:
        model_class = get_model(model)
    except (UserError, ImportError):  # the user's own model, or one whose package is not installed
        return ModelSource("not installed")
    module = model_class.__module__
    documented = inspect.getdoc(model_class) or ""
    if not with_sam and (plain := _WITHOUT_SAM.get(model)):
        return replace(find_source(plain), module=module)
    if model in MODELS:
        sources = dict.fromkeys(_IDENTIFIER.findall(_join_lines(documented)))
        return ModelSource(module, ", ".join(sources), _find_departures(documented))
    if not module.startswith("recbole."):
        return ModelSource(module, departures=_find_departures(documented))
    references = _REFERENCE.findall(inspect.getdoc(sys.modules[module]) or "")
    file = f"{module.rpartition('.')[2]}.py"
    patches = tuple(one.name for one in PATCHES.values() if f"/{file}" in one.where)
    return ModelSource(module, "; ".join(map(_join_lines, references)), ABOUT_MODELS.get(model, ""), patches)


def _find_departures(documented: str) -> str:
    """Return the paragraph of a docstring that begins with "Departures", without markup."""
    paragraphs = documented.split("\n\n")
    found = next((one for one in paragraphs if one.lstrip().startswith("Departures")), "")
    return _ROLE.sub(r"\1", _join_lines(found)).replace("`", "")


def _join_lines(text: str) -> str:
    return " ".join(text.split())
