"""Training of a network's parameters: optimizer, learning rate, gradient clipping."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from scalian_exp.refusal import Refusal


class Optimised(pl.LightningModule):
    """A LightningModule whose `network` one optimizer trains, at a learning rate that a schedule may change."""

    trainer: Any
    network: Any
    optimizer: Any
    """function of the parameters that returns an optimizer; None if nothing is trained by gradient"""
    schedule: Callable[[float], float] | None
    """function from the progress of the training, 0 to 1, to a factor of the learning rate; called before every step"""

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients by value or by norm.

        Lightning refuses to clip for any fused optimizer in mixed precision, which may scale gradients until the step.
        Only float16 scales them; its clipping for fused optimizers is refused before training starts.
        """
        if gradient_clip_val and self.optimizer is not None:
            clip = nn.utils.clip_grad_value_ if gradient_clip_algorithm == "value" else nn.utils.clip_grad_norm_
            clip(self.network.parameters(), gradient_clip_val)

    def progress(self, step: int) -> float:
        """Return the progress of the training at an optimizer's step, in [0, 1]: the argument of schedules."""
        return min(step / self.trainer.estimated_stepping_batches, 1.0)

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer of all trained parameters."""
        return self.optimizer([parameter for _, parameter in self.trained_parameters()])

    def trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return the network's parameters that gradients change, with their names."""
        return [(name, parameter) for name, parameter in self.network.named_parameters() if parameter.requires_grad]

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and its learning rate's schedule, if there is one."""
        if self.optimizer is None:
            return None
        try:
            optimizer = self.make_optimizer()
        except ValueError as error:  # LBFGS takes no groups of parameters, which some tasks give
            raise Refusal(f"model.optimizer: {error}; use another one here.") from error
        if self.schedule is None:
            return optimizer
        schedule = self.schedule
        scheduler = LambdaLR(optimizer, lambda step: schedule(self.progress(step)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
