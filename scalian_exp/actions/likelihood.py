"""Compute the exact likelihood of images, and show which pixels are surprising."""

import math
from pathlib import Path

import torch

from scalian_exp.actions.action import Action, save_figure
from scalian_exp.actions.pixel_by_pixel import exact_inputs
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.ranges import PositiveInt

CHUNK = 16
"""Images evaluated at once."""


class Likelihood(Action):
    """Exact negative log-likelihood of images, and a figure of the model's expectation at every pixel.

    The figure shows, for up to ten images, the expected value of each pixel given the earlier ones (the probability of
    white for binary images) and the bits that the pixel costs.

    Args:
        image: an image file; without it, test images.
        count: number of test images, spread over the split.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10):
        self.image, self.count = image, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Print the mean negative log-likelihood with its standard error, and write the figure."""
        x = exact_inputs(model, self.image, self.count)
        parts = [model.task.network.next_pixel(part) for part in x.split(CHUNK)]
        expected, nats = (torch.cat(part) for part in zip(*parts, strict=True))
        each = nats.flatten(1).sum(1)
        mean, bits = float(each.mean()), float(each.mean()) / math.log(2) / x[0].numel()
        spread = f" ± {float(each.std()) / len(x) ** 0.5:.2f}" if len(x) > 1 else ""
        images = f"{len(x)} images, ± is the mean's standard error" if len(x) > 1 else "1 image"
        print(f"nll          {mean:.2f}{spread} nats per image, {bits:.3f} bits per dimension ({images})")
        surprise = nats[:10].sum(1, keepdim=True) / math.log(2)
        most = float(surprise.max())
        pictures = {"image": x[:10], "expected": expected[:10], "bits": surprise / most}
        title = (
            "images, each pixel as expected from those before it, and what it costs, "
            f"from 0 (black) to {most:.1f} bits (white)"
        )
        return [save_figure(rows_of_images(pictures, title), folder / "likelihood.png", model)]
