"""Pictures that stand for a run in a plot: what it draws, or how it divides a scene."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.utils import make_grid

from scalian_exp.course.comparisons.scenes.exhibit import classes
from scalian_exp.exhibits.run import Run

COUNT = 8
"""pictures of a run"""


def samples(run: Run) -> Tensor:
    """Return new images by a run's network, in a grid (C, H, W) of grey levels from 0 to 255."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = run.network.sample(COUNT).float()
    return (make_grid(images, nrow=4, padding=0)[: run.shape[0]].clamp(0, 1) * 255).round()


def masks(run: Run) -> Tensor:
    """Return the classes that a run sees in test scenes, in a grid (1, H, W) of numbers from 0 to 255."""
    seen = classes(run.task, run.batch("test", run.spread("test", 4)))
    return make_grid(seen[:, None].clamp(max=255), nrow=2, padding=0)[:1]


PICTURES: dict[str, Callable[[Run], Tensor]] = {"samples": samples, "masks": masks}
