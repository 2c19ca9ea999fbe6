"""Images that come about step by step: canvases, and the windows that each step read and wrote."""

from collections.abc import Iterator, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.figures.grids import show, tile

READ, WRITE = (0.1, 0.75, 0.2), (1.0, 0.2, 0.1)
"""colours of the windows: green and red"""
SIDE = 84
"""pixels that an image's longer side has at least"""


def enlarged(images: Tensor) -> Tensor:
    """Images (N, C, H, W) with three channels, each pixel a square of so many that a window's outline can be seen."""
    count, channels, height, width = images.shape
    colours = (
        images.float().expand(-1, 3, -1, -1) if channels == 1 else images.new_zeros(count, 3, height, width).float()
    )
    if channels > 1:
        colours[:, : min(channels, 3)] = images[:, :3]
    scale = -(-SIDE // max(height, width))
    return colours.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def outlined(images: Tensor, boxes: Tensor, colour: Sequence[float], scale: float) -> Tensor:
    """The outline of a box on each image (N, 3, H, W): left, top, right, bottom (N, 4) in units of `scale` pixels; of
    boxes that stick out, what is inside."""
    height, width = images.shape[2:]
    limits = torch.tensor([width, height, width, height], device=boxes.device)
    left, top, right, bottom = (boxes.float() * scale).clamp_min(0).minimum(limits)[:, :, None, None].unbind(1)
    down = torch.arange(height, device=boxes.device)[:, None] + 0.5
    across = torch.arange(width, device=boxes.device) + 0.5

    def inside(margin: int) -> Tensor:
        vertically = (down > top + margin) & (down < bottom - margin)
        return vertically & (across > left + margin) & (across < right - margin)

    line = (inside(0) & ~inside(1)).unsqueeze(1)
    return torch.where(line, images.new_tensor(colour)[:, None, None], images)


def frames(canvases: Tensor, write: Tensor | None, read: Tensor | None = None) -> Iterator[Tensor]:
    """Canvases (T, N, C, H, W) in [0, 1], enlarged, with the windows (T, N, 4) in pixels that each step wrote (red) and
    read (green): T times (N, 3, H', W')."""
    for step, canvas in enumerate(canvases):
        picture = enlarged(canvas)
        for boxes, colour in ((read, READ), (write, WRITE)):
            if boxes is not None:
                picture = outlined(picture, boxes[step], colour, picture.shape[-1] / canvas.shape[-1])
        yield picture


def drawing_strip(
    canvases: Tensor, write: Tensor | None, read: Tensor | None = None, originals: Tensor | None = None, most: int = 10
) -> Figure:
    """A row for each of N images: perhaps what it is drawn after (N, C, H, W), then at most `most` of the T steps, the
    last one too, as in `frames`."""
    shown = torch.linspace(0, len(canvases) - 1, min(most, len(canvases))).round().long()
    chosen = [None if boxes is None else boxes[shown] for boxes in (write, read)]
    columns = [*([] if originals is None else [enlarged(originals)]), *frames(canvases[shown], *chosen)]
    title = (
        ("" if originals is None else "the original; ") + "after steps " + ", ".join(str(i + 1) for i in shown.tolist())
    )
    if write is not None:
        title += "; red: written to" + ("" if read is None else ", green: looked at")
    picture = tile(torch.stack(columns, 1).flatten(0, 1), len(columns))
    height, width = (side / 90 for side in picture.shape[:2])  # inches: no line is lost by scaling down
    figure = Figure(figsize=(max(width, 6), height + 0.3), layout="constrained")
    show(figure.add_subplot(), picture, title)
    return figure


def bars_by_step(values: Tensor, ylabel: str) -> Figure:
    """A bar for each of T steps."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(1, len(values) + 1), values.detach().float().cpu().numpy())
    axes.set(xlabel="step", ylabel=ylabel)
    return figure
