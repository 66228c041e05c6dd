"""A drawing of the folders of the package, and of the imports between them, read from the code.

A folder may import those below it. Arrows are the imports that there are, without those that a chain of arrows implies.
"""

from __future__ import annotations

from tools.folders import count_imports, list_layers, read_purposes, reduce_imports
from tools.svg import HUES, draw_box, draw_path, draw_text, make_drawing

GROUPS = {
    "commands and pages": ("cli", "compare", "tune", "sharpness"),
    "runs": ("experiments", "quick_start"),
    "RecBole and settings": ("integration", "compat", "config"),
    "training and data": ("trainer", "evaluator", "model", "data"),
    "without RecBole": ("analysis", "optim", "layers", "utils"),
}
COLORS = {folder: hue for hue, group in zip(HUES, GROUPS.values(), strict=True) for folder in group}
ROW, BOX, WIDTH, TOP = 40, 30, 360, 34
"""Distance of rows, height and width of boxes, and the first row, in pixels."""


def draw_folders() -> str:
    """Return the drawing."""
    layers, purposes = list_layers(), read_purposes()
    rows = {folder: TOP + ROW * number for number, folder in enumerate(layers)}
    arrows = reduce_imports(set(count_imports()))
    parts, x = [], 0.0
    for name, hue in zip(GROUPS, HUES, strict=True):
        parts += [draw_box(x, 2, 14, 14, hue), draw_text(x + 20, 9, name, size=12)]
        x += 34 + 6.4 * len(name)
    for folder in layers:
        y = rows[folder]
        parts.append(draw_box(0, y, WIDTH, BOX, COLORS[folder]))
        parts.append(draw_text(10, y + BOX / 2, f"{folder}/", bold=True))
        parts.append(draw_text(112, y + BOX / 2, _shorten(purposes[folder]), size=12))
    widths = [_draw_arrow(parts, rows, *arrow) for arrow in sorted(arrows, key=lambda pair: rows[pair[0]])]
    title = "The folders of the package from the top down, and their imports"
    return make_drawing(title, max(x, *widths), TOP + ROW * len(layers), parts)


def _draw_arrow(parts: list[str], rows: dict[str, int], importing: str, imported: str) -> float:
    """Add an arrow on the right side of the boxes, the wider the longer; return how far it reaches."""
    start, end = rows[importing] + BOX * 0.65, rows[imported] + BOX * 0.35
    if rows[imported] - rows[importing] == ROW:
        start, end, x = rows[importing] + BOX, rows[imported], WIDTH - 26
        parts.append(draw_path(f"M{x} {start:g}V{end:g}", COLORS[importing]))
        return WIDTH
    reach = 16 + 22 * (rows[imported] - rows[importing]) / ROW
    curve = f"M{WIDTH} {start:g}C{WIDTH + reach:g} {start:g} {WIDTH + reach:g} {end:g} {WIDTH} {end:g}"
    parts.append(draw_path(curve, COLORS[importing]))
    return WIDTH + reach * 0.75 + 8


def _shorten(purpose: str) -> str:
    """Return what a folder is for up to the first colon, without marks of code."""
    text = purpose.replace("`", "").partition(": ")
    return text[0] if len(text[0]) > 12 else purpose.replace("`", "")
