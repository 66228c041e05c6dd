"""A drawing of a run's life: the steps that a traced run passes through, in order, each below the one that calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

from tools.draw_folders import COLORS
from tools.folders import ROOT
from tools.svg import draw_box, draw_path, draw_text, make_drawing
from tools.trace_run import Step

WIDTH, INDENT, GAP, PAD, LINE = 296, 15, 9, 6, 15
"""Width of a box, indentation of a step, distance of boxes, their padding, and height of a line, in pixels."""
LETTERS = 50
"""Letters in a line of a box."""


def draw_run() -> str:
    """Trace a run in a separate process, and return the drawing."""
    command = [sys.executable, "-m", "tools.trace_run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    return draw_steps([Step(**one) for one in json.loads(done.stdout.splitlines()[-1])])


def draw_steps(steps: list[Step]) -> str:
    """Draw steps from the top down, in the colors of their folders; a repeated step has a double edge."""
    parts: list[str] = []
    ends: dict[int, float] = {}
    y = 2.0
    for step in steps:
        x, color = step.depth * INDENT, COLORS[step.folder]
        lines = textwrap.wrap(step.summary, LETTERS)
        height = 2 * PAD + LINE * (1 + len(lines))
        if step.depth:
            start = x - INDENT + 7
            parts.append(draw_path(f"M{start} {ends[step.depth - 1]:g}V{y + height / 2:g}H{x}", color, arrow=False))
        if step.calls > 1:
            parts.append(draw_box(x + 4, y + 4, WIDTH, height, color))
        parts.append(draw_box(x, y, WIDTH, height, color))
        parts.append(draw_text(x + 8, y + PAD + LINE / 2, _name(step), size=12.5, bold=True))
        for number, line in enumerate(lines, 1):
            parts.append(draw_text(x + 8, y + PAD + LINE * (number + 0.5), line, size=11.5))
        ends[step.depth] = y + height
        y += height + GAP
    deepest = max(step.depth for step in steps)
    return make_drawing("The steps of a run", WIDTH + INDENT * deepest + 6, y, parts)


def _name(step: Step) -> str:
    """Return folder and function: a method with its class, a constructor as its class."""
    name = step.place.partition(":")[2].removesuffix(".__init__").removesuffix(".__call__")
    return f"{step.folder}/ {name}"
