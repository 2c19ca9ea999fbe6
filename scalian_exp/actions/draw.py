"""Show how a network that draws in steps copies an image."""

from pathlib import Path

import torch

from scalian_exp.actions.action import Action, inputs, save_figure
from scalian_exp.actions.sample import save_animation
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.drawing import drawing_strip, frames
from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.decoding import probabilities


class Draw(Action):
    """Canvas after each step of a network that draws in steps, as a picture and an animated GIF.

    Shows the windows that the network reads (green) and writes (red), if it has any. It follows the posterior means,
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
        animation = frames(canvases, drawing.write, drawing.read)
        return [
            save_figure(strip, folder / "drawing.png"),
            save_animation(animation, folder / "drawing.gif", scale=1 if self.image is None else 4),
        ]
