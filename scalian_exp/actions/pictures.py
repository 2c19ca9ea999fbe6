"""Pictures of what a model does: reconstructions, samples, walks through the latent space."""

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
    """Images and what the model makes of them; of an image file also the output alone, output.png.

    Args:
        image: an image file; without it, test images.
        count: how many test images.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10):
        self.image, self.count = image, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        x = inputs(model, self.image, self.count)
        pictures = {"input": x, "output": model.task.reconstruct(x)}
        figure = rows_of_images(pictures) if len(x) > 1 else side_by_side(pictures)
        files = [save_figure(figure, folder / "reconstructions.png")]
        return files if self.image is None else [*files, save_image(pictures["output"], folder / "output.png")]


class Interpolate(Action):
    """A straight walk in the latent space, from one image's code to another's.

    Args:
        start: an image file; without it, a test image.
        end: an image file; without it, a test image.
        steps: images a walk, both ends counted.
        count: walks between test images.
    """

    def __init__(
        self, start: str | None = None, end: str | None = None, steps: PositiveInt = 10, count: PositiveInt = 6
    ):
        if (start is None) != (end is None):
            raise Refusal("A walk has two ends: give both start=… and end=…, or none.")
        self.start, self.end, self.steps, self.count = start, end, steps, count

    def ends(self, model: Loaded) -> tuple[Tensor, Tensor]:
        if self.start is not None and self.end is not None:
            return image_from(model, self.start), image_from(model, self.end)
        data = data_of(model)
        walks = min(self.count, len(data.splits["test"]) // 2)
        if not walks:
            raise Refusal("A walk needs two test images, and there is one; give start=… and end=….")
        x = spread(model, data, 2 * walks)["image"]
        return x[0::2], x[1::2]

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        start, end = self.ends(model)
        check_room(model, len(start) * self.steps)
        network = model.task.network
        weights = torch.linspace(0, 1, self.steps, device=start.device).view(1, -1, 1)
        codes = torch.lerp(network.encode(start).unsqueeze(1), network.encode(end).unsqueeze(1), weights)
        images = probabilities(network.decode(codes.flatten(0, 1))).unflatten(0, codes.shape[:2])
        rows = torch.cat([start.unsqueeze(1), images, end.unsqueeze(1)], 1)
        title = "outermost: the images themselves; between: decoded codes"
        return [save_figure(image_grid(rows.flatten(0, 1), rows.shape[1], title), folder / "interpolation.png")]


class Traverse(Action):
    """Each latent varied alone, the others at an image's code: what does it mean?

    Args:
        image: an image file; without it, a test image.
        extent: how far, in standard deviations of that latent over the test images, to each side.
        steps: images a latent.
        most: latents shown, those of largest standard deviation first.
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
        rows = dict(zip((f"latent {latent}" for latent in chosen.tolist()), images.split(self.steps), strict=True))
        title = f"each latent alone, from {-self.extent:g} to {self.extent:g} standard deviations around its mean"
        return [save_figure(rows_of_images(rows, title), folder / "traversal.png")]


class LatentMap(Action):
    """Codes of test images by class, and what the plane they lie in decodes to.

    Args:
        count: test images.
        steps: decoded images a side.
    """

    def __init__(self, count: PositiveInt = 1000, steps: PositiveInt = 20):
        self.count, self.steps = count, steps

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        check_room(model, self.steps**2)
        batch = examples(model, self.count)
        codes = model.task.network.encode(batch["image"])
        figure = latent_map(codes, batch.get("label"), model.task.decoded, self.steps, model.task.class_names)
        return [save_figure(figure, folder / "latent_map.png")]
