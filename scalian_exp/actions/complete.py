"""The missing part of an image, by a model of whole images."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from scalian_exp.actions.action import Action, check_room, inputs, save_figure, save_image
from scalian_exp.actions.pixel_by_pixel import completed_by, exact_inputs, refuse_temperature
from scalian_exp.checkpoint import Loaded
from scalian_exp.datasets.image_files import chosen, opened, seen
from scalian_exp.figures.grids import rows_of_images, side_by_side
from scalian_exp.ranges import Fraction, PositiveFloat, PositiveInt, Seed
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import SamplesByPixel
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.reconstruction import psnr


class Complete(Action):
    """Images, what is left of them, and how the model completes them; of an image file also the output, output.png.

    A network that draws pixels one after the other (`pixel_by_pixel`) sees only those that come before: of a missing
    box it doesn't know what is below.

    Args:
        image: an image file; without it, test images.
        count: how many test images; a figure shows ten of them.
        region: what is missing: a half, a box in the middle, or pixels at random.
        share: of the sides of the image that the box takes, or of the pixels at random.
        mask: instead of a region, an image file of the images' size, white where something is missing.
        completions: of each image.
        temperature: of networks that draw pixels one after the other; below 1 they take the more probable values.
        seed: of the noise.
    """

    def __init__(
        self,
        image: str | None = None,
        count: PositiveInt = 10,
        region: Literal["bottom", "top", "left", "right", "box", "random"] = "bottom",
        share: Fraction = 0.5,
        mask: str | None = None,
        completions: PositiveInt = 1,
        temperature: PositiveFloat = 1.0,
        seed: Seed = 0,
    ):
        self.image, self.count, self.region, self.share, self.mask = image, count, region, share, mask
        self.completions, self.temperature, self.seed = completions, temperature, seed

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        network = model.task.network
        by_pixel = offers(network, SamplesByPixel)
        x = (exact_inputs if by_pixel else inputs)(model, self.image, self.count)
        check_room(model, len(x) * self.completions)
        torch.manual_seed(self.seed)
        known = self.known(x)
        if bool(known.all()):
            raise Refusal(
                "Nothing is missing: the mask has no white pixel, or the share is too small; give another one."
            )
        left = x * known
        several, all_known = x.repeat(self.completions, 1, 1, 1), known.repeat(self.completions, 1, 1, 1)
        if by_pixel:
            completed = completed_by(network, several, all_known, self.temperature)
        else:
            refuse_temperature(self.temperature)
            completed = network.complete(several, all_known)
        before, after = psnr(left, x).mean(), psnr(completed, several).mean()
        drawn_ones = ", of what is drawn, not of a mean" if by_pixel else ""
        print(f"PSNR         {before:.2f} dB → {after:.2f} dB ({len(completed)} completions{drawn_ones})")
        results = completed.split(len(x))
        names = [f"completed {number}" for number in range(1, len(results) + 1)] if len(results) > 1 else ["completed"]
        given = torch.where(known, x, torch.full_like(x, 0.5))  # grey where pixels are missing
        pictures = {"whole": x, "given": given, **dict(zip(names, results, strict=True))}
        shown = {name: images[:10] for name, images in pictures.items()}
        figure = rows_of_images(shown) if len(x) > 1 else side_by_side(shown)
        files = [save_figure(figure, folder / "completed.png")]
        return files if self.image is None else [*files, save_image(results[0], folder / "output.png")]

    def known(self, x: Tensor) -> Tensor:
        """Which pixels are given, (B, 1, H, W), bool."""
        count, _, height, width = x.shape
        known = torch.ones(count, 1, height, width, dtype=torch.bool, device=x.device)
        if self.mask is not None:
            return known & ~read_mask(self.mask, height, width).to(x.device)
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


def read_mask(path: str, height: int, width: int) -> Tensor:
    """Where a file is rather white than black, (H, W), bool.

    Raises:
        Refusal: if it has another size.
    """
    with opened(*chosen(path)) as image:
        if image.size != (width, height):
            raise Refusal(
                f"The mask {path} has {image.size[1]}×{image.size[0]} pixels (height × width), but the images have "
                f"{height}×{width}; save it in that size."
            )
        return torch.from_numpy(np.asarray(seen(image, 1)) > 127)
