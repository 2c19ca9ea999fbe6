"""Process large images in little memory: stored in 8 bits, and processed in bands of rows or in tiles."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scalian_exp.figures.segmentation import overlaid

BAND = 2**20
"""Approximate number of pixels in a band."""


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows that cover an image, of about 2²⁰ pixels or values each."""
    rows = max(1, BAND // width)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def spans(side: int, size: int, overlap: float) -> Iterator[slice]:
    """Yield evenly spread slices of at most `size` pixels that cover a side and overlap by at least this fraction."""
    size = min(size, side)
    step = max(1, int(size * (1 - overlap)))
    count = 1 + -(-(side - size) // step)
    for start in np.linspace(0, side - size, count).round().astype(int).tolist():
        yield slice(start, start + size)


def tent(size: int) -> Tensor:
    """Return weights (size,) that are 1 at both edges and grow linearly to the middle."""
    places = torch.arange(size)
    return torch.minimum(places, size - 1 - places).float() + 1


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
    narrowed = torch.empty(*x.shape[:2], height, size[1], device=x.device)
    for rows in bands(height, width):
        band = unit(x[..., rows, :])
        narrowed[..., rows, :] = F.interpolate(band, (band.shape[-2], size[1]), mode="bilinear", antialias=True)
    return F.interpolate(narrowed, size, mode="bilinear", antialias=True).clamp_(0, 1)


def likeliest(parts: Iterable[Tensor], rows: int, height: int, width: int) -> Tensor:
    """Return the most probable classes (H, W), uint8, interpolating probabilities bilinearly.

    Args:
        parts: probabilities (1, K, h, w) of bands of rows, from the top to the bottom.
        rows: the number of rows of all bands together.
        height: the result's.
        width: the result's.
    """
    masks, top, done, last = [], 0, 0, None
    for part in parts:
        band = part if last is None else torch.cat([last, part], 2)
        bottom = top + band.shape[-2]
        above = places(slice(done, height), rows, height, part.device).long()
        ready = height if bottom == rows else done + int((above + 1 < bottom).sum())
        for step in bands(ready - done, width * band.shape[1]):
            wanted = slice(done + step.start, done + step.stop)
            part = rows_at(band, wanted, height, top, rows)
            part = F.interpolate(part, (part.shape[-2], width), mode="bilinear")[0]
            masks.append(part.argmax(0).to(torch.uint8))
        done, top, last = ready, bottom - 1, band[..., -1:, :].clone()
    return torch.cat(masks)


def places(wanted: slice, rows: int, height: int, device: torch.device) -> Tensor:
    """Return where the rows of an image of some height lie between the rows of a map of another."""
    numbers = torch.arange(wanted.start, wanted.stop, device=device)
    return ((numbers + 0.5) * (rows / height) - 0.5).clamp(0, rows - 1)


def rows_at(x: Tensor, wanted: slice, height: int, top: int, rows: int) -> Tensor:
    """Return some rows of a map interpolated linearly to a height, as with `align_corners=False`.

    Args:
        x: the rows of the map (…, h, w) from `top` on, as far as they are needed.
        wanted: the numbers of the rows to return.
        height: the height of the image to which they belong.
        top: the number of the first row of `x`.
        rows: the number of rows of the whole map.
    """
    lying = places(wanted, rows, height, x.device)
    above = lying.long()
    share = (lying - above).unsqueeze(-1)
    return x[..., above - top, :].lerp(x[..., (above + 1).clamp_max(rows - 1) - top, :], share)


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
