"""Losses whose gradient is that of contrastive divergence.

The log-likelihood's gradient is −∂/∂θ ⟨F(v)⟩_data + ∂/∂θ ⟨F(v)⟩_model. With states v⁻ from k steps of Gibbs sampling in
place of the model's, held fixed, mean F(v) − mean F(v⁻) is a loss for any optimizer (Hinton 2002; Tieleman 2008).
Its value says nothing of how good the model is. Its gradient is written down below, for it takes less time than
autograd's.
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
    loss: Tensor
    """what is minimised"""
    negative: Tensor
    """v⁻, (chains, visible)"""


class FreeEnergyGap(torch.autograd.Function):
    """mean F(v) − mean F(v⁻) as a function of an RBM's weight and biases.

    With x the hidden units' input, ∂F/∂x = −(⟨h⟩ − λ) for any kind of units, and so ∂F/∂W = −(⟨h⟩ − λ)ᵀ(v − μ).
    """

    @staticmethod
    def forward(ctx: Any, rbm: RBM, states: tuple[Tensor, ...], *_: Tensor) -> Tensor:
        """Of v (B, visible) and its x (B, hidden), v⁻ (chains, visible) and its x, then the RBM's weight, visible and
        hidden bias, which get the gradients."""
        v, x, negative, fantasy = states
        ctx.rbm = rbm
        ctx.save_for_backward(*states)
        return rbm.free_energy(v, x).mean() - rbm.free_energy(negative, fantasy).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rbm, (v, x, negative, fantasy) = ctx.rbm, ctx.saved_tensors
        kind = rbm.weight.dtype
        up = rbm.hidden_shifted(rbm.hidden.mean(x)).to(kind) * (-gradients[0] / len(v))
        down = rbm.hidden_shifted(rbm.hidden.mean(fantasy)).to(kind) * (gradients[0] / len(negative))
        weight = torch.mm(up.t(), rbm.visible_shifted(v).to(kind))
        weight.addmm_(down.t(), rbm.visible_shifted(negative).to(kind))
        visible_bias = gradients[0] * (negative.mean(0) - v.mean(0))
        return None, None, weight, visible_bias.to(kind), up.sum(0) + down.sum(0)


class Sparsity(nn.Module):
    """Cross-entropy between a wanted share of active hidden units and the share in a batch (Hinton 2010, section 11).

    Args:
        target: the wanted share.
        cost: its weight in the loss.
    """

    def __init__(self, target: Fraction = 0.1, cost: NonNegativeFloat = 0.1):
        super().__init__()
        self.target, self.cost = target, cost

    def forward(self, active: Tensor) -> Tensor:
        """Mean states of the hidden units (B, H) → the penalty, summed over units."""
        share = active.mean(0).clamp(1e-6, 1 - 1e-6)
        return self.cost * F.binary_cross_entropy(share, torch.full_like(share, self.target), reduction="sum")


class ContrastiveLoss(nn.Module, ABC):
    """mean F(v) − mean F(v⁻), of the RBM number `layer` of a stack.

    Args:
        k: steps of Gibbs sampling at the start of the training.
        k_end: at its end; they grow evenly in between. null stays at k.
        sparsity: an additional penalty on the hidden units.
    """

    def __init__(self, k: PositiveInt = 1, k_end: PositiveInt | None = None, sparsity: nn.Module | None = None):
        super().__init__()
        self.k, self.k_end, self.sparsity = k, k if k_end is None else k_end, sparsity

    def steps(self, progress: float) -> int:
        """Steps of Gibbs sampling at a point of the training, in [0, 1]."""
        return round(self.k + (self.k_end - self.k) * progress)

    def attach(self, rbms: Sequence[RBM]) -> None:
        """Make what has to be kept for each RBM of a stack, before its weights are loaded."""

    def forward(self, rbm: RBM, v: Tensor, layer: int = 0, progress: float = 0.0) -> Terms:
        """Data (B, visible), at a point of the training in [0, 1]."""
        with torch.no_grad():
            x = rbm.hidden_input(v)
            negative = self.negative(rbm, x, layer, self.steps(progress))
            fantasy = rbm.hidden_input(negative)
            self.keep(rbm, fantasy, layer)
        states = (v, x, negative, fantasy)
        loss = FreeEnergyGap.apply(rbm, states, rbm.weight, rbm.visible_bias, rbm.hidden_bias)
        if self.sparsity is not None:
            loss = loss + self.sparsity(rbm.hidden.mean(rbm.hidden_input(v)))
        return Terms(loss, negative)

    @abstractmethod
    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> Tensor:
        """v⁻; x is the hidden units' input from the data."""

    def keep(self, rbm: RBM, fantasy: Tensor, layer: int) -> None:
        """What the next step wants to know of this one's hidden units' input from v⁻."""


class ContrastiveDivergence(ContrastiveLoss):
    """CD-k: chains of k steps that start at the data; the last visible states are means, which is less noise (Hinton
    2010, section 3.2)."""

    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> Tensor:
        h = rbm.hidden.sample(x)
        for _ in range(k - 1):
            h = rbm.hidden_sample(rbm.visible_sample(h))
        return rbm.visible.mean(rbm.visible_input(h))


class PersistentCD(ContrastiveLoss):
    """PCD-k (Tieleman 2008): chains that go on from step to step; they are part of checkpoints.

    Args:
        chains: how many, whatever the batch size. Several processes share them, and each knows them all.
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
        for layer, rbm in enumerate(rbms):
            self.register_buffer(f"hidden_{layer}", torch.zeros(self.chains, len(rbm.hidden_bias)))

    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> Tensor:
        every = self.get_buffer(f"hidden_{layer}")
        chains = ranks.own_rows(every)
        if not every.any():  # they start at data
            data = ranks.gather_rows(x)
            data = data[torch.arange(len(every), device=x.device) % len(data)]
            chains.copy_(rbm.hidden.sample(ranks.own_rows(data)))
        return rbm.gibbs(rbm.visible_sample(chains), k - 1)

    def keep(self, rbm: RBM, fantasy: Tensor, layer: int) -> None:
        self.get_buffer(f"hidden_{layer}").copy_(ranks.gather_rows(rbm.hidden.sample(fantasy)))
