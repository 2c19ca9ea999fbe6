"""Bounding boxes of the connected regions of a segmentation."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects, label
from torch import Tensor

from scalian_exp.actions.bands import counts
from scalian_exp.batches import called


class Box(NamedTuple):
    """Bounding box of a connected region of a class, in pixels; bottom and right are exclusive."""

    class_number: int
    top: int
    left: int
    bottom: int
    right: int


def save_boxes(regions: list[Box], names: list[str] | None, file: Path) -> Path:
    """Write a CSV table of boxes, in pixels, with exclusive bottom and right, and return its path."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["class", *Box._fields[1:]])
        table.writerows([called(names, box.class_number), *box[1:]] for box in regions)
    return file


def boxes(mask: Tensor, smallest: int) -> list[Box]:
    """Return boxes around the 4-connected regions of each class that have at least `smallest` pixels.

    Leaves out regions that reach all four edges, which are most likely a background.
    """
    ids = mask.cpu().numpy()
    present = counts(ids, int(ids.max()) + 1).nonzero()[0].tolist()
    regions = [box for number in present for box in boxes_of(ids, number, smallest)]
    return [box for box in regions if box[1:] != (0, 0, *ids.shape)]


def boxes_of(ids: np.ndarray, number: int, smallest: int) -> list[Box]:
    """Return boxes around the connected regions of one class."""
    regions, count = label(ids == number)
    large = counts(regions, count + 1) >= smallest
    large[0] = False  # number 0 is the pixels of other classes
    numbers = np.where(large, large.cumsum(), 0).astype(regions.dtype)  # of large regions: small ones may be millions
    for row in regions:  # one after the other: indices take 8 bytes a pixel
        row[:] = numbers[row]
    return [Box(number, rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(regions)]
