"""Draw reconstructions, interpolations and maps of the latent space."""

from pathlib import Path

import torch
from torch import Tensor

from scalian_exp.actions.action import (
    Action,
    batches,
    check_room,
    data_of,
    examples,
    image_from,
    inputs,
    save_figure,
    save_image,
    spread,
)
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.grids import image_grid, rows_of_images, side_by_side
from scalian_exp.figures.latent import latent_map
from scalian_exp.ranges import PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.decoding import probabilities


class Reconstruct(Action):
    """Images and their reconstructions; for an image file also output.png, the reconstruction alone.

    Args:
        image: an image file; without it, test images.
        count: number of test images.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10):
        self.image, self.count = image, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Reconstruct the images and write the pictures."""
        x = inputs(model, self.image, self.count)
        pictures = {"input": x, "output": model.task.reconstruct(x)}
        title = f"{'test images' if self.image is None else 'an image'}, encoded and decoded again"
        figure = rows_of_images(pictures, title) if len(x) > 1 else side_by_side(pictures, title)
        files = [save_figure(figure, folder / "reconstructions.png", model)]
        return files if self.image is None else [*files, save_image(pictures["output"], folder / "output.png")]


class Interpolate(Action):
    """Linear interpolation in the latent space, from one image's code to another's.

    Args:
        start: an image file; without it, a test image.
        end: an image file; without it, a test image.
        steps: images per interpolation, including both ends.
        count: number of interpolations between test images.
    """

    def __init__(
        self, start: str | None = None, end: str | None = None, steps: PositiveInt = 10, count: PositiveInt = 6
    ):
        if (start is None) != (end is None):
            raise Refusal("An interpolation has two ends: give both start=… and end=…, or neither.")
        self.start, self.end, self.steps, self.count = start, end, steps, count

    def ends(self, model: Loaded) -> tuple[Tensor, Tensor]:
        """Return the first and the last images of the interpolations, (B, C, H, W) each."""
        if self.start is not None and self.end is not None:
            return image_from(model, self.start), image_from(model, self.end)
        data = data_of(model)
        pairs = min(self.count, len(data.splits["test"]) // 2)
        if not pairs:
            raise Refusal("An interpolation needs two test images, but there is only one; give start=… and end=….")
        x = spread(model, data, 2 * pairs)["image"]
        return x[0::2], x[1::2]

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Decode codes between the ends and write interpolation.png."""
        start, end = self.ends(model)
        check_room(model, len(start) * self.steps)
        network = model.task.network
        weights = torch.linspace(0, 1, self.steps, device=start.device).view(1, -1, 1)
        codes = torch.lerp(network.encode(start).unsqueeze(1), network.encode(end).unsqueeze(1), weights)
        images = probabilities(network.decode(codes.flatten(0, 1))).unflatten(0, codes.shape[:2])
        rows = torch.cat([start.unsqueeze(1), images, end.unsqueeze(1)], 1)
        title = "first and last column: images; between them: codes on the line from one to the other, decoded"
        figure = image_grid(rows.flatten(0, 1), rows.shape[1], title)
        return [save_figure(figure, folder / "interpolation.png", model)]


class Traverse(Action):
    """Decoded images while one latent dimension varies and the others stay at an image's code.

    Args:
        image: an image file; without it, a test image.
        extent: how far to vary to each side, in standard deviations of the dimension over the test images.
        steps: images per dimension.
        most: dimensions shown, those with the largest standard deviation first.
    """

    def __init__(
        self,
        image: str | None = None,
        extent: PositiveFloat = 2.5,
        steps: PositiveInt = 11,
        most: PositiveInt = 20,
    ):
        self.image, self.extent, self.steps, self.most = image, extent, steps, most

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Decode the varied codes and write traversal.png."""
        network = model.task.network
        codes = torch.cat([network.encode(batch["image"]) for batch in batches(model, "test")])
        mean, deviation = codes.mean(0), codes.std(0)
        chosen = deviation.argsort(descending=True)[: self.most]
        check_room(model, len(chosen) * self.steps)
        code = network.encode(inputs(model, self.image, 1))[0]
        offsets = torch.linspace(-self.extent, self.extent, self.steps, device=code.device)
        grid = code.repeat(len(chosen), self.steps, 1)
        for row, latent in enumerate(chosen):
            grid[row, :, latent] = mean[latent] + offsets * deviation[latent]
        images = probabilities(network.decode(grid.flatten(0, 1)))
        names = [f"latent {latent}, σ {float(deviation[latent]):.2f}" for latent in chosen.tolist()]
        title = (
            "an image's code, with one latent at a time moved around its mean; σ: the latent's standard deviation over "
            "the test images, largest first"
        )
        headings = [f"{offset:+.2g}σ".replace("-", "−") for offset in offsets.tolist()]
        rows = dict(zip(names, images.split(self.steps), strict=True))
        return [save_figure(rows_of_images(rows, title, headings=headings), folder / "traversal.png", model)]


class LatentMap(Action):
    """Codes of test images coloured by class, and the images that the plane of the codes decodes to.

    Args:
        count: number of test images.
        steps: decoded images per side.
    """

    def __init__(self, count: PositiveInt = 1000, steps: PositiveInt = 20):
        self.count, self.steps = count, steps

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Encode the images and write latent_map.png."""
        check_room(model, self.steps**2)
        batch = examples(model, self.count)
        codes = model.task.network.encode(batch["image"])
        figure = latent_map(codes, batch.get("label"), model.task.decoded, self.steps, model.task.class_names)
        return [save_figure(figure, folder / "latent_map.png", model)]
