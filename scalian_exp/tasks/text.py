"""Train a network to give a document's words back from its code."""

import torch
from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.tasks.base import Task


class TextReconstruction(Task):
    """loss(network(x), x) on word weights; the network offers `encode`, `decode`, which gives logits of the words, and
    `forward`, one after the other.

    Logs `perplexity`, e to the loss: among so many words, weighted as the inputs are, the network still hesitates.
    """

    monitor = "val/loss"

    def inputs(self, batch: Batch) -> Tensor:
        return batch["text"]

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.loss(self.network(self.inputs(batch)), self.inputs(batch))
        return loss, {}

    def test_totals(self) -> dict[str, Tensor]:
        return {"perplexity": torch.exp(self.test_means.compute()["loss"])}
