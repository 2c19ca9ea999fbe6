"""Show the weights of hidden units as images."""

from pathlib import Path

import torch

from scalian_exp.actions.action import Action, save_figure
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.filters import filter_grid
from scalian_exp.ranges import PositiveInt


class Filters(Action):
    """Weights of the hidden units with the largest norm as images, one figure per layer.

    Args:
        count: units shown per layer.
    """

    def __init__(self, count: PositiveInt = 100):
        self.count = count

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Draw the filters of every layer and write filters_layer_1.png, …."""
        files = []
        for layer in range(len(model.task.network.rbms)):
            filters = model.task.network.filters(layer)
            order = filters.flatten(1).norm(dim=1).argsort(descending=True)[: self.count]
            units = "all" if len(order) == len(filters) else f"the {len(order)} of largest norm"
            through = " through the layers below" if layer else ""
            title = f"layer {layer + 1}: how its hidden units ({units} of {len(filters)}) act on the pixels{through}"
            figure = filter_grid(filters[order], title)
            files.append(save_figure(figure, folder / f"filters_layer_{layer + 1}.png", model))
        return files
