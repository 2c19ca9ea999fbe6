"""Train a Boltzmann machine without autograd: the gradient of its loss is a difference of two matrix products."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import DoublePrecision, Precision
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from scalian_exp.losses.contrastive_divergence import ContrastiveLoss, descend, write_gradient
from scalian_exp.tasks.boltzmann import Boltzmann
from scalian_exp.tasks.overriding import overrides

HOOKS = (
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_train_epoch_end",
)
"""hooks of callbacks that are called while a step's gradients are there"""


class ByHand(Boltzmann):
    """A Boltzmann machine whose steps compute their gradients without autograd, where nothing else contributes to them.

    They are stored as the parameters' `grad`, as autograd's are, or subtracted from the parameters at once where plain
    gradient descent would do nothing else with them. Autograd is used with several processes, accumulated gradients,
    float16's scaled loss, penalties, and custom losses or tasks.
    """

    by_hand = False
    """whether this epoch's steps compute gradients without autograd"""
    groups: Sequence[dict[str, Any]] = ()
    """the optimizer's group of each parameter, if nobody else looks at this epoch's gradients"""

    def on_train_epoch_start(self) -> None:
        """Decide who computes the epoch's gradients."""
        super().on_train_epoch_start()
        # in 16-mixed, Lightning multiplies the loss by a factor, and divides the gradients by it
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        alone = self.trainer.world_size == 1 and self.trainer.accumulate_grad_batches == 1 and not scaled
        # a custom subclass may add to the loss, or scale it
        ours = type(self).__module__.startswith("scalian_exp.")
        free = all(each.requires_grad and not hooked(each) for each in self.rbm.parameters_in_order)
        self.by_hand = alone and ours and free and closed_form(self.loss) is not None and not torch.is_anomaly_enabled()
        if self.by_hand:
            self.trainer.optimizers[0].zero_grad()  # those of the layer trained before
        unseen = self.by_hand and nobody_looks(self.trainer)
        self.groups = groups_of(self.trainer.optimizers[0], self.rbm.parameters_in_order) if unseen else ()

    @torch.no_grad()
    def step_by_hand(self, v: Tensor, progress: float) -> Tensor:
        """Return the loss on states (B, D), and write its gradient, or take the step."""
        rbm, loss = self.rbm, closed_form(self.loss)
        assert loss is not None
        states, parameters = loss.draw(rbm, v, self.turn, progress), rbm.parameters_in_order
        rates = plain_rates(self.groups)
        if rates is not None:
            for parameter in parameters:
                parameter.grad = None  # nothing is left for the optimizer to do
            descend(rbm, states, rates)
            return states.gap
        gradients = []
        for parameter in parameters:
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


def hooked(parameter: Any) -> bool:
    """Return whether autograd would call hooks with a parameter's gradient."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)


def nobody_looks(trainer: Any) -> bool:
    """Return whether only SGD uses an epoch's gradients: nothing clips, scales or watches them."""
    optimizer = trainer.optimizers[0]
    hooks = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    watched = any(map(watches, trainer.callbacks)) or any(hooks) or _global_optimizer_pre_hooks
    changed = trainer.gradient_clip_val or type(trainer.precision_plugin) not in (Precision, DoublePrecision)
    return type(optimizer) is SGD and not (watched or changed or _global_optimizer_post_hooks)


def watches(callback: pl.Callback) -> bool:
    """Return whether a callback may look at gradients: it has custom code in a hook while they are there."""
    hooks = [getattr(callback, name) for name in HOOKS if overrides(callback, name, pl.Callback)]
    return any(not hook.__module__.startswith(("scalian_exp.", "pytorch_lightning.")) for hook in hooks)


def groups_of(optimizer: Optimizer, parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return the optimizer's group of each parameter; an empty list unless all are in one."""
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    found = [groups[id(parameter)] for parameter in parameters if id(parameter) in groups]
    return found if len(found) == len(parameters) else []


def plain_rates(groups: Sequence[dict[str, Any]]) -> list[float] | None:
    """Return the learning rates of SGD's groups; None if there are none, or if one doesn't just subtract lr × grad."""
    for group in groups:
        changed = group["momentum"] or group["weight_decay"] or group["maximize"] or group["differentiable"]
        if changed or not isinstance(group["lr"], float):
            return None
    return [group["lr"] for group in groups] or None
