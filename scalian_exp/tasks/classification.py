"""Train a network to name the class of its input."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch
from scalian_exp.figures.classes import confusion_matrix, mistakes
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.networks.parts.exported import Recogniser
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.loss_protocols import ClassificationLoss
from scalian_exp.tasks.protocols import ClassificationNetwork


class Classification(Task):
    """Trains a classifier by loss(network(x), labels), where x are images.

    Logs `error`, the share of examples given a wrong class, in [0, 1]; the best checkpoint is that of least error.
    """

    monitor = "val/error"
    network: ClassificationNetwork
    loss: ClassificationLoss

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.confusion = Confusion(self.network.num_classes)

    def step(self, batch: Batch) -> Step:
        """Compute the loss of logits against labels, and the error."""
        logits, labels = self.network(self.inputs(batch)), batch["label"]
        predicted = logits.argmax(1)
        if not self.training:
            self.confusion.update(predicted, labels)
        return Step(self.loss(logits, labels), {"error": (predicted != labels).float().mean()})

    @property
    def exported(self) -> nn.Module:
        """The network for other runtimes: image (B, C, H, W) → logits (B, num_classes)."""
        return Recogniser(self.network)

    def on_validation_epoch_start(self) -> None:
        """Reset the confusion matrix."""
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        """Reset the confusion matrix."""
        self.confusion.reset()

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw the confusion matrix of all examples so far, and mistakes among these."""
        probabilities = torch.softmax(self.network(self.inputs(batch)).float(), 1)
        figures = {"confusion": confusion_matrix(self.confusion.compute(), self.class_names)}
        if (probabilities.argmax(1) != batch["label"]).any() and "image" in batch:
            figures["mistakes"] = mistakes(batch["image"], probabilities, batch["label"], self.class_names)
        return figures
