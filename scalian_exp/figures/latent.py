"""Figures of the latent space."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.grids import show, tile


def principal_axes(centred: Tensor, count: int = 2) -> Tensor:
    """Return the directions of largest variance of centred points (N, D), as rows (count, D), zeros if there are fewer.

    The sign of an eigenvector is arbitrary; here its entry of largest magnitude is positive, so that figures of the
    same points agree.
    """
    axes = torch.linalg.svd(centred.double(), full_matrices=False).Vh[:count]
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return F.pad(axes * signs, (0, 0, 0, count - len(axes))).to(centred.dtype)


def principal_plane(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the two directions (2, D) of largest variance; for D ≤ 2, zero and the axes."""
    dim = codes.shape[1]
    if dim <= 2:
        return torch.zeros(dim, device=codes.device), torch.eye(2, dim, device=codes.device)
    mean = codes.mean(0)
    return mean, principal_axes(codes - mean)


def latent_map(
    codes: Tensor,
    labels: Tensor | None,
    decode: Callable[[Tensor], Tensor],
    steps: int = 16,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw codes (N, D) as points coloured by class, beside the images decoded on a grid over the same plane.

    With more than two dimensions, it is the plane of the first two principal components.
    """
    codes = codes.detach().float()
    if not torch.isfinite(codes).all():
        figure = Figure(figsize=(6, 1))
        figure.suptitle("no map: some codes are NaN or infinite; the training diverged")
        return figure
    mean, axes = principal_plane(codes)
    points = (codes - mean) @ axes.T
    low, high = torch.quantile(points, 0.02, dim=0), torch.quantile(points, 0.98, dim=0)
    ticks = [torch.linspace(float(low[i]), float(high[i]), steps, device=codes.device) for i in range(2)]
    across, down = torch.meshgrid(ticks[0], ticks[1].flip(0), indexing="xy")
    grid = torch.stack([across.flatten(), down.flatten()], 1) @ axes + mean

    figure = Figure(figsize=(13, 6.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    name = "latent" if codes.shape[1] <= 2 else "principal component"
    x, y = points.cpu().numpy().T
    if labels is None:
        left.scatter(x, y, s=6, linewidths=0)
    else:
        classes = labels.cpu().numpy()
        drawn = left.scatter(x, y, c=classes, s=6, linewidths=0, cmap="tab10" if classes.max() < 10 else "turbo")
        handles, _ = drawn.legend_elements(num=None)
        texts = [called(names, index) for index in np.unique(classes)]
        left.legend(handles, texts, title="class", loc="best", fontsize="small")
    left.set(xlabel=f"{name} 1", ylabel=f"{name} 2", title=f"codes of {len(codes)} images")
    show(right, np.asarray(tile(decode(grid), steps, gap=0)), "decoded over the same plane")
    return figure
