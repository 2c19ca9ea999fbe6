"""Pictures that stand for a run in a plot: what it draws, or how it divides a scene."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.utils import make_grid

from scalian_exp.course.comparisons.scenes.exhibit import classes
from scalian_exp.exhibits.run import Run
from scalian_exp.figures.segmentation import colours

COUNT = 8
"""pictures of a run"""


def samples(run: Run) -> Tensor:
    """Return new images by a run's network, in a grid (C, H, W) in [0, 1]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = run.network.sample(COUNT).float()
    return make_grid(images, nrow=4, padding=0)[: run.shape[0]]


def masks(run: Run) -> Tensor:
    """Return the classes that a run sees in test scenes, in their colours, in a grid (3, H, W) in [0, 1]."""
    seen = classes(run.task, run.batch("test", run.spread("test", 4)))
    palette = torch.as_tensor(colours(run.task.num_classes, run.task.palette)).float()
    return make_grid(palette[seen.long()].permute(0, 3, 1, 2), nrow=2, padding=0)


PICTURES: dict[str, Callable[[Run], Tensor]] = {"samples": samples, "masks": masks}
