"""Figures of segmentations. Labels (H, W) are class numbers; −100 is void and drawn grey."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.grids import show, to_array

Palette = Sequence[Sequence[int]]
VOID_GREY = 0.6


def colours(num_classes: int, palette: Palette | None) -> np.ndarray:
    """Return a colour for each class, (num_classes, 3) in [0, 1]: the data set's palette, or well-separated ones."""
    if palette is not None:
        return np.asarray(palette, dtype=np.float32) / 255
    name = next((name for name, most in (("tab10", 10), ("tab20", 20)) if num_classes <= most), "nipy_spectral")
    places = np.arange(num_classes) if num_classes <= 20 else np.linspace(0, 1, num_classes)
    drawn: np.ndarray = matplotlib.colormaps[name](places)[:, :3].astype(np.float32)
    return drawn


def painted(labels: Tensor, classes: np.ndarray) -> np.ndarray:
    """Paint labels (H, W) in the classes' colours: (H, W, 3)."""
    ids = labels.cpu().numpy()
    return np.where(ids[..., None] < 0, VOID_GREY, classes[np.maximum(ids, 0)])


def overlaid(image: Tensor, labels: Tensor, classes: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """Lay the classes' colours over an image (C, H, W): (H, W, 3)."""
    return (1 - strength) * to_array(image) + strength * painted(labels, classes)


def legend(
    figure: Figure, there: Sequence[int], classes: np.ndarray, names: Sequence[str] | None, void: bool = False
) -> None:
    """Add a legend of the classes' colours beside the figure, and of void if there is any."""
    patches = [Patch(facecolor=classes[k], edgecolor="grey", label=called(names, k)) for k in there]
    if void:
        patches.append(Patch(facecolor=str(VOID_GREY), edgecolor="grey", label="void, not scored"))
    figure.legend(handles=patches, loc="outside right upper", fontsize="small")


def segmentations(
    images: Tensor,
    labels: Tensor,
    predicted: Tensor,
    num_classes: int,
    palette: Palette | None,
    names: Sequence[str] | None,
    refined: bool = False,
) -> Figure:
    """Draw rows of image, truth, prediction and error (red: wrong).

    Args:
        images: (B, C, H, W).
        labels: (B, H, W).
        predicted: (B, H, W).
        num_classes: number of classes.
        palette: colours of the data set, 0 to 255.
        names: of the classes.
        refined: whether the prediction is the CRF's.
    """
    classes = colours(num_classes, palette)
    count, (height, width) = len(images), images.shape[-2:]
    figure = Figure(figsize=(12.5, 0.4 + count * 2.7 * height / width), layout="constrained")
    rows = figure.subplots(count, 4, squeeze=False)
    for axes, image, truth, guess in zip(rows, images, labels, predicted, strict=True):
        wrong = (guess != truth) & (truth >= 0)
        error = np.ones((height, width, 3), dtype=np.float32)
        error[(truth < 0).cpu().numpy()] = VOID_GREY
        error[wrong.cpu().numpy()] = (0.85, 0.1, 0.1)
        pictures = (to_array(image), painted(truth, classes), painted(guess, classes), error)
        for place, picture in zip(axes, pictures, strict=True):
            show(place, picture)
            place.spines[:].set(visible=True, color="lightgrey")  # a picture may be as white as the page
    third = "prediction with the CRF" if refined else "prediction"
    for place, title in zip(rows[0], ("image", "truth", third, "error: red is wrong"), strict=True):
        place.set_title(title)
    there = torch.cat([labels[labels >= 0], predicted.flatten()]).unique().tolist()
    legend(figure, there, classes, names, void=bool((labels < 0).any()))
    return figure


def iou_bars(iou: Tensor, names: Sequence[str] | None) -> Figure:
    """Draw the IoU of each class (K,) as bars, and the mean as a line; classes that never occur have no bar."""
    classes = len(iou)
    figure = Figure(figsize=(2 + 0.45 * classes, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.bar([called(names, k) for k in range(classes)], iou.nan_to_num().cpu().numpy())
    axes.axhline(float(iou.nanmean()), color="black", linestyle="--", label=f"mean {float(iou.nanmean()):.3f}")
    axes.set(ylabel="IoU", ylim=(0, 1))
    axes.tick_params(axis="x", rotation=60)
    axes.legend()
    return figure
