"""Drawings as SVG, in the colors of the surrounding text, so that they suit light and dark pages."""

from __future__ import annotations

from html import escape

SIZE = 14
"""Height of letters."""
HUES = ("#3b82f6", "#d97706", "#10b981", "#a855f7", "#ef4444")
"""Colors that are readable on white and on black; boxes have them thinned out."""


def draw_box(x: float, y: float, width: float, height: float, color: str) -> str:
    """Return a rectangle with rounded corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
        f'fill="{color}" fill-opacity="0.16" stroke="{color}"/>'
    )


def draw_text(x: float, y: float, text: str, *, size: float = SIZE, bold: bool = False, anchor: str = "start") -> str:
    """Return a line of text that is centered vertically at ``y``."""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:g}" y="{y + size * 0.35:g}" font-size="{size:g}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor"{weight}>{escape(text, quote=False)}</text>'


def draw_path(points: str, color: str, *, arrow: bool = True) -> str:
    """Return a curve with an arrowhead at its end."""
    head = f' marker-end="url(#head-{color.strip("#")})"' if arrow else ""
    return f'<path d="{points}" fill="none" stroke="{color}" stroke-width="1.5"{head}/>'


def make_drawing(title: str, width: float, height: float, parts: list[str]) -> str:
    """Return the drawing, with its arrowheads.

    Args:
        title: What it shows, for readers who do not see it.
        width: Width in pixels.
        height: Height in pixels.
        parts: What the functions above returned.
    """
    heads = "".join(
        f'<marker id="head-{hue.strip("#")}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{hue}"/></marker>'
        for hue in HUES
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}"><title>{escape(title)}</title><defs>{heads}</defs>{"".join(parts)}</svg>'
    )
