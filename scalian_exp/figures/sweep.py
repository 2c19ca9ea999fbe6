"""Figures of a sweep: each metric over what was swept."""

import math
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

UNITS = {
    "nats": ("neg_elbo", "reconstruction", "kl", "nll", "nll_bound", "log_likelihood", "pseudo_likelihood"),
    "bits": ("bits_per_dim",),
    "dB": ("psnr",),
}
"""unit → beginnings of the names of metrics in it; the names of others say what they are"""
COSTS = {
    "inference_ms_per_sample": "inference, ms per example",
    "seconds_per_epoch": "training, seconds per epoch",
}
"""names of costs → labels of their axes"""
Box = tuple[float, float, float, float]
"""left, bottom, right, top, in points"""
LETTER, LINE = 5.5, 11.0
"""mean width of a letter beside a point, and height of a line, in points"""


def with_unit(metric: str) -> str:
    """Return a metric's name and its unit: "test/kl, nats"."""
    name = metric.rpartition("/")[2]
    return next((f"{metric}, {unit}" for unit, known in UNITS.items() if name.startswith(known)), metric)


def number(text: Any) -> float | None:
    """Return a value as a float; None if it is not a number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def names_of(table: list[dict[str, Any]], swept: list[str]) -> list[str]:
    """Return a name for each job: the values that were swept, or its number."""
    return [", ".join(rounded(row[key]) for key in swept) or str(row["job"]) for row in table]


def rounded(value: Any) -> str:
    """Return a value as text, long numbers rounded to three digits."""
    return f"{float(value):.3g}" if number(value) is not None and len(str(value)) > 6 else str(value)


def trade_off(table: list[dict[str, Any]], swept: list[str], metric: str, cost: str) -> Figure | None:
    """Draw a metric against its cost, one point per job; None unless two jobs have both."""
    named = zip(names_of(table, swept), table, strict=True)
    points = [(row[cost], row[metric], name) for name, row in named if None not in (row.get(cost), row[metric])]
    if len(points) < 2:
        return None
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter([x for x, _, _ in points], [y for _, y, _ in points])
    axes.set(xlabel=COSTS.get(cost, cost), ylabel=with_unit(metric))
    axes.margins(x=0.25, y=0.15)
    name_points(axes, points)
    axes.grid(alpha=0.3)
    figure.suptitle(f"{metric} against {cost}, a point for each {' and '.join(swept) or 'job'}")
    return figure


def name_points(axes: Axes, points: list[tuple[float, float, str]]) -> None:
    """Write each point's name (x, y, name) beside it, at the corner where it covers least of other points and names.

    Names tend towards the middle, so that none leaves the figure. Sizes are estimates: nothing is drawn yet.
    """
    width, height = (0.8 * 72 * inches for inches in axes.figure.get_size_inches())  # type: ignore[union-attr]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    placed = [((x - left) / (right - left) * width, (y - bottom) / (top - bottom) * height) for x, y, _ in points]
    taken: list[Box] = [(h - 4, v - 4, h + 4, v + 4) for h, v in placed]
    for (h, v), (x, y, name) in zip(placed, points, strict=True):
        inwards = 1 if h <= width / 2 else -1
        corners = [(inwards, 1), (inwards, -1), (-inwards, 1), (-inwards, -1)]
        boxes = {corner: beside(h, v, LETTER * len(name), *corner) for corner in corners}
        side, way = min(corners, key=lambda corner: sum(overlap(boxes[corner], other) for other in taken))
        taken.append(boxes[side, way])
        ha, va = "left" if side > 0 else "right", "bottom" if way > 0 else "top"
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(5 * side, 4 * way), ha=ha, va=va)


def beside(x: float, y: float, long: float, side: int, way: int) -> Box:
    """Return the box of a name beside a point: right or left of it (side 1 or −1), above or below (way 1 or −1)."""
    left, bottom = x + 5 * side - long * (side < 0), y + 4 * way - LINE * (way < 0)
    return left, bottom, left + long, bottom + LINE


def overlap(one: Box, other: Box) -> float:
    """Return the common area of two boxes."""
    sides = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    return math.prod(max(0.0, side) for side in sides)


def sweep_figure(table: list[dict[str, Any]], swept: list[str], metrics: list[str]) -> Figure | None:
    """Draw small plots, one per metric, the monitored one first; None if there is nothing to draw.

    Each is a curve if one number was swept, a heat map for two numbers, else bars. A search, whose numbers hardly ever
    repeat, is a cloud of points instead of a heat map. If rows are means (`means` in summary.py), deviations are drawn.
    """
    overall = [name for name in metrics if name.count("/") == 1]  # metrics of single classes have no plot
    known = [name for name in overall if any(row[name] is not None for row in table)]
    differing = [name for name in known if len({row[name] for row in table}) > 1]
    shown = (differing or known)[:6]
    if not shown:
        return None
    numeric = all(number(row[key]) is not None for key in swept for row in table)
    cells = math.prod(len({row[key] for row in table}) for key in swept)
    plots = {1: curve, 2: heat_map if cells <= 2 * len(table) else cloud}
    draw = plots.get(len(swept), bars) if numeric else bars
    columns = min(3, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * lines), layout="constrained")
    for axes, metric in zip(figure.subplots(lines, columns, squeeze=False).flat, shown, strict=False):
        draw(axes, table, swept, metric)
        axes.set_title(with_unit(metric), fontsize="medium")
    for axes in list(figure.axes)[len(shown) : lines * columns]:
        axes.set_visible(False)
    spread = "; black lines: ± one standard deviation" if draw is bars and deviating(table, shown) else ""
    figure.suptitle(f"{'results' if len(shown) > 1 else shown[0]} over {' and '.join(swept) or 'jobs'}{spread}")
    return figure


def deviating(table: list[dict[str, Any]], metrics: list[str]) -> bool:
    """Return whether the deviation of any of the metrics is known."""
    return any(row.get(f"{metric} ±") for row in table for metric in metrics)


def curve(axes: Axes, table: list[dict[str, Any]], swept: list[str], metric: str) -> None:
    """Plot a metric over one number."""
    points = sorted((float(row[swept[0]]), row[metric]) for row in table if row[metric] is not None)
    axes.plot([x for x, _ in points], [y for _, y in points], marker="o")
    axes.set_xscale(scale([x for x, _ in points]))
    axes.set_xlabel(swept[0])
    axes.grid(alpha=0.3)


def scale(values: list[float]) -> str:
    """Return the scale of an axis: log if positive values span a factor of 20, else linear."""
    return "log" if min(values) > 0 and max(values) / min(values) >= 20 else "linear"


def heat_map(axes: Axes, table: list[dict[str, Any]], swept: list[str], metric: str) -> None:
    """Draw a cell for each pair of values; white where there is no result."""
    down, across = (sorted({row[key] for row in table}, key=float) for key in swept)
    cells = [[math.nan] * len(across) for _ in down]
    for row in table:
        if row[metric] is not None:
            cells[down.index(row[swept[0]])][across.index(row[swept[1]])] = row[metric]
    drawn = axes.imshow(cells, aspect="auto", origin="lower")
    for y, x in product(range(len(down)), range(len(across))):
        if not math.isnan(value := cells[y][x]):
            axes.text(x, y, f"{value:.4g}", ha="center", va="center", fontsize="x-small", backgroundcolor="#ffffff80")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set(xlabel=swept[1], ylabel=swept[0])
    axes.figure.colorbar(drawn, ax=axes)


def cloud(axes: Axes, table: list[dict[str, Any]], swept: list[str], metric: str) -> None:
    """Draw a point for each pair of values."""
    rows = [row for row in table if row[metric] is not None]
    down, across = ([float(row[key]) for row in rows] for key in swept)
    drawn = axes.scatter(across, down, c=[row[metric] for row in rows])
    axes.set(xlabel=swept[1], ylabel=swept[0], xscale=scale(across), yscale=scale(down))
    axes.figure.colorbar(drawn, ax=axes)


def bars(axes: Axes, table: list[dict[str, Any]], swept: list[str], metric: str) -> None:
    """Draw a bar for each job, with its deviation if known."""
    rows = [row for row in table if row[metric] is not None]  # a job that failed has none
    deviations = [row.get(f"{metric} ±") or 0.0 for row in rows]
    axes.bar(names_of(rows, swept), [row[metric] for row in rows], yerr=deviations if any(deviations) else None)
    axes.tick_params(axis="x", rotation=30)
    axes.set_xlabel(", ".join(swept))
    axes.grid(alpha=0.3)


def importances_figure(importances: dict[str, float]) -> Figure:
    """Draw the shares of the metric's variance that each parameter explains, in [0, 1], the largest on top."""
    figure = Figure(figsize=(6, 1 + 0.4 * len(importances)), layout="constrained")
    axes = figure.add_subplot()
    names = sorted(importances, key=lambda name: importances[name])
    axes.barh(names, [importances[name] for name in names])
    axes.set(xlabel="importance", xlim=(0, 1))
    figure.suptitle("importance of each parameter: the share of the trials' variance that it explains")
    return figure
