"""Train a Boltzmann machine without autograd: the gradient of its loss is a difference of two matrix products."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback
from torch import Tensor
from torch.optim import Optimizer

from scalian_exp.losses.contrastive_divergence import ContrastiveLoss, add_gradient, free_energy_gap
from scalian_exp.tasks.boltzmann import Boltzmann


class ByHand(Boltzmann):
    """A Boltzmann machine whose steps write their gradients themselves, wherever nothing else has a part in them.

    They go where optimizers look for them, or with plain gradient descent straight into the weights. Several processes,
    accumulated gradients, penalties and losses of your own take the general way, through autograd.
    """

    momentum: Callable[[float], float] | None = None
    """progress of a layer's training, 0 to 1 → momentum of the optimizer, if that changes"""
    weight_decay: Callable[[float], float] | None = None
    """progress of a layer's training, 0 to 1 → decay of the weights, if that changes"""
    by_hand = False
    """whether this epoch's steps write gradients without autograd"""
    straight = False
    """whether they change the weights themselves, as the optimizer would"""

    def on_train_epoch_start(self) -> None:
        """Decide which way the epoch's gradients take."""
        super().on_train_epoch_start()
        alone = self.trainer.world_size == 1 and self.trainer.accumulate_grad_batches == 1
        self.by_hand = alone and closed_form(self.loss) is not None
        constant = self.momentum is None and self.weight_decay is None
        self.straight = self.by_hand and constant and only_descends(self.trainer)
        if self.by_hand:
            self.trainer.optimizers[0].zero_grad()  # of the layer that had its turn before

    @torch.no_grad()
    def step_by_hand(self, v: Tensor, progress: float) -> Tensor:
        """Return the loss on states (B, D), and write its gradient."""
        rbm, loss = self.rbm, closed_form(self.loss)
        assert loss is not None
        states = loss.draw(rbm, v, self.turn, progress)
        value = free_energy_gap(rbm, states)
        if self.straight:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            add_gradient(rbm, states, rbm.parameters_in_order, scale=-rate)
        else:
            gradients = []
            for parameter in rbm.parameters_in_order:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
            add_gradient(rbm, states, gradients, keep=0.0)
        return value

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Keep gradients that were written by hand: they have replaced the previous ones."""
        if not self.by_hand:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Do nothing if the gradients were written by hand."""
        if not self.by_hand:
            super().backward(loss, *args, **kwargs)


def closed_form(loss: Any) -> ContrastiveLoss | None:
    """Return a loss whose gradient `add_gradient` is; None for any other."""
    contrastive = isinstance(loss, ContrastiveLoss) and type(loss).forward is ContrastiveLoss.forward
    return loss if contrastive and loss.sparsity is None else None


def only_descends(trainer: Any) -> bool:
    """Return whether the optimizer only subtracts learning rate times gradient, and nothing else sees the gradient."""
    (optimizer,) = trainer.optimizers
    hooks = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
    seen = any(getattr(type(each), name) is not getattr(Callback, name) for each in trainer.callbacks for name in hooks)
    if type(optimizer) is not torch.optim.SGD or seen or trainer.gradient_clip_val:
        return False
    others = ("momentum", "weight_decay", "maximize")
    return not any(group[name] for group in optimizer.param_groups for name in others)
