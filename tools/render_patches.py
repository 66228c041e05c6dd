"""The patches of RecBole as tables, read from the code, for the page of patches."""

from __future__ import annotations

import sys
from itertools import groupby

from recbole_samrec import compat
from recbole_samrec.compat import Patch
from tools.markdown import code, escape, make_table

HEAD = ("patch", "in RecBole", "without it", "silent")


def render_patches() -> str:
    """Return the number of patches, and a section for each file of ``compat/``."""
    patches = sorted(compat.PATCHES.values(), key=_module)
    silent = sum(one.silent for one in patches)
    parts = [f"There are {len(patches)} patches; {silent} of the defects are silent.\n"]
    for module, group in groupby(patches, _module):
        summary = (sys.modules[module].__doc__ or "").partition("\n")[0].replace("``", "`")
        parts.append(f"### `compat/{module.rpartition('.')[2]}.py`\n\n{summary}\n")
        parts.append(make_table(HEAD, map(_show, group)))
    return "\n".join(parts)


def _module(patch: Patch) -> str:
    return patch.apply.__module__


def _show(patch: Patch) -> tuple[str, ...]:
    return code(patch.name), escape(patch.where), escape(patch.defect), "yes" if patch.silent else ""
