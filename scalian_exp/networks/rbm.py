"""The restricted Boltzmann machine.

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


def biases_without_offsets(
    weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, visible_offset: Tensor, hidden_offset: Tensor
) -> tuple[Tensor, Tensor]:
    """Visible and hidden biases that give the same distribution where the offsets are 0."""
    return visible_bias - hidden_offset @ weight, hidden_bias - weight @ visible_offset


def take_offsets_out(rbm: "RBM", state: dict[str, Any], prefix: str, *_others: Any) -> None:
    """Before a centred machine's state is loaded into one that isn't (init_from): the same distribution's."""
    names = [f"{prefix}{name}" for name in ("weight", "visible_bias", "hidden_bias", "visible_offset", "hidden_offset")]
    if rbm.centred or any(name not in state for name in names):
        return
    _, visible_bias, hidden_bias, *offsets = names
    state[visible_bias], state[hidden_bias] = biases_without_offsets(*(state[name] for name in names))
    for offset in offsets:
        state[offset] = torch.zeros_like(state[offset])


class RBM(nn.Module):
    """p(v, h) ∝ exp(b·(v−μ) + c·(h−λ) + (h−λ)ᵀW(v−μ) − base(v) − base(h)), states (…, visible) and (…, hidden).

    The offsets μ and λ are 0, or with `centred` the data's mean and a running mean of the hidden units: of the same
    distributions, learning then finds better ones.
    """

    def __init__(self, visible: int, hidden: int, visible_units: Units, hidden_units: Units, centred: bool = False):
        super().__init__()
        self.visible, self.hidden, self.centred = visible_units, hidden_units, centred
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, visible))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        for name, size in (("visible_offset", visible), ("hidden_offset", hidden)):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("visible_mean", torch.full((visible,), torch.nan))
        self.visible_mean: Tensor  # of the data, once it is known: the base rates of annealed importance sampling
        self.visible_offset: Tensor
        self.hidden_offset: Tensor
        self.register_load_state_dict_pre_hook(take_offsets_out)

    def visible_shifted(self, v: Tensor) -> Tensor:
        """v − μ."""
        return v - self.visible_offset if self.centred else v

    def hidden_shifted(self, h: Tensor) -> Tensor:
        """h − λ."""
        return h - self.hidden_offset if self.centred else h

    def hidden_input(self, v: Tensor) -> Tensor:
        return F.linear(self.visible_shifted(v), self.weight, self.hidden_bias)

    def visible_input(self, h: Tensor) -> Tensor:
        return F.linear(self.hidden_shifted(h), self.weight.t(), self.visible_bias)

    def free_energy(self, v: Tensor, hidden_input: Tensor | None = None) -> Tensor:
        """−log Σ_h exp(−E(v, h)), (…,).

        Args:
            hidden_input: that of v, where it is known already.
        """
        x = self.hidden_input(v) if hidden_input is None else hidden_input
        own = self.visible.base(v) - self.visible_shifted(v) @ self.visible_bias
        return (own + x @ self.hidden_offset if self.centred else own) - self.hidden.cumulant(x)

    def hidden_sample(self, v: Tensor) -> Tensor:
        return self.hidden.sample(self.hidden_input(v))

    def visible_sample(self, h: Tensor) -> Tensor:
        return self.visible.sample(self.visible_input(h))

    def gibbs(self, v: Tensor, steps: int) -> Tensor:
        """The visible states after so many steps of block Gibbs sampling."""
        for _ in range(steps):
            v = self.visible_sample(self.hidden_sample(v))
        return v

    @property
    def started(self) -> bool:
        """Does it know the data's mean?"""
        return not bool(self.visible_mean.isnan().any())

    @torch.no_grad()
    def start_from(self, mean: Tensor) -> None:
        """With hidden units left out of account the units have the data's mean (Hinton 2010, section 8)."""
        self.visible_mean.copy_(mean)
        self.visible_bias.copy_(self.visible.bias(mean))
        if self.centred:
            self.visible_offset.copy_(mean)
            self.hidden_offset.copy_(self.hidden.mean(self.hidden_bias))

    @torch.no_grad()
    def recentre(self, v: Tensor, rate: float = 0.01) -> None:
        """Move λ towards the hidden units' mean on a batch; the visible bias moves with it, so that the distribution
        stays (Melchior et al., algorithm 1; their rate)."""
        shift = rate * (ranks.mean(self.hidden.mean(self.hidden_input(v)).mean(0)) - self.hidden_offset)
        self.hidden_offset += shift
        self.visible_bias.add_(shift @ self.weight)

    @torch.no_grad()
    def plain_biases(self) -> tuple[Tensor, Tensor]:
        """Visible and hidden biases of the same distribution without offsets."""
        return biases_without_offsets(
            self.weight, self.visible_bias, self.hidden_bias, self.visible_offset, self.hidden_offset
        )

    @torch.no_grad()
    def plain(self) -> "RBM":
        """The same distribution without offsets."""
        hidden, visible = self.weight.shape
        rbm = RBM(visible, hidden, self.visible, self.hidden).to(self.weight)
        rbm.load_state_dict(self.state_dict())
        return rbm
