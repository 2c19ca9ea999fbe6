"""Draw line plots as SVG without matplotlib, whose import takes longer than writing the whole page."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 480, 280, 62, 40, 12
COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"),
)
DASHES = ("", "6 3", "2 3")
TICKS = 5
"""approximate number of labels on an axis"""

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """A line of a plot."""

    name: str
    style: Markup
    """colour and dashes as SVG attributes"""
    points: Points


def style(number: int) -> Markup:
    """Return the colour and dashes of line number 0, 1, …, which differ for thirty lines."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(f'stroke="{COLOURS[number % len(COLOURS)]}"{dashes}')


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return about TICKS round numbers from low to high: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: start of the axis.
        high: end of the axis.
        whole: whether to return only whole numbers, as for epochs.
    """
    least = (high - low) / TICKS or 1.0
    power = 10 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def plot(title: str, lines: Sequence[Line], xlabel: str = "epoch") -> Markup:
    """Return an SVG of lines over whole numbers, named in tooltips; NaN and infinite values are left out."""
    finite = [
        line._replace(points=[point for point in line.points if all(map(math.isfinite, point))]) for line in lines
    ]
    points = [point for line in finite for point in line.points] or [(0.0, 0.0)]
    (left, low), (right, high) = (tuple(map(pick, zip(*points, strict=True))) for pick in (min, max))
    wide, tall = right - left or 1.0, high - low or 1.0

    def at(x: float) -> float:
        return LEFT + (x - left) / wide * (WIDTH - LEFT - EDGE)

    def level(y: float) -> float:
        return HEIGHT - BOTTOM - (y - low) / tall * (HEIGHT - BOTTOM - 2 * EDGE)

    parts = [f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}" class="plot">']
    for y in ticks(low, high):
        height = f"{level(y):.1f}"
        parts.append(f'<path class="grid" d="M{LEFT} {height}H{WIDTH - EDGE}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{height}" dy=".35em" text-anchor="end">{y:.5g}</text>')
    for x in ticks(left, right, whole=True):
        parts.append(f'<text x="{at(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:.0f}</text>')
    for line in finite:
        path = " ".join(f"{at(x):.1f},{level(y):.1f}" for x, y in line.points)
        name = f"<title>{escape(line.name)}</title>"
        parts.append(f'<polyline fill="none" stroke-width="2" {line.style} points="{path}">{name}</polyline>')
        if len(line.points) < 20:
            parts += [
                f'<circle r="3" cx="{at(x):.1f}" cy="{level(y):.1f}" fill="none" {line.style}>'
                f"<title>{escape(line.name)}: {y:.5g} at {x:g}</title></circle>"
                for x, y in line.points
            ]
    parts.append(f'<text x="{(LEFT + WIDTH - EDGE) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(xlabel)}</text>')
    return Markup("".join([*parts, "</svg>"]))
