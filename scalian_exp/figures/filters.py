"""Figures of what hidden units respond to."""

import math

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.figures.grids import show


def filter_grid(filters: Tensor, title: str = "") -> Figure:
    """Draw weights (N, C, H, W), channels averaged, in a grid: red adds to a pixel, blue subtracts; scales differ."""
    grey = filters.detach().float().mean(1).cpu()
    count, height, width = grey.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, weights in enumerate(grey / grey.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = weights.numpy()
    figure = Figure(figsize=(8, 8 * canvas.shape[0] / canvas.shape[1] + 0.3), layout="constrained")
    axes = figure.add_subplot()
    show(axes, canvas, title)
    axes.images[0].set(cmap="RdBu_r", clim=(-1, 1))
    return figure
