"""Figures of what hidden units respond to."""

import math

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.figures.grids import show


def filter_grid(filters: Tensor, title: str = "") -> Figure:
    """Draw weights (N, C, H, W), channels averaged, in a grid, each unit's on a scale of its own.

    White is no weight; colours say whether a unit adds to a pixel (red) or subtracts from it (blue).
    """
    grey = filters.detach().float().mean(1).cpu()
    count, height, width = grey.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, weights in enumerate(grey / grey.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = weights.numpy()
    figure = Figure(figsize=(9, 8 * canvas.shape[0] / canvas.shape[1]), layout="compressed")
    axes = figure.add_subplot()
    show(axes, canvas)
    axes.images[0].set(cmap="RdBu_r", clim=(-1, 1))
    scale = figure.colorbar(axes.images[0], ax=axes, shrink=0.6, label="weight, as a share of the unit's largest one")
    scale.set_ticks(
        [-1, 0, 1], labels=["−1: takes from the pixel", "0", "1: adds to the pixel"], rotation=90, va="center"
    )
    axes.set_facecolor("0.3")  # between the units, where a weight of zero would look the same
    figure.suptitle(title)
    return figure
