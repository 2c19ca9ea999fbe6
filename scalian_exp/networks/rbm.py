"""Restricted Boltzmann machine.

Smolensky 1986; Hinton 2002, "Training products of experts by minimizing contrastive divergence"; Hinton 2010, "A
practical guide to training RBMs". Centring: Melchior, Fischer & Wiskott 2016, "How to center deep Boltzmann machines",
JMLR 17.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.distributed import ranks
from scalian_exp.networks.units import Units
from scalian_exp.precision import at_least_single


def biases_without_offsets(
    weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, visible_offset: Tensor, hidden_offset: Tensor
) -> tuple[Tensor, Tensor]:
    """Return visible and hidden biases that give the same distribution with offsets of 0."""
    return visible_bias - hidden_offset @ weight, hidden_bias - weight @ visible_offset


def take_offsets_out(rbm: "RBM", state: dict[str, Any], prefix: str, *_others: Any) -> None:
    """Remove the offsets from a centred RBM's state before one without offsets loads it; the distribution stays."""
    names = [f"{prefix}{name}" for name in ("weight", "visible_bias", "hidden_bias", "visible_offset", "hidden_offset")]
    if rbm.centred or any(name not in state for name in names):
        return
    _, visible_bias, hidden_bias, *offsets = names
    state[visible_bias], state[hidden_bias] = biases_without_offsets(*(state[name] for name in names))
    for offset in offsets:
        state[offset] = torch.zeros_like(state[offset])


class RBM(nn.Module):
    """Restricted Boltzmann machine over states (…, visible) and (…, hidden) of any kind of units.

    p(v, h) ∝ exp(b·(v−μ) + c·(h−λ) + (h−λ)ᵀW(v−μ) − base(v) − base(h)). The offsets μ and λ are 0, or with `centred`
    the data's mean and a running mean of the hidden units: the same distributions, but learning finds better ones.
    """

    running_means = ("visible_offset", "hidden_offset")

    def __init__(self, visible: int, hidden: int, visible_units: Units, hidden_units: Units, centred: bool = False):
        super().__init__()
        self.visible, self.hidden, self.centred = visible_units, hidden_units, centred
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, visible))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        for name, size in (("visible_offset", visible), ("hidden_offset", hidden)):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("visible_mean", torch.full((visible,), torch.nan))
        self.visible_mean: Tensor  # the data's, NaN until it is known; base rates of annealed importance sampling
        self.visible_offset: Tensor
        self.hidden_offset: Tensor
        self.register_load_state_dict_pre_hook(take_offsets_out)

    @property
    def parameters_in_order(self) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
        """The weight, the visible bias and the hidden bias."""
        return self.weight, self.visible_bias, self.hidden_bias

    def visible_shifted(self, v: Tensor) -> Tensor:
        """Return v − μ."""
        return v - self.visible_offset if self.centred else v

    def hidden_shifted(self, h: Tensor) -> Tensor:
        """Return h − λ."""
        return h - self.hidden_offset if self.centred else h

    def hidden_input(self, v: Tensor) -> Tensor:
        """Return the total input of the hidden units, (…, hidden)."""
        return F.linear(self.visible_shifted(v), self.weight, self.hidden_bias)

    def visible_input(self, h: Tensor) -> Tensor:
        """Return the total input of the visible units, (…, visible)."""
        return F.linear(self.hidden_shifted(h), self.weight.t(), self.visible_bias)

    def free_energy(self, v: Tensor) -> Tensor:
        """Return the free energy −log Σ_h exp(−E(v, h)), (…,), of visible states (…, visible).

        Its sums have at least single precision. They are no matrix products, which autocast would compute in 16 bits.
        """
        x = self.hidden_input(v)
        own = self.visible.base(v) - (at_least_single(self.visible_shifted(v)) * self.visible_bias).sum(-1)
        offset = (at_least_single(x) * self.hidden_offset).sum(-1) if self.centred else 0.0
        return own + offset - self.hidden.cumulant(x)

    def hidden_sample(self, v: Tensor) -> Tensor:
        """Draw hidden states (…, hidden) given visible ones."""
        return self.hidden.sample(self.hidden_input(v))

    def visible_sample(self, h: Tensor) -> Tensor:
        """Draw visible states (…, visible) given hidden ones."""
        return self.visible.sample(self.visible_input(h))

    def gibbs(self, v: Tensor, steps: int) -> Tensor:
        """Return the visible states after `steps` steps of block Gibbs sampling."""
        for _ in range(steps):
            v = self.visible_sample(self.hidden_sample(v))
        return v

    @property
    def started(self) -> bool:
        """Whether the data's mean is known."""
        return not bool(self.visible_mean.isnan().any())

    @torch.no_grad()
    def start_from(self, mean: Tensor) -> None:
        """Set the visible biases to the data's mean, which is right as long as the weights are small.

        Hinton 2010, section 8. With `centred`, the offsets are set as well.
        """
        self.visible_mean.copy_(mean)
        self.visible_bias.copy_(self.visible.bias(mean))
        if self.centred:
            self.visible_offset.copy_(mean)
            self.hidden_offset.copy_(self.hidden.mean(self.hidden_bias))

    @torch.no_grad()
    def recentre(self, v: Tensor, rate: float = 0.01) -> None:
        """Move λ towards the hidden units' mean on a batch, and the visible bias with it; the distribution stays.

        Melchior et al., algorithm 1, with their rate.
        """
        shift = rate * (ranks.mean(self.hidden.mean(self.hidden_input(v)).mean(0)) - self.hidden_offset)
        self.hidden_offset += shift
        self.visible_bias.add_(shift @ self.weight)

    @torch.no_grad()
    def uncentred_biases(self) -> tuple[Tensor, Tensor]:
        """Return visible and hidden biases of the same distribution without offsets."""
        return biases_without_offsets(
            self.weight, self.visible_bias, self.hidden_bias, self.visible_offset, self.hidden_offset
        )

    @torch.no_grad()
    def uncentred(self) -> "RBM":
        """Return an RBM of the same distribution without offsets, in at least single precision."""
        hidden, visible = self.weight.shape
        rbm = RBM(visible, hidden, self.visible, self.hidden).to(at_least_single(self.weight))
        rbm.load_state_dict({name: at_least_single(values) for name, values in self.state_dict().items()})
        return rbm
