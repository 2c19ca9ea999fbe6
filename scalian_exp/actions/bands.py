"""Process large images in little memory: they are stored in 8 bits and processed in bands of rows."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scalian_exp.figures.segmentation import overlaid

BAND = 2**20
"""Approximate number of pixels in a band."""


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows that cover an image, of about 2²⁰ pixels each."""
    rows = max(1, BAND // width)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def pixels(image: Image.Image) -> Tensor:
    """Convert an 8-bit grey or RGB image to a uint8 tensor (C, H, W)."""
    width, height = image.size
    values = np.empty((height, width, len(image.getbands())), dtype=np.uint8)
    for rows in bands(height, width):
        values[rows] = np.asarray(image.crop((0, rows.start, width, rows.stop))).reshape(-1, *values.shape[1:])
    return torch.from_numpy(values).permute(2, 0, 1)


def unit(x: Tensor) -> Tensor:
    """Scale 8-bit pixels to [0, 1]; return other tensors unchanged."""
    return x / 255 if x.dtype == torch.uint8 else x


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image (1, C, H, W), in 8 bits or in [0, 1], with antialiasing; the result is in [0, 1]."""
    height, width = x.shape[-2:]
    # The width is resized first, for which bands of rows are independent of each other, then the height.
    narrowed = [
        F.interpolate(band := unit(x[..., rows, :]), (band.shape[-2], size[1]), mode="bilinear", antialias=True)
        for rows in bands(height, width)
    ]
    return F.interpolate(torch.cat(narrowed, 2), size, mode="bilinear", antialias=True).clamp(0, 1)


def likeliest(probabilities: Tensor, height: int, width: int) -> Tensor:
    """Return the most probable classes (H, W), uint8, interpolating probabilities (1, K, h, w) bilinearly."""
    mask = torch.empty(height, width, dtype=torch.uint8, device=probabilities.device)
    for rows in bands(height, width):
        band = rows_at(probabilities, rows, height)
        mask[rows] = F.interpolate(band, (band.shape[-2], width), mode="bilinear")[0].argmax(0)
    return mask


def rows_at(x: Tensor, rows: slice, height: int) -> Tensor:
    """Return some rows of a map (…, h, w) interpolated linearly to a height, as with `align_corners=False`."""
    last = x.shape[-2] - 1
    places = (torch.arange(rows.start, rows.stop, device=x.device) + 0.5) * (x.shape[-2] / height) - 0.5
    places = places.clamp(0, last)
    above = places.long()
    share = (places - above).unsqueeze(-1)
    return x[..., above, :].lerp(x[..., (above + 1).clamp_max(last), :], share)


def painted_over(image: Tensor, mask: Tensor, classes: np.ndarray) -> np.ndarray:
    """Blend the colours of a mask (H, W) into its image (C, H, W); the result is in 8 bits (H, W, 3)."""
    picture = np.empty((*mask.shape, 3), dtype=np.uint8)
    for rows in bands(*mask.shape):
        picture[rows] = overlaid(unit(image[:, rows]), mask[rows], classes) * 255
    return picture


def counts(labels: np.ndarray, number: int) -> np.ndarray:
    """Count the pixels of labels (H, W) with each value from 0 to number − 1."""
    total = np.zeros(number, dtype=np.int64)
    for rows in bands(*labels.shape):
        total += np.bincount(labels[rows].ravel(), minlength=number)
    return total
