"""Train a Boltzmann machine without autograd: the gradient of its loss is a difference of two matrix products."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from scalian_exp.losses.contrastive_divergence import ContrastiveLoss, write_gradient
from scalian_exp.tasks.boltzmann import Boltzmann


class ByHand(Boltzmann):
    """A Boltzmann machine whose steps compute their gradients without autograd, where nothing else contributes to them.

    They are stored as the parameters' `grad`, as autograd's are. Autograd is used with several processes, accumulated
    gradients, penalties, and custom losses or tasks.
    """

    by_hand = False
    """whether this epoch's steps write gradients without autograd"""

    def on_train_epoch_start(self) -> None:
        """Decide who computes the epoch's gradients."""
        super().on_train_epoch_start()
        alone = self.trainer.world_size == 1 and self.trainer.accumulate_grad_batches == 1
        # a custom subclass may add to the loss, or scale it
        ours = type(self).__module__.startswith("scalian_exp.")
        free = all(each.requires_grad and not each._backward_hooks for each in self.rbm.parameters_in_order)
        self.by_hand = alone and ours and free and closed_form(self.loss) is not None and not torch.is_anomaly_enabled()
        if self.by_hand:
            self.trainer.optimizers[0].zero_grad()  # those of the layer trained before

    @torch.no_grad()
    def step_by_hand(self, v: Tensor, progress: float) -> Tensor:
        """Return the loss on states (B, D), and write its gradient."""
        rbm, loss = self.rbm, closed_form(self.loss)
        assert loss is not None
        states = loss.draw(rbm, v, self.turn, progress)
        gradients = []
        for parameter in rbm.parameters_in_order:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            gradients.append(parameter.grad)
        write_gradient(rbm, states, gradients)
        return states.gap

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Keep gradients that were written by hand: they have replaced the previous ones."""
        if not self.by_hand:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Do nothing if the gradients were written by hand."""
        if not self.by_hand:
            super().backward(loss, *args, **kwargs)


def closed_form(loss: Any) -> ContrastiveLoss | None:
    """Return a loss whose gradient `write_gradient` writes; None for any other."""
    contrastive = isinstance(loss, ContrastiveLoss) and type(loss).forward is ContrastiveLoss.forward
    return loss if contrastive and loss.sparsity is None else None
