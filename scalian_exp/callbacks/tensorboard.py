"""Give loggers the run's hyperparameters and codes, such as for TensorBoard's HPARAMS and PROJECTOR tabs."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.callbacks.provenance import config_of
from scalian_exp.loggers.protocols import TakesCodes, TakesHyperparameters, takers
from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.capabilities import Encodes
from scalian_exp.tasks.offers import offers

SHOWN = ("model", "loss", "dataset", "seed")
"""parts of a config that the HPARAMS tab lists"""


def flat(node: Any, path: str = "") -> dict[str, bool | str | float]:
    """Flatten a config to a map from dotted paths to values that TensorBoard can show."""
    if isinstance(node, dict):
        return {key: leaf for name, value in node.items() for key, leaf in flat(value, f"{path}.{name}").items()}
    if isinstance(node, list | type(None)):
        return {path[1:]: str(node)}
    return {path[1:]: node}


class Hyperparameters(pl.Callback):
    """List model, loss, dataset and seed in the HPARAMS tab.

    A run doesn't say which columns the tab has: TensorBoard would take those of any run for all runs below its folder.
    Instead it finds them itself, those that differ first, or results/dashboard.py says it for all runs together.

    Args:
        folder: the run folder.
        monitor: the metric; the tab shows its curve's last value.
    """

    def __init__(self, folder: Path, monitor: str):
        self.folder, self.monitor = folder, monitor

    def on_fit_start(self, trainer: Any, task: Any) -> None:
        """Write the hyperparameters."""
        config = config_of(trainer)
        values = flat({name: config[name] for name in SHOWN})
        for logger in takers(trainer, TakesHyperparameters):
            logger.log_hyperparameters(values, self.monitor)


def thumbnails(images: Tensor) -> Tensor:
    """Shrink and pad images (N, C, H, W) to squares (N, 3, 32, 32), as TensorBoard requires."""
    count, channels, height, width = images.shape
    side = max(height, width)
    square = F.pad(images, (0, side - width, 0, side - height))
    small = F.interpolate(square, (32, 32), mode="area") if side > 32 else F.interpolate(square, (32, 32))
    if channels == 1:
        return small.expand(-1, 3, -1, -1)
    return torch.cat([small, small.new_zeros(count, 1, 32, 32)], 1)[:, :3]


class Projector(pl.Callback):
    """Show codes of test examples with their classes and thumbnails in the PROJECTOR tab.

    Args:
        folder: the run folder.
        examples: number of codes; TensorBoard shows at most 65,000, whose thumbnails fit in one picture.
    """

    def __init__(self, folder: Path, examples: PositiveInt = 500):
        self.folder, self.examples = folder, examples
        self.codes: list[torch.Tensor] = []
        self.images: list[torch.Tensor] = []
        self.labels: list[int] = []

    def on_test_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        """Encode a share of the test images."""
        if not offers(task.network, Encodes) or "image" not in batch:
            return
        share = max(1, self.examples // int(trainer.num_test_batches[0]))
        images = batch["image"][:share]
        self.codes.append(task.network.encode(images).float().cpu())
        self.images.append(thumbnails(images.float()).cpu())
        self.labels += batch["label"][:share].tolist() if "label" in batch else [0] * len(images)

    def on_test_end(self, trainer: Any, task: Any) -> None:
        """Write the codes."""
        for logger in takers(trainer, TakesCodes) if self.codes else []:
            logger.log_codes(torch.cat(self.codes), self.labels, torch.cat(self.images), trainer.global_step)
        self.codes, self.images, self.labels = [], [], []
