"""Losses whose gradient is that of contrastive divergence.

The log-likelihood's gradient is −∂/∂θ ⟨F(v)⟩_data + ∂/∂θ ⟨F(v)⟩_model. With states v⁻ from k steps of Gibbs sampling in
place of the model's, held fixed, mean F(v) − mean F(v⁻) is a loss for any optimizer (Hinton 2002; Tieleman 2008).
Its value says nothing of how good the model is.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.rbm import RBM
from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveInt


class Terms(NamedTuple):
    loss: Tensor
    """what is minimised"""
    negative: Tensor
    """v⁻, (chains, visible)"""


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
        x = rbm.hidden_input(v)
        negative, fantasy = self.negative(rbm, x.detach(), layer, self.steps(progress))
        loss = rbm.free_energy(v, x).mean() - rbm.free_energy(negative, fantasy).mean()
        return Terms(loss if self.sparsity is None else loss + self.sparsity(rbm.hidden.mean(x)), negative)

    @abstractmethod
    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> tuple[Tensor, Tensor]:
        """v⁻ and the hidden units' input from it; x is their input from the data."""


class ContrastiveDivergence(ContrastiveLoss):
    """CD-k: chains of k steps that start at the data; the last visible states are means, which is less noise (Hinton
    2010, section 3.2)."""

    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            h = rbm.hidden.sample(x)
            for _ in range(k - 1):
                h = rbm.hidden_sample(rbm.visible_sample(h))
            v = rbm.visible.mean(rbm.visible_input(h))
        return v, rbm.hidden_input(v)


class PersistentCD(ContrastiveLoss):
    """PCD-k (Tieleman 2008): chains that go on from step to step; they are part of checkpoints.

    Args:
        chains: how many, whatever the batch size.
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

    def negative(self, rbm: RBM, x: Tensor, layer: int, k: int) -> tuple[Tensor, Tensor]:
        chains = self.get_buffer(f"hidden_{layer}")
        with torch.no_grad():
            if not chains.any():  # they start at data
                chains.copy_(rbm.hidden.sample(x[torch.arange(len(chains), device=x.device) % len(x)]))
            v = rbm.gibbs(rbm.visible_sample(chains), k - 1)
        fantasy = rbm.hidden_input(v)
        chains.copy_(rbm.hidden.sample(fantasy.detach()))
        return v, fantasy
