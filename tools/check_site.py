"""Check a built documentation site: ``python -m tools.check_site build/docs``.

Every link to a page, a file or an anchor of the site has to lead somewhere, and nothing may be loaded from elsewhere,
so that the site can be read without a network.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

TAG = re.compile(r"<(?P<tag>a|img|script|link|source|iframe|object|form)\b(?P<rest>[^>]*)>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""\b(?P<name>href|src|action|data)=(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')""")
RELATION = re.compile(r"""\brel=["']([^"']*)["']""")
LOADED = re.compile(r"""@import\s+["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|src:\s*url\(\s*["']?//""")


def check_site(folder: Path) -> list[str]:
    """List the problems of a site, one line each.

    Args:
        folder: Folder of the built site.
    """
    problems = [problem for page in sorted(folder.rglob("*.html")) for problem in _check_page(page, folder)]
    sheets = [sheet for sheet in sorted(folder.rglob("*.css")) if LOADED.search(sheet.read_text(encoding="utf-8"))]
    return problems + [f"{sheet.relative_to(folder)}: loads something from elsewhere" for sheet in sheets]


def _check_page(page: Path, folder: Path) -> Iterator[str]:
    shown = page.relative_to(folder)
    for tag in TAG.finditer(page.read_text(encoding="utf-8")):
        follows = tag["tag"] == "a" or (tag["tag"] == "link" and _only_names(tag["rest"]))
        for found in ATTRIBUTE.finditer(tag["rest"]):
            target = unescape(found["double"] or found["single"] or "")
            parts = urlsplit(target)
            if parts.scheme == "data" or parts.scheme == "mailto":
                continue
            if parts.scheme or parts.netloc:
                if not follows:
                    yield f"{shown}: loads {target}"
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                yield f"{shown}: {target} leads to no file"
            elif parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in _list_anchors(file):
                yield f"{shown}: {target} leads to no anchor"


def _only_names(attributes: str) -> bool:
    """True if a ``link`` names a page, such as the next one, and loads nothing."""
    relation = RELATION.search(attributes)
    return relation is not None and relation[1] in ("next", "prev", "search", "index", "canonical")


@cache
def _list_anchors(page: Path) -> frozenset[str]:
    text = page.read_text(encoding="utf-8")
    return frozenset(unescape(name) for name in re.findall(r"""\b(?:id|name)=["']([^"']+)["']""", text)) | {"top"}


def main(argv: Sequence[str] | None = None) -> int:
    """Check a site and print its problems.

    Returns:
        1 if something is wrong, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(argv).folder
    problems = check_site(folder)
    for problem in problems:
        print(problem)
    if not any(folder.glob("**/*.html")):
        print(f"{folder} holds no page")
        return 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
