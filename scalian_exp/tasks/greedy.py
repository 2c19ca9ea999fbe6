"""Train a stack of autoencoders, one layer after the other."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.base import Batch
from scalian_exp.tasks.reconstruction import Reconstruction

log = logging.getLogger(__name__)


class GreedyReconstruction(Reconstruction):
    """Layer k learns to give back its input, which is the code of the layers below, from a corrupted copy (Vincent et
    al. 2010, section 3.4). `epochs_per_layer` epochs each; what is left of trainer.max_epochs goes to the last layer.

    The network offers `layer_encoders` and `layer_decoders`, besides what Reconstruction asks for; the loss is applied
    to codes, which must lie in [0, 1] as pixels do.

    The best checkpoint is that of most `layers_trained`: the finished layers, plus the share of its input's variance
    that the present one explains, so that a later layer always counts more.
    """

    monitor = "val/layers_trained"
    mode = "max"

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
        corruption: nn.Module | None = None,
        epochs_per_layer: PositiveInt = 5,
    ):
        super().__init__(network, loss, optimizer, schedule, corruption)
        self.epochs_per_layer = epochs_per_layer
        self.layer: Tensor
        self.register_buffer("layer", torch.tensor(0))  # whose turn it is; a checkpoint's test is about its own

    def on_fit_start(self) -> None:
        super().on_fit_start()
        layers, epochs = len(self.network.layer_encoders), self.trainer.max_epochs
        if -1 < epochs <= (layers - 1) * self.epochs_per_layer:
            log.info(
                "trains %d of %d layers (trainer.max_epochs=%d, model.epochs_per_layer=%d); for all of them give "
                "trainer.max_epochs=%d",
                *(-(-epochs // self.epochs_per_layer), layers, epochs, self.epochs_per_layer),
                layers * self.epochs_per_layer,
            )

    def on_train_epoch_start(self) -> None:
        last = len(self.network.layer_encoders) - 1
        self.layer.fill_(min(self.current_epoch // self.epochs_per_layer, last))

    def compiled(self) -> list[nn.Module]:
        return [part for part in self.network.modules() if isinstance(part, nn.Linear)]

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        encoders, layer = self.network.layer_encoders, int(self.layer)
        with torch.no_grad():  # gradients reach the present layer alone; optimizers skip parameters without one
            clean = batch["image"].flatten(1)
            for encoder in encoders[:layer]:
                clean = encoder(clean)
        corrupted = self.corruption(clean) if self.corruption is not None and self.training else clean
        logits = self.network.layer_decoders[layer](encoders[layer](corrupted))
        loss = self.loss(logits, clean)
        if self.training:
            return loss, {}
        error = (torch.sigmoid(logits) - clean).square().sum()
        explained = 1 - error / (clean - clean.mean(0)).square().sum().clamp_min(1e-12)
        return loss, {"layers_trained": layer + explained.clamp(0, 0.999)}

    def test_logs(self, batch: Batch) -> dict[str, Tensor]:
        return {**self.errors(self.network(batch["image"]), batch["image"]), **super().test_logs(batch)}
