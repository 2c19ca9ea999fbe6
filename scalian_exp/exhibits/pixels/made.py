"""Completions of test images, computed when the page is built, of networks that are too large to run on it."""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.pack import Pack
from scalian_exp.networks.pixel_multiscale import MultiScale

COPIES = 6
GRID = 8
"""rows and columns, at most, of pixels whose gradients are computed"""
MASKS = ("bottom", "top", "centre", "all", "none")
"""parts that can be erased"""


def known(mask: str, height: int, width: int) -> Tensor:
    """Return the mask (1, H, W), bool, of the pixels that are kept."""
    left = torch.ones(1, height, width, dtype=torch.bool)
    rows = {"bottom": slice(height // 2, None), "top": slice(height // 2), "none": slice(0)}
    if mask == "centre":
        left[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = False
    else:
        left[:, rows.get(mask, slice(None))] = False
    return left


def order(network: Any) -> Tensor:
    """Return the turn (H, W) in which each pixel is drawn: row by row, a multi-scale network's small image first."""
    _, height, width = network.shape
    turns = torch.arange(height)[:, None].repeat(1, width)
    if isinstance(network, MultiScale):
        turns += network.rows_drawn - height
        stride = network.stride
        turns[::stride, ::stride] = torch.arange(network.rows_drawn - height)[:, None]
    return turns


def make(network: Any, x: Tensor, pack: Pack) -> dict[str, Any]:
    """Add completions of images x (N, C, H, W), with the expected value of each pixel and its cost in nats.

    Arrays: `values` and `expected` (N, masks, copies, H, W, C), 0 … 255; `nats` of the same shape; `turns` (H, W);
    `gradient` (N, rows, columns, H, W), the expected value's at some pixels of the images as they are, −127 … 127 with
    square roots to show the small; and `field` (rows, columns, H, W), 1 where any is not 0.
    """
    count, _, height, width = x.shape
    left = torch.stack([known(mask, height, width) for mask in MASKS])
    many = x[:, None, None].expand(-1, len(MASKS), COPIES, -1, -1, -1).flatten(0, 2)
    masks = left[None, :, None].expand(count, -1, COPIES, -1, -1, -1).flatten(0, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = many.clone()
        somewhere = ~masks.flatten(1).all(1)
        *_, finished = network.pixel_by_pixel(many[somewhere], masks[somewhere])
        drawn[somewhere] = finished.float()
    expected, nats = network.next_pixel(drawn)
    shape = (count, len(MASKS), COPIES)
    for name, values, kind in (("values", drawn, "u1"), ("expected", expected, "u1"), ("nats", nats, "f2")):
        by_pixel = values.permute(0, 2, 3, 1).unflatten(0, shape)
        pack.add(name, (255 * by_pixel.clamp(0, 1)).round() if kind == "u1" else by_pixel, kind)  # type: ignore[arg-type]
    pack.add("turns", order(network), "i4")
    rows, columns = places(height), places(width)
    gradients = torch.stack([torch.stack([influence(network, x, r, c) for c in columns], 1) for r in rows], 1)
    most = gradients.abs().flatten(3).amax(3)[..., None, None].clamp_min(1e-30)
    pack.add("gradient", (127 * gradients.sign() * (gradients.abs() / most).sqrt()).round(), "i1")
    pack.add("field", (gradients != 0).any(0), "u1")
    return {"rows": rows, "columns": columns, "masks": list(MASKS)}


def places(size: int) -> list[int]:
    """Return at most GRID positions along an axis, its ends included."""
    return sorted({int(at) for at in torch.linspace(0, size - 1, min(GRID, size)).round()})


def influence(network: Any, x: Tensor, row: int, column: int) -> Tensor:
    """Return the gradient (N, H, W) of what is expected of a pixel, by all pixels of images x; channels are summed."""
    with torch.enable_grad():
        image = x.detach().clone().requires_grad_()
        network.next_pixel(image)[0][:, :, row, column].sum().backward()
    assert image.grad is not None
    network.zero_grad(set_to_none=True)
    return image.grad.sum(1)
