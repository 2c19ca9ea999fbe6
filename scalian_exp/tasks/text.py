"""Train a network to reconstruct a document's words from its code."""

import torch
from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.binary_codes import bits_logs
from scalian_exp.tasks.loss_protocols import TextLoss
from scalian_exp.tasks.protocols import TextNetwork


class TextReconstruction(Task):
    """Trains an autoencoder of texts by loss(network(x), x), where x are weights of words.

    Logs `perplexity`, the exponential of the loss: the number of equally likely words among which the network is
    undecided; and of a network whose codes are bits, `bimodality`.
    """

    monitor = "val/loss"
    network: TextNetwork
    loss: TextLoss

    def inputs(self, batch: Batch) -> Tensor:
        """Return the batch's word weights, (B, V)."""
        return batch["text"]

    def step(self, batch: Batch) -> Step:
        """Compute the loss of word weights against themselves."""
        x = self.inputs(batch)
        return Step(self.loss(self.network(x), x), {} if self.training else bits_logs(self.network, x))

    def test_totals(self) -> dict[str, Tensor]:
        """Return the perplexity."""
        return {"perplexity": torch.exp(self.test_means.compute()["loss"])}
