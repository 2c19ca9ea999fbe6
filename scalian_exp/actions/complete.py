"""Complete the missing part of images."""

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


class Complete(Action):
    """Images with a missing part, and the model's completions of them.

    Writes completed.png, and for an image file also output.png, the completed image. A network that draws pixels one
    after the other (`pixel_by_pixel`) sees only earlier pixels: it doesn't know what is below a missing box.

    Args:
        image: an image file; without it, test images.
        count: number of test images; the figure shows ten of them.
        region: what is missing: a half, a box in the middle, or random pixels.
        share: fraction of the image's sides that the box takes, or of the pixels that are missing at random.
        mask: an image file of the images' size instead of a region, white where pixels are missing.
        completions: completions per image.
        temperature: of networks that draw pixel by pixel; values below 1 favour more probable pixels.
        seed: seed of the noise.
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
        """Complete the images and write the pictures.

        Raises:
            Refusal: if nothing is missing, or the images, mask or temperature don't suit the network.
        """
        network = model.task.network
        by_pixel = offers(network, SamplesByPixel)
        x = (exact_inputs if by_pixel else inputs)(model, self.image, self.count)
        check_room(model, len(x) * self.completions)
        torch.manual_seed(self.seed)
        known = self.known(x)
        if bool(known.all()):
            raise Refusal(
                "Nothing is missing: the mask has no white pixel, or the share is too small; give another value."
            )
        several, all_known = x.repeat(self.completions, 1, 1, 1), known.repeat(self.completions, 1, 1, 1)
        if by_pixel:
            completed = completed_by(network, several, all_known, self.temperature)
        else:
            refuse_temperature(self.temperature)
            completed = network.complete(several, all_known)
        results = completed.split(len(x))
        names = [f"completed {number}" for number in range(1, len(results) + 1)] if len(results) > 1 else ["completed"]
        given = torch.where(known, x, torch.full_like(x, 0.5))  # grey where pixels are missing
        pictures = {"original": x, "given": given, **dict(zip(names, results, strict=True))}
        shown = {name: images[:10] for name, images in pictures.items()}
        missing = 100 * float((~known).float().mean())
        title = f"images completed from what is given: {missing:.0f} % of the pixels, here grey, are missing"
        figure = rows_of_images(shown, title) if len(x) > 1 else side_by_side(shown, title)
        files = [save_figure(figure, folder / "completed.png", model)]
        return files if self.image is None else [*files, save_image(results[0], folder / "output.png")]

    def known(self, x: Tensor) -> Tensor:
        """Return which pixels of images (B, C, H, W) are given, (B, 1, H, W), bool."""
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
    """Read a mask file (H, W), bool: true where it is closer to white than to black.

    Raises:
        Refusal: if it has another size.
    """
    with opened(*chosen(path)) as image:
        if image.size != (width, height):
            raise Refusal(
                f"The mask {path} has {image.size[1]}×{image.size[0]} pixels (height × width), but the images have "
                f"{height}×{width}; save it with that size."
            )
        return torch.from_numpy(np.asarray(seen(image, 1)) > 127)
