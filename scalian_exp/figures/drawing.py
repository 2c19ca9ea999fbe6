"""Figures of images drawn step by step: canvases, and the windows that each step read and wrote."""

from collections.abc import Iterator, Sequence

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from scalian_exp.figures.grids import label_columns, show, tile

READ, WRITE = (0.34, 0.71, 0.91), (0.9, 0.62, 0.0)
"""colours of the windows that are read and written to: blue and orange, told apart with any colour vision"""
SIDE = 84
"""smallest length of an image's longer side after enlarging, in pixels"""


def enlarged(images: Tensor, scale: int | None = None) -> Tensor:
    """Convert images (N, C, H, W) to three channels, and enlarge pixels, by default until an outline can be seen."""
    count, channels, height, width = images.shape
    colours = (
        images.float().expand(-1, 3, -1, -1) if channels == 1 else images.new_zeros(count, 3, height, width).float()
    )
    if channels > 1:
        colours[:, : min(channels, 3)] = images[:, :3]
    scale = scale or -(-SIDE // max(height, width))
    return colours.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def outlined(images: Tensor, boxes: Tensor, colour: Sequence[float], scale: float) -> Tensor:
    """Draw the outline of a box on each image (N, 3, H, W).

    Args:
        images: the images.
        boxes: left, top, right, bottom (N, 4) in units of `scale` pixels; parts outside the image are not drawn.
        colour: of the outline.
        scale: pixels per unit.
    """
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


def frames(
    canvases: Tensor, write: Tensor | None, read: Tensor | None = None, scale: int | None = None
) -> Iterator[Tensor]:
    """Yield an enlarged picture (N, 3, H', W') for each step, with the windows that it wrote (orange) and read (blue).

    Args:
        canvases: (T, N, C, H, W) in [0, 1].
        write: windows (T, N, 4) in pixels.
        read: windows (T, N, 4) in pixels.
        scale: factor of the enlargement.
    """
    for step, canvas in enumerate(canvases):
        picture = enlarged(canvas, scale)
        for boxes, colour in ((read, READ), (write, WRITE)):
            if boxes is not None:
                picture = outlined(picture, boxes[step], colour, picture.shape[-1] / canvas.shape[-1])
        yield picture


def drawing_strip(
    canvases: Tensor, write: Tensor | None, read: Tensor | None = None, originals: Tensor | None = None, most: int = 10
) -> Figure:
    """Draw a row for each of N images: the original, if there is one, then at most `most` of the steps as in `frames`.

    Args:
        canvases: (T, N, C, H, W) in [0, 1]; the last step is always shown.
        write: windows (T, N, 4) in pixels.
        read: windows (T, N, 4) in pixels.
        originals: images (N, C, H, W) in [0, 1].
        most: largest number of steps.
    """
    shown = torch.linspace(0, len(canvases) - 1, min(most, len(canvases))).round().long()
    written, seen = (None if boxes is None else boxes[shown] for boxes in (write, read))
    columns = [*([] if originals is None else [enlarged(originals)]), *frames(canvases[shown], written, seen)]
    names = [*([] if originals is None else ["original"]), *(f"step {i + 1}" for i in shown.tolist())]
    picture = tile(torch.stack(columns, 1).flatten(0, 1), len(columns))
    height, width = (side / 90 for side in picture.shape[:2])  # inches: no line is lost by scaling down
    figure = Figure(figsize=(max(width, 6), height + 0.4), layout="compressed")
    axes = figure.add_subplot()
    show(axes, picture)
    label_columns(axes, picture, names)
    figure.suptitle(f"images drawn in {len(canvases)} steps: the canvas after each{windows_meant(write, read)}")
    return figure


def windows_meant(write: Tensor | None, read: Tensor | None) -> str:
    """Explain the windows' colours."""
    looked = "" if read is None else ", blue: the part of the original that it looks at"
    return "" if write is None else f"\norange: the part that the step writes to{looked}"


def bars_by_step(values: Tensor, ylabel: str, title: str = "") -> Figure:
    """Draw a bar for each of T values, one a step."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(1, len(values) + 1), values.detach().float().cpu().numpy())
    axes.set(xlabel="step", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title)
    return figure
