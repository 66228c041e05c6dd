"""A drawing of a run's life: the steps that a traced run passes through, in order, each within the one that calls it."""

from __future__ import annotations

import json
import subprocess
import sys

from tools.draw_folders import COLORS
from tools.folders import ROOT
from tools.svg import draw_box, draw_path, draw_text, make_drawing
from tools.trace_run import Step

ROW, BOX, INDENT, NAME, WIDTH = 38, 28, 26, 250, 860
"""Distance of rows, height of boxes, indentation of a step, width of a name, and of the drawing, in pixels."""


def draw_run() -> str:
    """Trace a run in a process of its own, and return the drawing."""
    command = [sys.executable, "-m", "tools.trace_run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    return draw_steps([Step(**one) for one in json.loads(done.stdout.splitlines()[-1])])


def draw_steps(steps: list[Step]) -> str:
    """Draw steps from the top down, in the colors of their folders; a step that is repeated has a double edge."""
    parts: list[str] = []
    last: dict[int, int] = {}
    for row, step in enumerate(steps):
        x, y, color = step.depth * INDENT, 2 + row * ROW, COLORS[step.folder]
        if step.depth:
            above = last[step.depth - 1]
            start = (step.depth - 1) * INDENT + 12
            parts.append(draw_path(f"M{start} {2 + above * ROW + BOX}V{y + BOX / 2:g}H{x}", color, arrow=False))
        last[step.depth] = row
        if step.calls > 1:
            parts.append(draw_box(x + 4, y + 4, NAME, BOX, color))
        parts.append(draw_box(x, y, NAME, BOX, color))
        parts.append(draw_text(x + 8, y + BOX / 2, _name(step), size=12.5, bold=True))
        parts.append(draw_text(x + NAME + 14, y + BOX / 2, step.summary, size=12))
    return make_drawing("The steps of a run", WIDTH, 8 + len(steps) * ROW, parts)


def _name(step: Step) -> str:
    """Return folder and function; a method with its class, a class by itself when it is made."""
    name = step.place.partition(":")[2].removesuffix(".__init__").removesuffix(".__call__")
    return f"{step.folder}/ {name}"
