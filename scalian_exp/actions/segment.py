"""Segment an image, and derive which classes it contains and in which boxes."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from scalian_exp.actions.action import Action, check_channels, data_of, prepared, save_figure
from scalian_exp.actions.bands import counts, likeliest, painted_over, pixels, resized, spans, tent, unit
from scalian_exp.actions.boxes import Box, boxes, save_boxes
from scalian_exp.actions.scales import at_scales
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.datasets.image_files import WHITE, chosen, opened, seen
from scalian_exp.figures.grids import show, to_array
from scalian_exp.figures.segmentation import colours, legend, overlaid
from scalian_exp.memory import amount
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal

LARGEST = 500_000_000
"""Most bytes held at once for the pixels that the network sees, unless twice a training image's bytes are more.

With all imports and an image of 6000×4000 pixels, which take 0.9 GB, this stays below 1.5 GB.
"""
CRF_BYTES, CRF_BYTES_PER_CLASS = 550, 19
"""Bytes that the CRF needs per pixel, measured on photos; noise needs up to half as much again."""
LARGEST_IMAGE = 2**27
"""Most pixels of the image itself, which is held in 8 bits."""
MOST_OVERLAP = 0.9
"""Largest overlap of tiles; beyond it their number explodes."""
FIGURE_SIDE = 1200
"""Side, in pixels, of images in the figure, which can't show more."""


class Segment(Action):
    """Segmentation of an image, with the classification and detection that follow from it.

    Writes mask.png (class numbers, with a palette), overlay.png, boxes.csv, and answers.png: which classes, in which
    boxes, at which pixels. The network sees a file at the scale of its training images: scaled to cover their size, or
    to fit inside if they were padded; nothing is cropped and proportions are kept. The probabilities are resized back
    to the file's size.

    Args:
        image: an image file; without it, a test image.
        index: index of the test image.
        scale: scale of the file for the network: 1 is its original size; null that of the training images.
        scales: factors of that scale over which class probabilities are averaged, tile by tile.
        flip: average over the left-right mirror image, too.
        tile_size: side in pixels; larger images are divided into overlapping tiles whose probabilities are averaged.
        overlap: overlap of neighbouring tiles, as a fraction of their side, at most 0.9.
        smallest_region: pixels; smaller regions get no box, nor does one that reaches all four edges (a background).
    """

    def __init__(
        self,
        image: str | None = None,
        index: NonNegativeInt = 0,
        scale: PositiveFloat | None = None,
        scales: Sequence[PositiveFloat] = (1,),
        flip: bool = False,
        tile_size: PositiveInt = 512,
        overlap: Fraction = 0.25,
        smallest_region: PositiveInt = 50,
    ):
        self.image, self.index, self.scale, self.scales, self.flip = image, index, scale, scales, flip
        if overlap > MOST_OVERLAP:
            raise Refusal(f"overlap={overlap}: tiles can share at most {MOST_OVERLAP} of their side; give less.")
        self.tile_size, self.overlap, self.smallest_region = tile_size, overlap, smallest_region

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Segment the image and write the masks, boxes and figure.

        Raises:
            Refusal: if the image can't be read or is too large.
        """
        x = self.picture(model)
        seen = self.scaled(model, x)
        if seen.numel() < x.numel():
            sizes = ["×".join(map(str, image.shape[-2:])) for image in (seen, x)]
            print("The network sees the image at {} of its {} pixels; scale=1 is its original size.".format(*sizes))
        tile = [min(side, self.tile_size) for side in seen.shape[-2:]]
        with at_scales(model, self.scales, self.flip, tile, most=LARGEST):
            mask = self.mask(model, seen, *x.shape[-2:])
        del seen  # which may be larger than all that follows
        task, names = model.task, model.task.class_names
        classes = colours(task.num_classes, task.palette)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "mask.png", folder / "overlay.png"]
        indexed = Image.fromarray(mask.numpy(), mode="P")
        indexed.putpalette((classes * 255).round().astype(np.uint8).tobytes())
        indexed.save(files[0])
        Image.fromarray(painted_over(x[0], mask, classes)).save(files[1])
        regions = boxes(mask, self.smallest_region)
        figure = answers(x[0], mask, regions, classes, names)
        return [
            *files,
            save_boxes(regions, names, folder / "boxes.csv"),
            save_figure(figure, folder / "answers.png", model),
        ]

    def picture(self, model: Loaded) -> Tensor:
        """Read the image (1, C, H, W): a file in 8 bits, a test image in [0, 1]."""
        if self.image is not None:
            channels = model.config["dataset"]["in_channels"]
            check_channels(channels)
            background = model.config["dataset"].get("background") or WHITE
            with opened(*chosen(self.image)) as image:
                original = pixels(seen(image, channels, background))
            return original.unsqueeze(0).to(model.task.device)
        data = data_of(model)
        if self.index >= (size := len(data.splits["test"])):
            raise Refusal(f"index={self.index}: there are {size} test images, counted from 0.")
        picture: Tensor = prepared(model, data, data.splits["test"][torch.tensor([self.index])])["image"]
        return picture

    def scaled(self, model: Loaded, x: Tensor) -> Tensor:
        """Resize the image to the scale of the training images; unchanged if it has that size, otherwise in [0, 1].

        Raises:
            Refusal: if it is too large before or after.
        """
        height, width = x.shape[-2:]
        trained = model.config["dataset"]["image_size"]
        alike = min if model.config["dataset"].get("fit") == "pad" else max
        factor = self.scale or alike(trained[0] / height, trained[1] / width)
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        crf, classes = model.task.crf is not None, model.task.num_classes
        most = max(LARGEST, 2 * self.bytes_for(classes, crf, *trained))
        needed = self.bytes_for(classes, crf, *size)
        if size != (height, width):  # then the image is held in single precision, while it is resized at both heights
            row = 4 * x.shape[1] * size[1]
            needed = row * size[0] + max(needed, row * height)
        if needed > most:
            raise Refusal(
                f"The network would see {size[0]}×{size[1]} pixels, which with probabilities of {classes} classes"
                f"{' and CRF' * crf} take {amount(needed)}, but at most {amount(most)} are allowed; take a smaller "
                f"scale{' or tile_size' * (not crf)}."
            )
        if height * width > LARGEST_IMAGE:
            raise Refusal(f"The image has {height}×{width} pixels, more than memory may hold; take a smaller image.")
        return x if size == (height, width) else resized(x, size)

    def mask(self, model: Loaded, x: Tensor, height: int, width: int) -> Tensor:
        """Return the likeliest class of every pixel, uint8 (height, width), of an image as the network sees it."""
        parts = self.probabilities(model, x)
        if model.task.crf is not None:  # whose extents are in pixels of training images
            parts = iter([model.task.crf(torch.cat([*parts], 2).clamp_min(1e-9).log(), unit(x))])
        return likeliest(parts, x.shape[-2], height, width).cpu()

    def probabilities(self, model: Loaded, x: Tensor) -> Iterator[Tensor]:
        """Yield class probabilities (1, K, h, W) of bands of rows, which together make up the image, from the top.

        They are averaged where tiles overlap, with less weight near their edges.
        """
        height, width = x.shape[-2:]
        rows = [*spans(height, self.tile_size, self.overlap)]
        total = torch.zeros(1, model.task.num_classes + 1, rows[0].stop, width, device=x.device)  # the last: weights
        for band, following in pairwise([*rows, slice(height, height)]):
            for columns in spans(width, self.tile_size, self.overlap):
                tile = x[..., band, columns]
                weight = torch.outer(tent(tile.shape[-2]), tent(tile.shape[-1])).to(x.device)
                logits = model.task.logits(unit(tile).to(model.task.dtype)).float()
                total[:, :-1, :, columns] += weight * F.softmax(logits, 1)
                total[:, -1, :, columns] += weight
            complete = following.start - band.start  # rows that no later tile reaches
            yield total[:, :-1, :complete].div_(total[:, -1:, :complete])
            total = F.pad(total[:, :, complete:], (0, 0, 0, following.stop - band.stop))

    def bytes_for(self, classes: int, crf: bool, height: int, width: int) -> int:
        """Estimate the bytes of an image's probabilities and weights: for a CRF of all rows, else of a row of tiles."""
        if crf:
            return height * width * (4 * (classes + 1) + CRF_BYTES + CRF_BYTES_PER_CLASS * classes)
        return 2 * min(height, self.tile_size) * width * 4 * (classes + 1)  # the factor 2 is for a copy


