"""Compute the likelihood of images: exact with the bits of every pixel, or bounded by importance sampling."""

import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.actions.action import Action, inputs, save_figure
from scalian_exp.actions.pixel_by_pixel import exact_inputs
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import AutoregressiveNetwork

CHUNK = 16
"""Images evaluated at once."""


class Likelihood(Action):
    """Negative log-likelihood of images, and a figure of what the model makes of them.

    Of a network of pixels it is exact. The figure shows, for up to ten images, the expected value of each pixel given
    the earlier ones (the probability of white for binary images) and the bits that the pixel costs. Of a model with
    latents it is an upper bound by importance sampling (Burda et al. 2016, eq. 8), and the figure shows the images, the
    most probable first, above their reconstructions.

    Args:
        image: an image file; without it, test images.
        count: number of test images, spread over the split.
        samples: number of codes per image for the bound.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10, samples: PositiveInt = 1000):
        self.image, self.count, self.samples = image, count, samples

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Print the mean negative log-likelihood with its standard error, and write the figure."""
        exact = offers(model.task.network, AutoregressiveNetwork)
        x = (exact_inputs if exact else inputs)(model, self.image, self.count)
        each = torch.cat([model.task.negative_log_likelihood(part, self.samples) for part in x.split(CHUNK)])
        mean, bits = float(each.mean()), float(each.mean()) / math.log(2) / x[0].numel()
        spread = f" ± {float(each.std()) / len(x) ** 0.5:.2f}" if len(x) > 1 else ""
        images = f"{len(x)} images, ± is the mean's standard error" if len(x) > 1 else "1 image"
        if exact:
            print(f"nll          {mean:.2f}{spread} nats per image, {bits:.3f} bits per dimension ({images})")
            figure = surprises(model, x[:10])
        else:
            print(f"nll_bound    ≤ {mean:.2f}{spread} nats per image by {self.samples} importance samples ({images})")
            if "binary" not in model.config["dataset"]["provides"]:
                print("             of grey pixels: compare only runs of the same data and loss.likelihood")
            likely = x[ranked(each)]
            pictures = {"image": likely, "reconstruction": model.task.reconstruct(likely)}
            figure = rows_of_images(pictures, "images, from the most to the least probable, and their reconstructions")
        return [save_figure(figure, folder / "likelihood.png", model)]


def ranked(values: Tensor, most: int = 10) -> Tensor:
    """Return the indices of at most `most` of the values (N,), in ascending order at even steps, with both extremes."""
    return values.argsort()[torch.linspace(0, len(values) - 1, min(most, len(values))).round().long()]


def surprises(model: Loaded, x: Tensor) -> Figure:
    """Draw images (B, C, H, W), the expectation of each of their pixels, and the bits that it costs."""
    parts = [model.task.network.next_pixel(part) for part in x.split(CHUNK)]
    expected, nats = (torch.cat(part) for part in zip(*parts, strict=True))
    surprise = nats.sum(1, keepdim=True) / math.log(2)
    most = float(surprise.max())
    title = (
        "images, each pixel as expected from those before it, and what it costs, "
        f"from 0 (black) to {most:.1f} bits (white)"
    )
    return rows_of_images({"image": x, "expected": expected, "bits": surprise / most}, title)
