"""Deep belief networks over images. One layer makes a restricted Boltzmann machine.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets", Neural Computation 18: the two top layers
are an RBM; below it, every layer generates the next one downwards, with the weights that were once an RBM's.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.distributed.noise import bernoulli
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli, Units
from scalian_exp.ranges import PositiveInt


class Dense(NamedTuple):
    """From one layer to the next."""

    weight: Tensor
    """(to, from)"""
    bias: Tensor
    """(to,)"""


class DeepBeliefNetwork(nn.Module):
    """Images (B, C, H, W) in [0, 1] ↔ visible units (B, C·H·W) ↔ … ↔ the last hidden units (B, hidden[-1]).

    Args:
        hidden: units of each layer, from the image upwards.
        visible_units: of the image; Gaussian ones see standardised pixels, of mean 0 and variance 1.
        top_units: the last hidden ones; a code is made of Gaussian ones (Hinton & Salakhutdinov 2006).
        centred: RBMs with offsets (Melchior et al. 2016).
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        visible_units: Units | None = None,
        centred: bool = False,
        top_units: Units | None = None,
    ):
        super().__init__()
        if not hidden:
            raise ValueError("A stack needs at least one layer (model.network.hidden).")
        self.shape = (in_channels, *image_size)
        widths = [math.prod(self.shape), *hidden]
        self.standardised = visible_units is not None and visible_units.standardised
        kinds = [visible_units or Bernoulli(), *[Bernoulli() for _ in hidden[1:]], top_units or Bernoulli()]
        self.rbms: Any = nn.ModuleList(
            RBM(below, above, kind, kind_above, centred)
            for (below, above), (kind, kind_above) in zip(pairwise(widths), pairwise(kinds), strict=True)
        )
        self.register_buffer("pixel_mean", torch.zeros(widths[0]))
        self.register_buffer("pixel_scale", torch.ones(widths[0]))
        self.pixel_mean: Tensor
        self.pixel_scale: Tensor

    @property
    def layers_untrained(self) -> int:
        """How many have had no turn yet: what comes from the top says nothing then of what the network knows."""
        return sum(not rbm.started for rbm in self.rbms)

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """See pixels from now on as multiples of their standard deviation; constant ones stay as they are."""
        self.pixel_mean.copy_(mean)
        self.pixel_scale.copy_(torch.where(deviation > 0.01, deviation, 1.0))

    def visible(self, image: Tensor) -> Tensor:
        """States of the visible units, (B, C·H·W)."""
        v = image.flatten(1)
        return (v - self.pixel_mean) / self.pixel_scale if self.standardised else v

    def image(self, v: Tensor) -> Tensor:
        """Their image, in [0, 1]."""
        return (v * self.pixel_scale + self.pixel_mean).clamp(0, 1).unflatten(-1, self.shape)

    def means_above(self, image: Tensor, layer: int) -> Tensor:
        """Mean states of the units below RBM number `layer`: 0 gives the visible units themselves."""
        states = self.visible(image)
        for rbm in self.rbms[:layer]:
            states = rbm.hidden.mean(rbm.hidden_input(states))
        return states

    def encode(self, image: Tensor) -> Tensor:
        """Mean states of the last hidden units."""
        return self.means_above(image, len(self.rbms))

    def layer_codes(self, image: Tensor) -> list[Tensor]:
        """Mean states of each layer's hidden units, from the image upwards."""
        return [self.means_above(image, layer + 1) for layer in range(len(self.rbms))]

    def decode(self, h: Tensor) -> Tensor:
        """Logits of the pixels, (B, C, H, W), of the last hidden units' states, by means all the way down."""
        top = self.rbms[-1]
        image = self.image(self.down(top.visible.mean(top.visible_input(h)), drawn=False))
        return torch.logit(image.float(), eps=1e-6)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the pixels after one pass up and one down."""
        return self.decode(self.encode(image))

    def up(self, v: Tensor) -> Tensor:
        """States of the top RBM's visible units, drawn layer by layer."""
        for rbm in self.rbms[:-1]:
            v = rbm.hidden_sample(v)
        return v

    def input_below(self, layer: int, h: Tensor) -> Tensor:
        """What units below the top RBM get from the layer above them; RBM number `layer` joins the two."""
        x: Tensor = self.rbms[layer].visible_input(h)
        return x

    def down(self, states: Tensor, drawn: bool = True) -> Tensor:
        """Means of the visible units given states of the top RBM's; states between are drawn, or means."""
        for layer in reversed(range(len(self.rbms) - 1)):
            units, x = self.rbms[layer].visible, self.input_below(layer, states)
            states = units.sample(x) if drawn and layer > 0 else units.mean(x)
        return states

    def walk(self, v: Tensor) -> Tensor:
        """Means of the visible units after a step up, one of Gibbs sampling at the top, and down again."""
        top = self.rbms[-1]
        x = top.visible_input(top.hidden_sample(self.up(v)))
        return self.down(top.visible.mean(x) if len(self.rbms) == 1 else top.visible.sample(x))

    def chain(self, count: int, steps: int, every: int, labels: Tensor | None = None) -> Iterator[Tensor]:
        """Images (count, C, H, W) every so many of `steps` steps of Gibbs sampling in the top RBM, from units at the
        data's means; with class numbers (count,), label units are held at these."""
        top = self.rbms[-1]
        states = top.visible.sample(top.visible.bias(top.visible_mean).expand(count, -1))
        for step in range(1, steps + 1):
            x = top.visible_input(top.hidden_sample(self.held(states, labels)))
            states = top.visible.sample(x)
            if step % every == 0:
                yield self.image(self.down(top.visible.mean(x) if len(self.rbms) == 1 else states))

    def seen_by_top(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        """States of all visible units of the top RBM, given those that continue the image and perhaps class numbers."""
        return states

    def held(self, states: Tensor, labels: Tensor | None) -> Tensor:
        """States of the top RBM's visible units, those of the labels set where labels are given."""
        return states

    def sample(self, count: int, steps: int = 1000) -> Tensor:
        """Images after so many steps of Gibbs sampling."""
        return list(self.chain(count, steps, steps))[-1]

    def complete(self, image: Tensor, known: Tensor, steps: int = 100) -> Tensor:
        """The unknown part of images, given the known one, which is held fixed: means over the second half of a walk.
        One RBM is sampled from exactly so; a stack roughly, as its layers below the top are inferred by the weights of
        the way up.

        Args:
            known: bool, broadcast to the images.
        """
        v, fixed = self.visible(image), (known | torch.zeros_like(image, dtype=torch.bool)).flatten(1)
        start = torch.where(fixed, v, self.rbms[0].visible_mean[: v.shape[1]])
        means = self.mean_of_walk(start, lambda means: torch.where(fixed, v, means), steps)
        return torch.where(known, image, self.image(means))

    def denoise(self, image: Tensor, flipped: float, steps: int = 100) -> Tensor:
        """Images whose pixels were turned over with a probability, without that noise: their mean given the noisy ones.

        A noisy pixel is evidence for its state, worth log((1 − flipped) / flipped), beside what the network says of it.
        """
        evidence = (2 * image.flatten(1) - 1) * math.log((1 - flipped) / flipped)

        def with_evidence(means: Tensor) -> Tensor:
            return torch.sigmoid(torch.logit(means, eps=1e-6) + evidence)

        return self.image(self.mean_of_walk(image.flatten(1), with_evidence, steps))

    def mean_of_walk(self, v: Tensor, given: Callable[[Tensor], Tensor], steps: int) -> Tensor:
        """Means of the visible units over the later half of a walk, each step's means corrected by what is given.
        States drawn from them go up again, of Gaussian units the means."""
        total, kept = torch.zeros_like(v), range(steps // 2, steps)
        for step in range(steps):
            means = given(self.walk(v))
            v = means if self.standardised else bernoulli(means)
            total = total + means if step in kept else total
        return total / len(kept)

    def downwards(self, layer: int) -> Dense:
        """From the units above RBM number `layer` to those below it."""
        rbm = self.rbms[layer]
        return Dense(rbm.weight.detach().T, rbm.plain_biases()[0])

    def filters(self, layer: int) -> Tensor:
        """What each hidden unit of a layer adds to the image, (hidden[layer], C, H, W), in no particular range; those
        of deeper layers are combined through the layers below."""
        weights = self.downwards(layer).weight.T
        for lower in reversed(range(layer)):
            through = self.downwards(lower).weight.T
            weights = weights[:, : len(through)] @ through  # without what a label unit adds
        return weights[:, : math.prod(self.shape)].unflatten(1, self.shape)

    def dense_layers(self) -> list[tuple[Dense, Dense]]:
        """The way up and the way down through each RBM, without offsets: what a network that starts from this one is
        given."""
        up = [Dense(rbm.weight.detach(), rbm.plain_biases()[1]) for rbm in self.rbms]
        weight = up[0].weight / self.pixel_scale  # it is to see pixels as they are
        up[0] = Dense(weight, up[0].bias - weight @ self.pixel_mean)
        return [(dense, self.downwards(layer)) for layer, dense in enumerate(up)]

    def log_likelihood_bound(self, image: Tensor, log_partition: Tensor) -> Tensor:
        """A lower bound of log p(v), (B,), in nats, by one draw of the layers between; of one layer it is log p(v).

        Salakhutdinov & Murray 2008, eq. 22: log p(v) ≥ E_q[log p(v|h) − F(h) + entropies] − log Z of the top RBM.
        """
        v = self.visible(image)
        bound = -log_partition
        for layer, rbm in enumerate(self.rbms[:-1]):
            q = rbm.hidden_input(v)
            h = rbm.hidden.sample(q)
            p = self.input_below(layer, h)
            bound = bound + log_probability(rbm.visible, p, v) - log_probability(rbm.hidden, q, h)
            v = h
        return bound - self.top_free_energy(v)

    def top_free_energy(self, states: Tensor) -> Tensor:
        """Of the units that the top RBM sees besides its own, (B,)."""
        energy: Tensor = self.rbms[-1].free_energy(states)
        return energy


def log_probability(units: Units, x: Tensor, states: Tensor) -> Tensor:
    """Of states given the total inputs, summed over the layer."""
    return (x * states).sum(-1) - units.base(states) - units.cumulant(x)
