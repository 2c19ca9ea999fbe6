"""Figures of segmentations. Labels (H, W) are class numbers; −100 is void and drawn grey."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.colours import DISTINCT
from scalian_exp.figures.grids import show, to_array

Palette = Sequence[Sequence[int]]
VOID_GREY = 0.6


def colours(num_classes: int, palette: Palette | None) -> np.ndarray:
    """Return a colour for each class, (num_classes, 3) in [0, 1]: the data set's palette, or well-separated ones."""
    if palette is not None:
        return np.asarray(palette, dtype=np.float32) / 255
    if num_classes <= len(DISTINCT):
        return to_rgba_array(DISTINCT[:num_classes])[:, :3].astype(np.float32)
    name = "tab20" if num_classes <= 20 else "nipy_spectral"
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
    rows = max(1, int(figure.get_figheight() / 0.22) - 3)
    figure.legend(handles=patches, loc="outside right upper", fontsize="medium", ncols=-(-len(patches) // rows))


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
    figure = Figure(figsize=(12.5, 0.4 + count * 2.6 * height / width), layout="compressed")
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
    figure.suptitle("the class of each pixel")
    there = torch.cat([labels[labels >= 0], predicted.flatten()]).unique().tolist()
    legend(figure, there, classes, names, void=bool((labels < 0).any()))
    return figure


def iou_bars(iou: Tensor, names: Sequence[str] | None) -> Figure:
    """Draw the IoU of each class (K,) as bars, and the mean as a line; classes that never occur have no bar."""
    classes, few = len(iou), len(iou) <= 20
    figure = Figure(figsize=(max(5.5, 2 + (0.5 if few else 0.26) * classes), 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(classes), iou.nan_to_num().cpu().numpy())
    for place in (k for k, value in enumerate(iou.tolist()) if value == value and few):
        axes.text(place, float(iou[place]) + 0.01, f"{float(iou[place]):.2f}", ha="center", fontsize="small")
    axes.axhline(float(iou.nanmean()), color="black", linestyle="--", label=f"mean {float(iou.nanmean()):.3f}")
    ticks = [called(names, k) for k in range(classes)]
    axes.set_xticks(range(classes), ticks, rotation=45 if few else 90, ha="right" if few else "center")
    axes.set(xlabel="class", ylabel="IoU, 0 to 1", ylim=(0, 1.05), xlim=(-0.6, classes - 0.4))
    axes.legend(loc="upper right")
    figure.suptitle("intersection over union (IoU) of truth and prediction, by class")
    return figure
