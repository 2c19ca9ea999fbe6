"""Losses whose gradient is that of contrastive divergence.

The log-likelihood's gradient is −∂/∂θ ⟨F(v)⟩_data + ∂/∂θ ⟨F(v)⟩_model. With states v⁻ from k steps of Gibbs sampling in
place of the model's, held fixed, mean F(v) − mean F(v⁻) is a loss for any optimizer (Hinton 2002; Tieleman 2008). Its
value does not measure how good the model is. Its gradient is written by hand; without a penalty, training needs no
autograd at all.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from scalian_exp.distributed import ranks
from scalian_exp.networks.rbm import RBM
from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveInt


class Terms(NamedTuple):
    """Terms of a contrastive loss."""

    loss: Tensor
    """the value to minimise"""
    negative: Tensor
    """v⁻, (chains, visible)"""


class States(NamedTuple):
    """Visible states of a contrastive step, data and samples, with the values that the loss and its gradient share."""

    v: Tensor
    """the data, (B, visible)"""
    up: Tensor
    """hidden units' means given v, (B, hidden)"""
    negative: Tensor
    """v⁻, (chains, visible)"""
    down: Tensor
    """hidden units' means given v⁻, (chains, hidden)"""
    shift: Tensor
    """mean of v⁻ less that of v, (visible,)"""
    gap: Tensor
    """mean F(v) − mean F(v⁻), a scalar"""


def write_gradient(rbm: RBM, states: States, into: Sequence[Tensor]) -> None:
    """Write the gradient of mean F(v) − mean F(v⁻) into tensors shaped like `rbm.parameters_in_order`.

    With x the hidden units' input, ∂F/∂x = −(⟨h⟩ − λ) for any kind of units, and so ∂F/∂W = −(⟨h⟩ − λ)ᵀ(v − μ).
    """
    weight, visible_bias, hidden_bias = into
    v, up, negative, down = shifted(rbm, states)
    weight.addmm_(up.t(), v, beta=0, alpha=-1 / len(v))  # beta=0 drops even NaN
    weight.addmm_(down.t(), negative, alpha=1 / len(negative))
    visible_bias.copy_(states.shift)
    hidden_bias.copy_(down.mean(0) - up.mean(0))


def descend(rbm: RBM, states: States, rates: Sequence[float]) -> None:
    """Take a step of plain gradient descent on mean F(v) − mean F(v⁻), with a learning rate for each parameter.

    Up to rounding it is the step that SGD takes with the gradient of `write_gradient`. It saves a tenth of a training
    step, as no gradient competes with the weights for the processor's cache.
    """
    of_weight, of_visible_bias, of_hidden_bias = rates
    v, up, negative, down = shifted(rbm, states)
    rbm.weight.addmm_(up.t(), v, alpha=of_weight / len(v))
    rbm.weight.addmm_(down.t(), negative, alpha=-of_weight / len(negative))
    rbm.visible_bias.sub_(states.shift, alpha=of_visible_bias)
    rbm.hidden_bias.sub_(down.mean(0) - up.mean(0), alpha=of_hidden_bias)


def shifted(rbm: RBM, states: States) -> list[Tensor]:
    """Return v and hidden means given it, v⁻ and hidden means given it, less their offsets, in the weights' type."""
    visible, hidden = rbm.visible_shifted, rbm.hidden_shifted
    values = visible(states.v), hidden(states.up), visible(states.negative), hidden(states.down)
    return [value.to(rbm.weight.dtype) for value in values]


