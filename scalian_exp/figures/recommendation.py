"""Figures of what a recommender has learned, with the titles of the items."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.figures.colours import BLUE, DISTINCT, ORANGE
from scalian_exp.figures.latent import principal_axes

MOST_RATED = 300
"""number of items that may be named: few readers know the others' titles, and few ratings determine their features"""
LIKES, DISLIKES = BLUE, ORANGE


def shortened(title: str, most: int = 34) -> str:
    """Shorten a long title, dropping the year first."""
    if len(title) > most:
        title = re.sub(r"\s*\(\d{4}\)$", "", title)
    return title if len(title) <= most else title[: most - 1].rstrip() + "…"


def most_rated(counts: Tensor) -> Tensor:
    """Return the numbers of the items (N,) that readers may know, most rated first, without items that nobody rated."""
    order = counts.argsort(descending=True, stable=True)[:MOST_RATED]
    return order[counts[order] > 0]


def strongest(feature: Tensor, counts: Tensor, most: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the items (N,) with the largest and with the smallest values, among the most rated ones."""
    known = most_rated(counts)
    order = known[feature[known].argsort(descending=True)].tolist()
    most = min(most, len(order) // 2)
    return order[:most], order[::-1][:most]


def feature_titles(
    features: Tensor, titles: Sequence[str], counts: Tensor, numbers: Sequence[int], most: int = 5
) -> Figure:
    """Draw a panel for each feature with the items that it favours most and those that it disfavours most.

    Args:
        features: of the items, (N, F).
        titles: of the items.
        counts: number of ratings of each item, (N,).
        numbers: of the features, counted from 0.
        most: number of items on either side.
    """
    panels = features.shape[1]
    columns = min(3, panels)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(4.6 * columns, (0.5 + 0.42 * most) * rows + 0.4), layout="constrained")
    figure.suptitle(
        f"what each learned feature likes most (blue) and dislikes most (orange) among the {len(most_rated(counts))} "
        "most rated items; bars: its weight"
    )
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for index, axes in enumerate(grid):
        axes.set_axis_off()
        if index >= panels:
            continue
        feature = features[:, index]
        scale = float(feature.abs().max()) or 1.0
        axes.set(xlim=(-1.15, 1.15), ylim=(2 * most - 0.3, -0.8))
        axes.set_title(f"feature {numbers[index] + 1}", fontsize="medium", loc="left", pad=2)
        likes, dislikes = strongest(feature, counts, most)
        for place, item in enumerate([*likes, *reversed(dislikes)]):
            value = float(feature[item]) / scale
            axes.barh(place, value, color=LIKES if value > 0 else DISLIKES, alpha=0.55, height=0.8)
            side = "right" if value > 0 else "left"
            axes.text(-0.02 if value > 0 else 0.02, place, shortened(titles[item]), ha=side, va="center", fontsize=7.5)
        axes.axvline(0, color="0.6", linewidth=0.6)
    return figure


def plane(points: Tensor) -> Tensor:
    """Project points (N, F) to the plane of their first two principal components, (N, 2)."""
    centred = points - points.mean(0)
    return centred @ principal_axes(centred).T


def item_map(features: Tensor, titles: Sequence[str], genres: Sequence[str], counts: Tensor, named: int = 60) -> Figure:
    """Draw the most rated items on a plane, where items that the same users like are near one another.

    Args:
        features: of the items, (N, F).
        titles: of the items.
        genres: of the items, for colours; empty if unknown.
        counts: number of ratings of each item, (N,).
        named: largest number of items whose titles are written, where there is room.
    """
    known = most_rated(counts)
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.add_subplot()
    if not torch.isfinite(features).all():
        figure.suptitle("no map: some features are NaN or infinite; the training diverged")
        return figure
    x, y = plane(features[known]).T.numpy()
    sizes = 10 + 120 * (counts[known] / counts.max()).numpy()
    kinds = [genres[item] if genres else "" for item in known.tolist()]
    common = sorted(set(kinds), key=kinds.count, reverse=True)[:9]
    for number, kind in enumerate(common if genres else [""]):
        chosen = [place for place, other in enumerate(kinds) if other == kind]
        axes.scatter(x[chosen], y[chosen], s=sizes[chosen], color=DISTINCT[number], alpha=0.6, linewidths=0, label=kind)
    rest = [place for place, kind in enumerate(kinds) if genres and kind not in common]
    axes.scatter(x[rest], y[rest], s=sizes[rest], color="0.7", alpha=0.6, linewidths=0, label="other" if rest else None)
    place_titles(axes, x, y, [shortened(titles[item], 30) for item in known.tolist()], named)
    if genres:
        axes.legend(title="genre", markerscale=0.7, framealpha=0.9)
    figure.suptitle(
        f"the {len(known)} most rated items: near one another if the same users like them; larger: more ratings"
    )
    axes.set(xticks=[], yticks=[], xlabel="principal component 1 of the features", ylabel="principal component 2")
    axes.margins(x=0.08)
    return figure


def place_titles(axes: Axes, x: Any, y: Any, titles: Sequence[str], most: int) -> None:
    """Write at most `most` titles beside their points, in order, skipping those that would overlap another."""
    width, height = (float(values.max() - values.min()) or 1.0 for values in (x, y))
    boxes: list[tuple[float, float, float]] = []
    """left, right and baseline, in hundredths of the picture"""
    for left, low, title in zip(100 * x / width, 100 * y / height, titles, strict=True):
        right = left + 0.72 * len(title)
        if any(left < r and right > l and abs(low - b) < 1.7 for l, r, b in boxes):  # noqa: E741
            continue
        boxes.append((left, right, low))
        axes.annotate(title, (left * width / 100, low * height / 100), (3, 3), textcoords="offset points", fontsize=6.5)
        if len(boxes) == most:
            return
