"""Figures of images. All take tensors (N, C, H, W) with pixels in [0, 1], on any device."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

LOWEST = 1.2
"""inches that a figure is high at least, so that its title leaves room for flat images"""


def to_array(image: Tensor) -> np.ndarray:
    """Convert an image (C, H, W) to (H, W, 3) for matplotlib; one channel is repeated, two get an empty third."""
    image = image.detach().float().clamp(0, 1).cpu()
    if len(image) == 1:
        image = image.expand(3, -1, -1)
    array = np.zeros((*image.shape[1:], 3), dtype=np.float32)
    array[..., : min(len(image), 3)] = image[:3].permute(1, 2, 0).numpy()
    return array


def tile(images: Tensor, columns: int, gap: int = 1) -> np.ndarray:
    """Return one picture (H', W', 3) of all images in rows of `columns`, with white gaps of `gap` pixels."""
    count, _, height, width = images.shape
    rows = math.ceil(count / columns)
    canvas = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), dtype=np.float32)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = to_array(image)
    return canvas


def show(axes: Axes, picture: np.ndarray, title: str = "", size: tuple[int, int] | None = None) -> None:
    """Show an image on axes without ticks, keeping its pixels sharp.

    Args:
        axes: the axes.
        picture: (H, W) or (H, W, 3).
        title: above the image.
        size: height and width in which positions on the image are counted, if it stands for a larger one.
    """
    height, width = size or picture.shape[:2]
    axes.imshow(picture, interpolation="nearest", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def image_grid(images: Tensor, columns: int | None = None, title: str = "") -> Figure:
    """Draw all images in rows, as square as possible unless `columns` is given."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    picture = tile(images, columns)
    figure = Figure(figsize=(8, max(LOWEST, 8 * picture.shape[0] / picture.shape[1])), layout="compressed")
    show(figure.add_subplot(), picture)
    figure.suptitle(title)
    return figure


def rows_of_images(
    rows: dict[str, Tensor], title: str = "", columns: int | None = None, headings: Sequence[str] = ()
) -> Figure:
    """Draw rows of images (N, C, H, W) below one another, each with its name, such as input or output.

    Args:
        rows: as many images for each name.
        title: above the figure.
        columns: how many images lie side by side, if not all of a row do.
        headings: names of the columns, if they have any.
    """
    pictures = [tile(images, columns or len(images)) for images in rows.values()]
    height, width = pictures[0].shape[:2]
    tall = max(LOWEST, 9.4 * height / width * len(rows) + 0.1)
    figure = Figure(figsize=(10, tall), layout="compressed")
    for axes, name, picture in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, pictures, strict=True):
        show(axes, picture)
        axes.set_ylabel(name, rotation=0, horizontalalignment="right", verticalalignment="center", fontsize="large")
    label_columns(figure.axes[0], pictures[0], headings)
    figure.suptitle(title)
    return figure


def label_columns(axes: Axes, picture: np.ndarray, names: Sequence[str]) -> None:
    """Write the names of the columns above a row of images that `tile` put side by side."""
    pitch = (picture.shape[1] + 1) / max(1, len(names))
    axes.set_xticks([(i + 0.5) * pitch - 1 for i in range(len(names))], names)
    axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)


def side_by_side(pictures: dict[str, Tensor], title: str = "") -> Figure:
    """Draw one image (1, C, H, W) each side by side, with its name above."""
    figure = Figure(figsize=(4 * len(pictures), 4.3), layout="compressed")
    for axes, (name, image) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures.items(), strict=True):
        show(axes, to_array(image[0]), name)
    figure.suptitle(title)
    return figure


def heat_map(values: Tensor, title: str, unit: str, most: float | None = None) -> Figure:
    """Draw non-negative numbers (H, W) as colours, with their scale.

    Args:
        values: the numbers.
        title: what they are.
        unit: of the numbers, written beside their scale.
        most: the number at the end of the scale; their largest if None.
    """
    height, width = values.shape
    figure = Figure(figsize=(6.4, 1.2 + 5.2 * min(1, height / width)), layout="compressed")
    axes = figure.add_subplot()
    show(axes, values.detach().float().cpu().numpy())
    axes.images[0].set_clim(0, most)
    figure.colorbar(axes.images[0], ax=axes, label=unit)
    figure.suptitle(title)
    return figure