class FreeEnergyGap(torch.autograd.Function):
    """Difference mean F(v) − mean F(v⁻) as a function of an RBM's weight and biases, with its gradient by hand."""

    @staticmethod
    def forward(ctx: Any, rbm: RBM, states: States, *_: Tensor) -> Tensor:
        """Compute the difference, a scalar.

        Args:
            ctx: autograd's context.
            rbm: the machine.
            states: see States.
            *_: the RBM's weight, visible bias and hidden bias, which get the gradients.
        """
        ctx.rbm = rbm
        ctx.save_for_backward(*states)
        return states.gap

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weight, the visible bias and the hidden bias."""
        into = [torch.empty_like(parameter) for parameter in ctx.rbm.parameters_in_order]
        write_gradient(ctx.rbm, States(*ctx.saved_tensors), into)
        return None, None, *(gradient.mul_(gradients[0]) for gradient in into)


class Sparsity(nn.Module):
    """Cross-entropy between the target share of active hidden units and that in a batch (Hinton 2010, section 11).

    Args:
        target: target share of active units.
        cost: weight of this penalty in the loss.
    """

    def __init__(self, target: Fraction = 0.1, cost: NonNegativeFloat = 0.1):
        super().__init__()
        self.target, self.cost = target, cost

    def forward(self, active: Tensor) -> Tensor:
        """Return the penalty, summed over units, for mean states of the hidden units (B, H)."""
        share = active.mean(0).clamp(1e-6, 1 - 1e-6)
        return self.cost * F.binary_cross_entropy(share, torch.full_like(share, self.target), reduction="sum")


class ContrastiveLoss(nn.Module, ABC):
    """Base class of losses mean F(v) − mean F(v⁻) for one RBM of a stack, its number `layer`.

    Args:
        k: steps of Gibbs sampling at the start of training.
        k_end: steps at its end, with linear growth in between; null keeps k.
        sparsity: an additional penalty on the hidden units.
    """

    def __init__(self, k: PositiveInt = 1, k_end: PositiveInt | None = None, sparsity: nn.Module | None = None):
        super().__init__()
        self.k, self.k_end, self.sparsity = k, k if k_end is None else k_end, sparsity

    def steps(self, progress: float) -> int:
        """Return the steps of Gibbs sampling at a point of the training, progress in [0, 1]."""
        return round(self.k + (self.k_end - self.k) * progress)

    def attach(self, rbms: Sequence[RBM]) -> None:
        """Register the state to store for each RBM of a stack, before its weights are loaded."""

    def forward(self, rbm: RBM, v: Tensor, layer: int = 0, progress: float = 0.0) -> Terms:
        """Return the loss and v⁻ for data (B, visible), at a point of the training, progress in [0, 1]."""
        with torch.no_grad():
            states = self.draw(rbm, v, layer, progress)
        loss = FreeEnergyGap.apply(rbm, states, *rbm.parameters_in_order)
        if self.sparsity is not None:
            loss = loss + self.sparsity(rbm.hidden.mean(rbm.hidden_input(v)))
        return Terms(loss, states.negative)

    def draw(self, rbm: RBM, v: Tensor, layer: int = 0, progress: float = 0.0) -> States:
        """Sample what a step compares with the data (B, visible), and keep what the next step needs; no gradients."""
        x = rbm.hidden_input(v)
        up = rbm.hidden.mean(x)
        cumulant = rbm.hidden.mean_cumulant(x, up)  # now, while x is in the cache
        negative = self.negative(rbm, x, up, layer, self.steps(progress))
        fantasy = rbm.hidden_input(negative)
        down = rbm.hidden.mean(fantasy)
        shift = negative.mean(0) - v.mean(0)
        gap = rbm.hidden.mean_cumulant(fantasy, down) - cumulant + shift @ rbm.visible_bias
        gap += rbm.visible.mean_base(v) - rbm.visible.mean_base(negative)
        if rbm.centred:  # the visible units' offsets cancel
            gap += (x.mean(0) - fantasy.mean(0)) @ rbm.hidden_offset
        self.keep(rbm, fantasy, down, layer)
        return States(v, up, negative, down, shift, gap)

    @abstractmethod
    def negative(self, rbm: RBM, x: Tensor, up: Tensor, layer: int, k: int) -> Tensor:
        """Sample v⁻ (chains, visible), given the hidden units' input from the data and their means, (B, hidden)."""

    def keep(self, rbm: RBM, fantasy: Tensor, down: Tensor, layer: int) -> None:
        """Store what the next step needs of the hidden units' input from v⁻ in this step, and of their means."""


class ContrastiveDivergence(ContrastiveLoss):
    """CD-k: chains of k steps that start at the data.

    The last visible states are means, which reduces noise (Hinton 2010, section 3.2).
    """

    def negative(self, rbm: RBM, x: Tensor, up: Tensor, layer: int, k: int) -> Tensor:
        """Return mean visible states (B, visible) after k steps of Gibbs sampling from the data."""
        h = rbm.hidden.sample_given(x, up)
        for _ in range(k - 1):
            h = rbm.hidden_sample(rbm.visible_sample(h))
        return rbm.visible.mean(rbm.visible_input(h))


class PersistentCD(ContrastiveLoss):
    """PCD-k (Tieleman 2008): chains that continue from one training step to the next, and are saved in checkpoints.

    Args:
        chains: number of chains, whatever the batch size. Several processes share the work; each stores all chains.
    """

    def __init__(
        self,
        k: PositiveInt = 1,
        k_end: PositiveInt | None = None,
        sparsity: nn.Module | None = None,
        chains: PositiveInt = 100,
    ):
        super().__init__(k, k_end, sparsity)
        self.chains = chains

    def attach(self, rbms: Sequence[RBM]) -> None:
        """Register a buffer with the hidden states of all chains for each RBM."""
        for layer, rbm in enumerate(rbms):
            self.register_buffer(f"hidden_{layer}", torch.zeros(self.chains, len(rbm.hidden_bias)))

    def negative(self, rbm: RBM, x: Tensor, up: Tensor, layer: int, k: int) -> Tensor:
        """Advance this process's chains by k steps, and return their visible states."""
        every = self.get_buffer(f"hidden_{layer}")
        chains = ranks.own_rows(every)
        if not every.norm():  # all are 0: the chains start at data
            data = ranks.gather_rows(x)
            data = data[torch.arange(len(every), device=x.device) % len(data)]
            chains.copy_(rbm.hidden.sample(ranks.own_rows(data)))
        return rbm.gibbs(rbm.visible_sample(chains), k - 1)

    def keep(self, rbm: RBM, fantasy: Tensor, down: Tensor, layer: int) -> None:
        """Draw the hidden states of this process's chains, and gather those of all processes in the buffer."""
        self.get_buffer(f"hidden_{layer}").copy_(ranks.gather_rows(rbm.hidden.sample_given(fantasy, down)))
