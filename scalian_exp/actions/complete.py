"""The missing part of an image, by a model of whole images."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from scalian_exp.actions.action import Action, inputs, save_figure, save_image
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import rows_of_images, side_by_side
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveInt
from scalian_exp.tasks.reconstruction import psnr

Region = Literal["bottom", "top", "left", "right", "box", "random"]


class Complete(Action):
    """Images, what is left of them, and how the model completes them; of an image file also the output, output.png.

    Args:
        image: an image file; without it, test images.
        count: how many test images; a figure shows ten of them.
        region: what is missing: a half, a box in the middle, or pixels at random.
        share: of the sides of the image that the box takes, or of the pixels at random.
        seed: of the noise.
    """

    def __init__(
        self,
        image: str | None = None,
        count: PositiveInt = 10,
        region: Region = "bottom",
        share: Fraction = 0.5,
        seed: NonNegativeInt = 0,
    ):
        self.image, self.count, self.region, self.share, self.seed = image, count, region, share, seed

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        x = inputs(model, self.image, self.count)
        torch.manual_seed(self.seed)
        known = self.known(x)
        left = x * known
        completed = model.task.network.complete(x, known)
        print(f"PSNR         {psnr(left, x).mean():.2f} dB → {psnr(completed, x).mean():.2f} dB ({len(x)} images)")
        pictures = {"whole": x[:10], "left": left[:10], "completed": completed[:10]}
        figure = rows_of_images(pictures) if len(x) > 1 else side_by_side(pictures)
        files = [save_figure(figure, folder / "completed.png")]
        return files if self.image is None else [*files, save_image(completed, folder / "output.png")]

    def known(self, x: Tensor) -> Tensor:
        """Which pixels are given, (B, 1, H, W), bool."""
        count, _, height, width = x.shape
        known = torch.ones(count, 1, height, width, dtype=torch.bool, device=x.device)
        match self.region:
            case "bottom":
                known[:, :, height // 2 :] = False
            case "top":
                known[:, :, : height // 2] = False
            case "left":
                known[..., : width // 2] = False
            case "right":
                known[..., width // 2 :] = False
            case "box":
                tall, wide = round(height * self.share), round(width * self.share)
                top, left = (height - tall) // 2, (width - wide) // 2
                known[:, :, top : top + tall, left : left + wide] = False
            case "random":
                known = torch.rand(known.shape, device=x.device) >= self.share
        return known
