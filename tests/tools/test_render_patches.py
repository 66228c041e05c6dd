"""The page of patches shows every patch."""

import re

from recbole_samrec import compat
from tools.render_patches import render_patches


def test_render_patches__has_every_patch():
    text = render_patches().replace("\\", "")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (yes)? ?\|$", text, re.M)
    assert len(rows) == len(compat.PATCHES)
    assert {name: (where, defect, shown == "yes") for name, where, defect, shown in rows} == {
        name: (one.where, one.defect, one.silent) for name, one in compat.PATCHES.items()
    }


def test_render_patches__has_a_section_for_each_file():
    files = {one.apply.__module__.rpartition(".")[2] for one in compat.PATCHES.values()}
    assert re.findall(r"^### `compat/(\w+)\.py`$", render_patches(), re.M) == sorted(files)
