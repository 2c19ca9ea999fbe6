"""Remove noise from images."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalian_exp.actions.action import Action, inputs, save_figure, save_image
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import rows_of_images, side_by_side
from scalian_exp.networks.corruptions import Corruption, SaltAndPepper
from scalian_exp.ranges import NonNegativeFloat, PositiveInt, Seed
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import Denoises
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.reconstruction import Reconstruction, psnr


class Denoise(Action):
    """Noisy images and the model's denoised versions of them.

    Writes denoised.png, and for an image file also output.png, the denoised image. For salt-and-pepper noise, a network
    with `denoise`, such as a deep belief network, also gives the posterior mean of the clean image; output.png then
    shows that.

    Args:
        image: an image file, used as it is; without it, test images with added noise.
        count: number of test images; the figure shows ten of them.
        level: noise level; null is that of the training. For an image file, only networks with `denoise` use it.
        seed: seed of the noise.
        noise: kind of noise, for models trained without any.
    """

    def __init__(
        self,
        noise: Corruption,
        image: str | None = None,
        count: PositiveInt = 10,
        level: NonNegativeFloat | None = None,
        seed: Seed = 0,
    ):
        self.image, self.count, self.level, self.seed, self.noise = image, count, level, seed, noise

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Denoise the images, print the PSNR of test images before and after, and write the pictures.

        Raises:
            Refusal: if the level doesn't suit the noise or the input.
        """
        if self.image is not None and self.level is not None and not offers(model.task.network, Denoises):
            raise Refusal("level is the noise added to test images, but image=… is used as it is: leave one out.")
        x = inputs(model, self.image, self.count)
        corruption = (model.task.corruption if isinstance(model.task, Reconstruction) else None) or self.noise
        level = corruption.level if self.level is None else self.level
        try:
            corruption.check_level(level)
        except ValueError as error:
            raise Refusal(f"{error} (level=…)") from error
        torch.manual_seed(self.seed)
        noisy = x if self.image is not None else corruption(x, level)
        results = self.results(model, noisy, corruption, level)
        if self.image is not None:
            figure = side_by_side({"input": x, **results}, "noise removed from an image")
            return [
                save_figure(figure, folder / "denoised.png", model),
                save_image(list(results.values())[-1], folder / "output.png"),
            ]
        before = psnr(noisy.clamp(0, 1), x).mean()
        for name, images in results.items():
            print(f"{name:<12} PSNR {before:.2f} dB → {psnr(images, x).mean():.2f} dB ({len(x)} images)")
        shown = {"clean": x, "noisy": noisy, **results}
        kind = re.sub("(?<!^)(?=[A-Z])", " ", type(corruption).__name__).lower()  # "salt and pepper"
        title = f"noise removed from test images: {kind}, level {level:g}"
        figure = rows_of_images({name: x[:10] for name, x in shown.items()}, title)
        return [save_figure(figure, folder / "denoised.png", model)]

    def results(self, model: Loaded, noisy: Tensor, corruption: Any, level: float) -> dict[str, Tensor]:
        """Return denoised images by method: one pass through the network and, if it applies, Gibbs sampling."""
        results = {"denoised": model.task.reconstruct(noisy)}
        network = model.task.network
        by_sampling = offers(network, Denoises) and not network.standardised
        if by_sampling and isinstance(corruption, SaltAndPepper) and 0 < level < 1:
            gibbs = network.denoise(noisy, level / 2)  # half of the affected pixels keep their value by chance
            results = {"one pass": results["denoised"], "Gibbs": gibbs}
        return results
