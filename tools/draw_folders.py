"""A drawing of the folders of the package, and of the imports between them, read from the code.

A folder may import those below it. Arrows are the imports that there are, without those that a chain of arrows implies.
"""

from __future__ import annotations

from tools.folders import count_imports, list_layers, reduce_imports
from tools.svg import HUES, draw_box, draw_path, draw_text, make_drawing

GROUPS = {
    "commands and pages": ("cli", "compare", "tune", "sharpness"),
    "runs": ("experiments", "quick_start"),
    "RecBole and settings": ("integration", "compat", "config"),
    "training and data": ("trainer", "evaluator", "model", "data"),
    "without RecBole": ("analysis", "optim", "layers", "utils"),
}
COLORS = {folder: hue for hue, group in zip(HUES, GROUPS.values(), strict=True) for folder in group}
ROW, BOX, WIDTH = 44, 28, 190
"""Distance of rows, and height and width of boxes, in pixels."""
COLUMN, LINE = 170, 22
"""Distance of the columns and lines of the legend."""


def draw_folders() -> str:
    """Return the drawing."""
    layers = list_layers()
    top = LINE * -(-len(GROUPS) // 2) + 12
    rows = {folder: top + ROW * number for number, folder in enumerate(layers)}
    parts = [part for number, name in enumerate(GROUPS) for part in _draw_legend(number, name)]
    for folder, y in rows.items():
        parts.append(draw_box(0, y, WIDTH, BOX, COLORS[folder]))
        parts.append(draw_text(10, y + BOX / 2, f"{folder}/", bold=True))
    arrows = sorted(reduce_imports(set(count_imports())), key=lambda arrow: rows[arrow[0]])
    parts += [_draw_arrow(rows[importing], rows[imported], COLORS[importing]) for importing, imported in arrows]
    title = "The folders of the package from the top down, and their imports"
    return make_drawing(title, 2 * COLUMN, top + ROW * len(layers), parts)


def _draw_legend(number: int, name: str) -> list[str]:
    x, y = COLUMN * (number % 2), LINE * (number // 2)
    return [draw_box(x, y + 2, 14, 14, HUES[number]), draw_text(x + 20, y + 9, name, size=12)]


def _draw_arrow(importing: float, imported: float, color: str) -> str:
    """Return an arrow to the next row, or on the right side of the boxes, farther out the longer it is."""
    if imported - importing == ROW:
        return draw_path(f"M{WIDTH / 2:g} {importing + BOX:g}V{imported:g}", color)
    start, end = importing + BOX * 0.65, imported + BOX * 0.35
    reach = WIDTH + 20 + 26 * (imported - importing) / ROW
    return draw_path(f"M{WIDTH} {start:g}C{reach:g} {start:g} {reach:g} {end:g} {WIDTH} {end:g}", color)