def answers(image: Tensor, mask: Tensor, regions: list[Box], classes: np.ndarray, names: list[str] | None) -> Figure:
    """Draw classification, detection and segmentation side by side."""
    height, width = mask.shape
    figure = Figure(figsize=(15, 1.2 + 4.4 * height / width), layout="compressed")
    left, middle, right = figure.subplots(1, 3)
    shares = counts(mask.numpy(), len(classes)) / mask.numel()
    present = [k for k in (-shares).argsort(kind="stable").tolist() if shares[k] > 0]
    parts = [f"{called(names, k)}: {100 * float(shares[k]):.0f} %" for k in present[:6] if shares[k] >= 0.01]
    every = -(-max(height, width) // FIGURE_SIDE)
    small, small_mask = unit(image[:, ::every, ::every]), mask[::every, ::every]
    show(left, to_array(small), "classification: which classes?\nshare of pixels: " + ", ".join(parts))
    left.title.set_wrap(True)
    show(middle, to_array(small), f"detection: in which boxes? ({len(regions)} connected regions)", (height, width))
    for box in regions:
        size = (box.right - box.left, box.bottom - box.top)
        middle.add_patch(
            Rectangle((box.left - 0.5, box.top - 0.5), *size, fill=False, edgecolor=classes[box.class_number], lw=1.5)
        )
        written = "black" if classes[box.class_number].mean() > 0.5 else "white"
        middle.text(box.left, box.top, called(names, box.class_number), size=6, va="bottom", color=written,
                    bbox={"facecolor": classes[box.class_number], "lw": 0, "pad": 1}, clip_on=True)  # fmt: skip
    show(right, overlaid(small, small_mask, classes), "segmentation: which pixels?")
    legend(figure, present, classes, names)
    figure.suptitle("three questions about one image, all answered by the class of each pixel")
    return figure
