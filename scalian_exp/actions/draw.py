"""Show how a network that draws in steps copies an image."""

import math
from pathlib import Path

import torch

from scalian_exp.actions.action import Action, inputs, save_animation, save_figure
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.animation import fitting
from scalian_exp.figures.drawing import drawing_strip, frames
from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.decoding import probabilities


class Draw(Action):
    """Canvas after each step of a network that draws in steps, as a picture and an animated GIF.

    Shows the windows that the network reads (blue) and writes (orange), if it has any. It follows the posterior means,
    without noise.

    Args:
        image: an image file; without it, test images.
        count: number of test images.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 9):
        self.image, self.count = image, count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Draw the images step by step and write drawing.png and drawing.gif."""
        x = inputs(model, self.image, self.count)
        network = model.task.network
        drawing = network.drawing(network.encode(x))
        canvases = probabilities(drawing.canvases)
        strip = drawing_strip(canvases, drawing.write, drawing.read, x)
        columns = math.ceil(math.sqrt(len(x)))
        windows = "" if drawing.write is None else "; orange: written to, blue: looked at"
        pictures = frames(canvases, drawing.write, drawing.read, fitting(columns, x.shape[-1]))
        steps = [(f"step {i} of {len(canvases)}{windows}", images) for i, images in enumerate(pictures, 1)]
        return [
            save_figure(strip, folder / "drawing.png", model),
            save_animation(steps, folder / "drawing.gif", model, "how copies form", columns),
        ]
