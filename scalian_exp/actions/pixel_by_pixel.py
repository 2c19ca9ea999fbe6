"""Helpers of actions that draw images pixel by pixel: input checks, progress and interruption."""

import sys
from collections.abc import Iterator
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from scalian_exp.actions.action import inputs
from scalian_exp.checkpoint import Loaded
from scalian_exp.datasets.image_files import chosen, opened
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.autoregressive import check_pixels


def refuse_temperature(temperature: float) -> None:
    """Refuse a temperature other than 1, for networks that don't draw pixel by pixel."""
    if temperature != 1:
        raise Refusal("This network doesn't draw pixels one by one: leave temperature out.")


def exact_inputs(model: Loaded, image: str | None, count: int) -> Tensor:
    """Return the user's image or test images, after checking that their channels and values suit the network.

    Raises:
        Refusal: if they don't.
    """
    network = model.task.network
    if image is not None:
        with opened(*chosen(image)) as file:
            channels = len([band for band in file.convert().getbands() if band != "A"])
        if channels != network.shape[0]:
            raise Refusal(
                f"{image} has {channels} channels, but this network's images have {network.shape[0]}; save it "
                f"{'in grey' if network.shape[0] == 1 else 'in colours'}."
            )
    x = inputs(model, image, count)
    check_pixels(network, x, f"{image}, brought to the images' size, has" if image else "The test images have")
    return x


def completed_by(network: Any, x: Tensor, known: Tensor, temperature: float) -> Tensor:
    """Draw the unknown pixels of images; after Ctrl-C, return what is drawn so far."""
    rows = [torch.where(known, x, torch.zeros_like(x))]
    try:
        rows += with_progress(network.pixel_by_pixel(x, known, temperature), network.rows_drawn)
    except KeyboardInterrupt:
        print(f"Interrupted: {len(rows) - 1} of {network.rows_drawn} rows are drawn; the others are left black.")
    return rows[-1]


def with_progress(images: Iterator[Tensor], rows: int) -> Iterator[Tensor]:
    """Yield the images, showing progress: a bar on a terminal, otherwise four lines."""
    if sys.stdout.isatty():
        yield from track(images, "drawing", rows)
        return
    for row, image in enumerate(images, 1):
        if row * 4 // rows > (row - 1) * 4 // rows:
            print(f"drawing      row {row}/{rows}", flush=True)
        yield image
