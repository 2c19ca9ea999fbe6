"""A sweep as a figure: each metric over what was swept."""

import math
from typing import Any

from matplotlib.figure import Figure


def number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def sweep_figure(table: list[dict[str, Any]], swept: list[str], metrics: list[str]) -> Figure | None:
    """Small plots, one a metric, the monitored one first: a curve where one number was swept, else bars named by what
    was. None where there is nothing to draw."""
    shown = [name for name in metrics if any(row[name] is not None for row in table)][:6]
    if not shown:
        return None
    numbers = [number(row[swept[0]]) for row in table] if len(swept) == 1 else []
    curve = bool(numbers) and None not in numbers
    names = [", ".join(str(row[key]) for key in swept) or str(row["job"]) for row in table]
    columns = min(3, len(shown))
    figure = Figure(figsize=(4.2 * columns, 3.4 * math.ceil(len(shown) / columns)), layout="constrained")
    for axes, metric in zip(
        figure.subplots(math.ceil(len(shown) / columns), columns, squeeze=False).flat, shown, strict=False
    ):
        values = [row[metric] for row in table]
        if curve:
            points = sorted((x, y) for x, y in zip(numbers, values, strict=True) if x is not None and y is not None)
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o")
            if points[0][0] > 0 and points[-1][0] / points[0][0] >= 20:
                axes.set_xscale("log")
            axes.set_xlabel(swept[0])
        else:
            axes.bar(names, [math.nan if y is None else y for y in values])
            axes.tick_params(axis="x", rotation=30)
            axes.set_xlabel(", ".join(swept))
        axes.set_title(metric, fontsize="medium")
        axes.grid(alpha=0.3)
    for axes in list(figure.axes)[len(shown) :]:
        axes.set_visible(False)
    return figure
