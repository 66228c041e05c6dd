"""Fill the figures of README.md and other pages between their markers, and draw the picture of speed.

python -m tools.write_readme            # write
python -m tools.write_readme --check    # fail if a file is not up to date

A marker names a figure of ``tools/figures.py``; readers do not see it. It stands in a line::

    RecBole has <!-- figure: patches -->61<!-- end --> defects.

or, for a table or a block of code, on lines of its own::

    <!-- figure: sam-effects -->

    | model | ... |

    <!-- end -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.draw_speed import PICTURE, THEMES, draw_speed
from tools.figures import FIGURES
from tools.stale_files import write_stale

ROOT = Path(__file__).resolve().parents[1]
PAGES = (Path("README.md"), Path("docs", "explanation", "packed_training.md"))
OPENING, END = "<!-- figure:", "<!-- end -->"
MARKER = re.compile(rf"{OPENING} (?P<name>\S+) -->(?P<text>.*?){END}", re.DOTALL)
BEGINS_BLOCK = re.compile(rf"^[\s>*+-]*{OPENING}.*{END}", re.MULTILINE)
"""An inline marker where Markdown takes a comment for a block, so that the text after it is no paragraph."""


class MarkerError(Exception):
    """A marker of a page cannot be filled."""


def render_files(root: Path = ROOT) -> dict[Path, str]:
    """Return the text that each file should have.

    Args:
        root: Folder of the pages.

    Raises:
        MarkerError: A marker has no end, an unknown name, or begins a line of text.
    """
    texts = {root / page: fill(page, (root / page).read_text(encoding="utf-8")) for page in PAGES}
    return texts | {root / PICTURE.format(theme=theme): f"{draw_speed(theme)}\n" for theme in THEMES}


def fill(page: Path, text: str, figures: Mapping[str, Callable[[], str]] = FIGURES) -> str:
    """Fill the markers of a page.

    Args:
        page: Its name, for messages.
        text: Its text.
        figures: Functions that return the figures, by name.

    Returns:
        The text with the figures as they are now.

    Raises:
        MarkerError: A marker has no end, an unknown name, or begins a line of text.
    """
    markers = list(MARKER.finditer(text))
    if found := BEGINS_BLOCK.search(text):
        raise MarkerError(f"{_find_line(page, text, found.start())}: a marker begins a line; put a word before it")
    begin, end = text.count(OPENING), text.count(END)
    if not begin == end == len(markers):
        raise MarkerError(f"{page.as_posix()}: {begin} markers begin, {end} end, and {len(markers)} match")
    for marker in markers:
        if marker["name"] not in figures:
            place = _find_line(page, text, marker.start())
            raise MarkerError(f"{place}: there is no figure {marker['name']!r}; known: {', '.join(sorted(figures))}")
    return MARKER.sub(lambda marker: _fill_marker(marker, figures[marker["name"]]()), text)


def _fill_marker(marker: re.Match[str], figure: str) -> str:
    """Return a marker with its figure, on lines of its own if the marker is."""
    opening = f"{OPENING} {marker['name']} -->"
    if not marker["text"].startswith("\n"):
        return f"{opening}{figure}{END}"
    return "\n\n".join(part for part in (opening, figure.strip("\n"), END) if part)


def _find_line(page: Path, text: str, position: int) -> str:
    """Return the name of a page and the number of a line."""
    return f"{page.as_posix()}:{text.count(chr(10), 0, position) + 1}"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` name those that are not up to date.

    Returns:
        1 if a marker cannot be filled or a file is not up to date, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is not up to date")
    check = parser.parse_args(argv).check
    try:
        texts = render_files(ROOT)
    except MarkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return write_stale(texts, ROOT, "python -m tools.write_readme", check)


if __name__ == "__main__":
    sys.exit(main())
