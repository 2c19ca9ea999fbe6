"""Figures of the latent space."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.colours import DISTINCT, marker
from scalian_exp.figures.grids import show, tile
from scalian_exp.precision import widened


def principal_axes(centred: Tensor, count: int = 2) -> Tensor:
    """Return the directions of largest variance of centred points (N, D), as rows (count, D), zeros if there are fewer.

    The sign of an eigenvector is arbitrary; here its entry of largest magnitude is positive, so that figures of the
    same points agree.
    """
    axes = torch.linalg.svd(widened(centred), full_matrices=False).Vh[:count]
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
    """Draw codes (N, D) as points marked by class, beside the images decoded on a grid over the same plane.

    With more than two dimensions, it is the plane of the first two principal components.
    """
    codes = codes.detach().float()
    if not torch.isfinite(codes).all():
        figure = Figure(figsize=(6, 1), layout="constrained")
        figure.suptitle("no map: some codes are NaN or infinite; the training diverged")
        return figure
    mean, axes = principal_plane(codes)
    points = (codes - mean) @ axes.T
    low, high = limits(points)
    ticks = [torch.linspace(float(low[i]), float(high[i]), steps, device=codes.device) for i in range(2)]
    across, down = torch.meshgrid(ticks[0], ticks[1].flip(0), indexing="xy")
    grid = torch.stack([across.flatten(), down.flatten()], 1) @ axes + mean

    figure = Figure(figsize=(14, 6.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    scatter(figure, left, points.cpu().numpy(), None if labels is None else labels.cpu().numpy(), names)
    left.set_title(f"codes of {len(codes)} images")
    picture = np.asarray(tile(decode(grid), steps, gap=0))
    show(right, picture)
    margin = (high - low) / 2 / max(1, steps - 1)  # each image lies around the code that it is decoded from
    right.images[0].set_extent(torch.stack([low - margin, high + margin], 1).flatten().tolist())
    right.set(aspect="auto", box_aspect=picture.shape[0] / picture.shape[1])
    right.set_title("images decoded from codes of the same plane")
    right.xaxis.set_major_locator(MaxNLocator(6))
    right.yaxis.set_major_locator(MaxNLocator(6))
    for axis, name in zip(("x", "y"), axis_names(codes, points), strict=True):
        left.set(**{f"{axis}label": name})
        right.set(**{f"{axis}label": name})
    return figure


def limits(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the limits (2,), (2,) of the central 96 % of points (N, 2), apart even if all are equal."""
    low, high = torch.quantile(points, 0.02, dim=0), torch.quantile(points, 0.98, dim=0)
    size = torch.maximum(low.abs(), high.abs())
    room = torch.where(high - low > 1e-5 * size, 0.0, size.clamp_min(1) / 2)
    return low - room, high + room


def axis_names(codes: Tensor, points: Tensor) -> list[str]:
    """Name the axes of a plane of codes: latents, or components with their shares of the codes' variance."""
    if codes.shape[1] <= 2:
        return ["latent 0", "latent 1"]
    shares = points.var(0, correction=0) / codes.var(0, correction=0).sum().clamp_min(1e-12)
    return [
        f"principal component {i} ({100 * float(share):.0f} % of the variance)" for i, share in enumerate(shares, 1)
    ]


def scatter(
    figure: Figure, axes: Axes, points: np.ndarray, labels: np.ndarray | None, names: Sequence[str] | None
) -> None:
    """Draw points (N, 2); if they are of several classes, with a legend beside the axes."""
    present = [] if labels is None else np.unique(labels).tolist()
    if len(present) < 2:
        axes.scatter(points[:, 0], points[:, 1], s=8, linewidths=0, color=DISTINCT[0])
        return
    for place, number in enumerate(present):
        look = marker(place if names is None else number)
        name = called(names, number)
        x, y = points[labels == number].T
        axes.scatter(x, y, s=12, linewidths=0, color=look.colour, marker=look.shape, label=name)
    columns = -(-len(present) // 24)
    title = "class" if columns == 1 else f"class ({len(present)} of them)"
    figure.legend(loc="outside left upper", title=title, fontsize="small", markerscale=1.6, ncols=columns)
