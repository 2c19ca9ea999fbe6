"""A sweep as a figure: each metric over what was swept."""

import math
from typing import Any

from matplotlib.figure import Figure


def number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def names_of(table: list[dict[str, Any]], swept: list[str]) -> list[str]:
    """What each job is called: the values that were swept."""
    return [", ".join(str(row[key]) for key in swept) or str(row["job"]) for row in table]


def trade_off(table: list[dict[str, Any]], swept: list[str], metric: str, cost: str) -> Figure | None:
    """A metric against what it costs, a point a job. None unless two jobs have both."""
    named = zip(names_of(table, swept), table, strict=True)
    points = [(row[cost], row[metric], name) for name, row in named if None not in (row.get(cost), row[metric])]
    if len(points) < 2:
        return None
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter([x for x, _, _ in points], [y for _, y, _ in points])
    for x, y, name in points:
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel=cost, ylabel=metric)
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3)
    return figure


def sweep_figure(table: list[dict[str, Any]], swept: list[str], metrics: list[str]) -> Figure | None:
    """Small plots, one a metric, the monitored one first: a curve where one number was swept, else bars named by what
    was. Where rows are means (`means` in summary.py), with their deviations. None where there is nothing to draw."""
    whole = [name for name in metrics if name.count("/") == 1]  # what is told class by class has no plot of its own
    shown = [name for name in whole if any(row[name] is not None for row in table)][:6]
    if not shown:
        return None
    numbers = [number(row[swept[0]]) for row in table] if len(swept) == 1 else []
    curve = bool(numbers) and None not in numbers
    names = names_of(table, swept)
    columns = min(3, len(shown))
    figure = Figure(figsize=(4.2 * columns, 3.4 * math.ceil(len(shown) / columns)), layout="constrained")
    for axes, metric in zip(
        figure.subplots(math.ceil(len(shown) / columns), columns, squeeze=False).flat, shown, strict=False
    ):
        values = [row[metric] for row in table]
        deviations = [row.get(f"{metric} ±") or 0.0 for row in table]
        if curve:
            points = sorted((x, y) for x, y in zip(numbers, values, strict=True) if x is not None and y is not None)
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o")
            if points[0][0] > 0 and points[-1][0] / points[0][0] >= 20:
                axes.set_xscale("log")
            axes.set_xlabel(swept[0])
        else:
            axes.bar(
                names, [math.nan if y is None else y for y in values], yerr=deviations if any(deviations) else None
            )
            axes.tick_params(axis="x", rotation=30)
            axes.set_xlabel(", ".join(swept))
        axes.set_title(metric, fontsize="medium")
        axes.grid(alpha=0.3)
    for axes in list(figure.axes)[len(shown) :]:
        axes.set_visible(False)
    return figure


def importances_figure(importances: dict[str, float]) -> Figure:
    """Shares of the values' variance that parameters explain, in [0, 1], the largest on top."""
    figure = Figure(figsize=(6, 1 + 0.4 * len(importances)), layout="constrained")
    axes = figure.add_subplot()
    names = sorted(importances, key=lambda name: importances[name])
    axes.barh(names, [importances[name] for name in names])
    axes.set(xlabel="importance", xlim=(0, 1))
    return figure
