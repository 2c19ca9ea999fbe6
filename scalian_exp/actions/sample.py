"""Sample new images, or decode random codes; where images form in steps, also animate them."""

from math import ceil, sqrt
from pathlib import Path

import torch
from matplotlib.figure import Figure

from scalian_exp.actions.action import Action, batches, check_room, save_animation, save_figure
from scalian_exp.actions.pixel_by_pixel import completed_by, refuse_temperature
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.animation import fitting
from scalian_exp.figures.drawing import frames
from scalian_exp.figures.grids import image_grid, rows_of_images
from scalian_exp.ranges import NonNegativeInt, PositiveFloat, PositiveInt, Seed
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import DrawsInSteps, Samples, SamplesByChain, SamplesByPixel, SamplesOfClass
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import offers

STEPS_A_FRAME = 20
"""Steps of Gibbs sampling per frame of the animation."""


class Sample(Action):
    """New images drawn from the model.

    Plain autoencoders don't say which codes are probable. Theirs are drawn from N(0, 1), and from the normal
    distribution with the mean and covariance of the training codes: two groups of images in one figure.

    Networks that sample with a Markov chain (`chain`) or draw in steps (`drawing`) also give an animated GIF.

    Args:
        count: number of images; of autoencoders, in each group.
        seed: seed of the noise.
        label: the class to sample; null samples any.
        frames: frames of the animation of Gibbs sampling, 20 steps each; the last one shows the samples.
        temperature: of networks that draw pixel by pixel; values below 1 favour more probable pixels.
    """

    def __init__(
        self,
        count: PositiveInt = 64,
        seed: Seed = 0,
        label: NonNegativeInt | None = None,
        frames: PositiveInt = 50,
        temperature: PositiveFloat = 1.0,
    ):
        self.count, self.seed, self.label, self.frames = count, seed, label, frames
        self.temperature = temperature

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Sample the images and write samples.png, and an animation if the network has steps.

        Raises:
            Refusal: if the network doesn't know the label or has no temperature.
        """
        network = model.task.network
        classes = network.num_classes if offers(network, SamplesOfClass) else 0
        if self.label is not None and self.label >= classes:
            known = f"it knows the labels 0 to {classes - 1}" if classes else "this model knows no labels"
            raise Refusal(f"label={self.label}: {known}; leave label out, or give one that it knows.")
        pictures_each = self.frames if offers(network, SamplesByChain) else 1 if offers(network, Samples) else 2
        check_room(model, self.count * pictures_each)
        torch.manual_seed(self.seed)
        columns = ceil(sqrt(self.count))
        still = folder / "samples.png"
        if offers(network, SamplesByPixel):
            nothing = torch.zeros(self.count, *network.shape, device=model.task.device)
            given = torch.zeros_like(nothing[:, :1], dtype=torch.bool)
            images = completed_by(network, nothing, given, self.temperature)
            cooler = f" at temperature {self.temperature:g}" if self.temperature != 1 else ""
            return [save_figure(image_grid(images, title=f"samples, drawn pixel by pixel{cooler}"), still, model)]
        refuse_temperature(self.temperature)
        if offers(network, DrawsInSteps):
            drawing = network.drawing(network.prior(self.count))
            canvases = probabilities(drawing.canvases)
            windows = "" if drawing.write is None else "; orange: written to"
            scale = fitting(columns, canvases.shape[-1])
            pictures = frames(canvases, drawing.write, scale=scale)
            steps = [(f"step {i} of {len(canvases)}{windows}", images) for i, images in enumerate(pictures, 1)]
            figure = image_grid(canvases[-1], title=f"samples: the canvas after {len(canvases)} steps")
            animation = save_animation(steps, folder / "drawing.gif", model, "how samples form", columns)
            return [save_figure(figure, still, model), animation]
        if not offers(network, Samples):
            return [save_figure(self.of_random_codes(model), still, model)]
        if not offers(network, SamplesByChain):
            figure = image_grid(network.sample(self.count), title="samples, decoded from random codes")
            return [save_figure(figure, still, model)]
        labels, of = None, ""
        if self.label is not None:
            labels = torch.full((self.count,), self.label, device=model.task.device)
            of = f" of class {called(model.task.class_names, self.label)}"
        chain = network.chain(self.count, STEPS_A_FRAME * self.frames, STEPS_A_FRAME, labels)
        steps = [(f"after {STEPS_A_FRAME * i} steps of Gibbs sampling", images) for i, images in enumerate(chain, 1)]
        when, last = steps[-1]
        figure = image_grid(last, title=f"samples{of}: {self.count} chains {when}")
        return [
            save_figure(figure, still, model),
            save_animation(steps, folder / "chain.gif", model, f"how samples{of} form", columns),
        ]

    def of_random_codes(self, model: Loaded) -> Figure:
        """Draw images decoded from random codes, in a group for each distribution of codes."""
        network = model.task.network
        codes = torch.cat([network.encode(model.task.inputs(batch)) for batch in batches(model, "train")])
        groups = model.task.sample(self.count, codes)
        return rows_of_images(groups, "images decoded from random codes", columns=2 * ceil(sqrt(self.count)))
