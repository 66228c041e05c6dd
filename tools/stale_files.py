"""Writing of generated files: only those whose text has changed, or with ``check`` a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_stale(texts: Mapping[Path, str], root: Path, command: str, check: bool) -> int:
    """Write the files that are not up to date, or only list them.

    Args:
        texts: Text of each file.
        root: Folder relative to which files are named.
        command: Command that writes them, for messages.
        check: True to list the files and write nothing.

    Returns:
        1 if ``check`` found a file that is not up to date, else 0.
    """
    stale = [file for file, text in texts.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        name = file.relative_to(root).as_posix()
        if check:
            print(f"{name} is not up to date; run {command}")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[file], encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0
