"""Train a generator against a discriminator."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch, batch_size
from scalian_exp.figures.grids import image_grid
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.loss_protocols import AdversarialLoss
from scalian_exp.tasks.protocols import AdversarialNetwork


class Adversarial(Task):
    """Trains a generator against a discriminator, each by its own loss of the discriminator's logits.

    Every batch is a step of each, so trainer.max_steps counts two a batch. Neither loss measures quality, so the
    last checkpoint counts as the best; callbacks=sample_quality measures quality at the test.

    Logs `d_loss`, `g_loss`, and what the discriminator believes: `d_real` = D(x), `d_fake` = D(G(z)), in [0, 1].
    """

    network: AdversarialNetwork
    loss: AdversarialLoss
    monitor = "val/epochs"
    mode = "max"
    losses = ("d_loss", "g_loss")

    def __init__(self, network: nn.Module, loss: nn.Module, optimizer: Callable[[Any], Optimizer]):
        super().__init__(network, loss, optimizer)
        self.automatic_optimization = False

    def inputs(self, batch: Batch) -> Tensor:
        """Draw noise for the generator, one row an example."""
        return self.network.noise(batch_size(batch))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Make a step of the discriminator, then one of the generator, on the same generated images."""
        real, fake = batch["image"], self.network.generator(self.inputs(batch))
        discriminating, generating = self.optimizers()  # type: ignore[attr-defined]

        self.toggle_optimizer(discriminating)
        real_logits, fake_logits = self.network.discriminator(real), self.network.discriminator(fake.detach())
        d_loss = self.loss.discriminator(real_logits, fake_logits)
        discriminating.zero_grad()
        self.manual_backward(d_loss)
        discriminating.step()
        self.untoggle_optimizer(discriminating)

        self.toggle_optimizer(generating)
        g_loss = self.loss.generator(self.network.discriminator(fake))
        generating.zero_grad()
        self.manual_backward(g_loss)
        generating.step()
        self.untoggle_optimizer(generating)

        self.train_means.update(beliefs(d_loss, g_loss, real_logits, fake_logits), len(real))

    def step(self, batch: Batch) -> Step:
        """Compute both losses without training; their sum is the loss that is logged."""
        fake = self.network.discriminator(self.network.generator(self.inputs(batch)))
        real = self.network.discriminator(batch["image"])
        logs = beliefs(self.loss.discriminator(real, fake), self.loss.generator(fake), real, fake)
        return Step(logs["d_loss"] + logs["g_loss"], logs)

    def on_validation_epoch_end(self) -> None:
        """Log the number of epochs, by which the best checkpoint is the last."""
        super().on_validation_epoch_end()
        self.log(self.monitor, float(self.current_epoch + 1))

    def compiled(self) -> list[nn.Module]:
        """Return generator and discriminator."""
        return [self.network.generator, self.network.discriminator]

    def configure_optimizers(self) -> list[Optimizer]:
        """Return an optimizer for the discriminator and one for the generator."""
        return [
            self.optimizer(list(part.parameters())) for part in (self.network.discriminator, self.network.generator)
        ]

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw samples."""
        return {"samples": image_grid(self.network.sample(64).float(), title="samples, generated from noise")}


def beliefs(d_loss: Tensor, g_loss: Tensor, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return both losses, and the mean probabilities of being real for logits (B,) of real and of generated images."""
    d_real, d_fake = torch.sigmoid(real).mean(), torch.sigmoid(fake).mean()
    return {"d_loss": d_loss, "g_loss": g_loss, "d_real": d_real, "d_fake": d_fake}
