"""How probable an image is, and where it surprises."""

import math
from pathlib import Path

import torch

from scalian_exp.actions.action import Action, save_figure
from scalian_exp.actions.pixel_by_pixel import exact_inputs
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.ranges import PositiveInt

CHUNK = 16
"""images at once"""


class Likelihood(Action):
    """−log p of an image, exactly; and of ten at most, a figure of what was expected at every pixel, given those before
    it (of two values, the probability of white), and of the bits that the pixel cost.

    Args:
        image: an image file; without it, test images.
        count: how many test images, spread over the split.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10):
        self.image, self.count = image, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        x = exact_inputs(model, self.image, self.count)
        parts = [model.task.network.next_pixel(part) for part in x.split(CHUNK)]
        expected, nats = (torch.cat(part) for part in zip(*parts, strict=True))
        each = nats.flatten(1).sum(1)
        mean, bits = float(each.mean()), float(each.mean()) / math.log(2) / x[0].numel()
        spread = f" ± {float(each.std()) / len(x) ** 0.5:.2f}" if len(x) > 1 else ""
        images = f"{len(x)} images, ± is the mean's standard error" if len(x) > 1 else "1 image"
        print(f"nll          {mean:.2f}{spread} nats an image, {bits:.3f} bits a dimension ({images})")
        surprise = nats[:10].sum(1, keepdim=True) / math.log(2)
        most = float(surprise.max())
        pictures = {"image": x[:10], "expected": expected[:10], "bits": surprise / most}
        return [save_figure(rows_of_images(pictures, f"bits: white is {most:.1f}"), folder / "likelihood.png")]
