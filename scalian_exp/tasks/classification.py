"""Train a network to name the class of its input."""

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from scalian_exp.figures.classes import confusion_matrix, mistakes
from scalian_exp.tasks.base import Batch, Task


class Classification(Task):
    """loss(network(x), labels); the network offers `forward(x) → logits (B, classes)`, and `encode(x)`, its features.

    Logs `error`, the share of examples given a wrong class, in [0, 1]; the best checkpoint is that of least error.
    """

    monitor = "val/error"

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.network(self.inputs(batch))
        wrong = logits.argmax(1) != batch["label"]
        return self.loss(logits, batch["label"]), {"error": wrong.float().mean()}

    def figures(self, batch: Batch) -> dict[str, Figure]:
        probabilities = torch.softmax(self.network(self.inputs(batch)).float(), 1)
        counts = multiclass_confusion_matrix(probabilities, batch["label"], probabilities.shape[1])
        figures = {"confusion": confusion_matrix(counts, self.class_names)}
        if (probabilities.argmax(1) != batch["label"]).any() and "image" in batch:
            figures["mistakes"] = mistakes(batch["image"], probabilities, batch["label"], self.class_names)
        return figures
