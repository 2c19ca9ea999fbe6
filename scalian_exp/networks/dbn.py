"""Deep belief networks over images; with one layer, a restricted Boltzmann machine.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets", Neural Computation 18: the two top layers
are an RBM; below it, every layer generates the next lower one with the weights of the RBM it was trained as.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.distributed.noise import bernoulli
from scalian_exp.networks.parts.unrolling import Dense, check_units, unrolled
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli, Units, log_probability
from scalian_exp.ranges import PositiveInt


class DeepBeliefNetwork(nn.Module):
    """Stack of RBMs: images (B, C, H, W) in [0, 1] ↔ visible units (B, C·H·W) ↔ … ↔ top hidden units (B, hidden[-1]).

    Args:
        hidden: units of each layer, from the image upwards.
        visible_units: kind of the image's units; Gaussian ones see standardised pixels, of mean 0 and variance 1.
        top_units: kind of the top hidden units; Gaussian ones make a code (Hinton & Salakhutdinov 2006).
        centred: use RBMs with offsets (Melchior et al. 2016).
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
        """Number of layers not trained yet; until it is 0, samples from the top don't show what was learned."""
        return sum(not rbm.started for rbm in self.rbms)

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the mean and deviation that pixels are standardised by; nearly constant pixels are only centred."""
        self.pixel_mean.copy_(mean)
        self.pixel_scale.copy_(torch.where(deviation > 0.01, deviation, 1.0))

    def visible(self, image: Tensor) -> Tensor:
        """Convert images (B, C, H, W) to states of the visible units (B, C·H·W)."""
        v = image.flatten(1)
        return (v - self.pixel_mean) / self.pixel_scale if self.standardised else v

    def image(self, v: Tensor) -> Tensor:
        """Convert states of the visible units (B, C·H·W) to images (B, C, H, W) in [0, 1]."""
        return (v * self.pixel_scale + self.pixel_mean).clamp(0, 1).unflatten(-1, self.shape)

    def means_above(self, image: Tensor, layer: int) -> Tensor:
        """Return mean states of the visible units of RBM number `layer`; 0 gives the image's own units."""
        states = self.visible(image)
        for rbm in islice(self.rbms, layer):
            states = rbm.hidden.mean(rbm.hidden_input(states))
        return states

    def encode(self, image: Tensor) -> Tensor:
        """Encode images (B, C, H, W) in [0, 1] to mean states of the top hidden units, (B, hidden[-1])."""
        return self.means_above(image, len(self.rbms))

    def layer_codes(self, image: Tensor) -> list[Tensor]:
        """Return the mean states of each layer's hidden units, from the image upwards."""
        return [self.means_above(image, layer + 1) for layer in range(len(self.rbms))]

    def decode(self, h: Tensor) -> Tensor:
        """Decode states of the top hidden units to logits of the pixels (B, C, H, W), using means all the way down."""
        top = self.rbms[-1]
        image = self.image(self.down(top.visible.mean(top.visible_input(h)), drawn=False))
        return torch.logit(image.float(), eps=1e-6)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits of the pixels after one pass up and one down."""
        return self.decode(self.encode(image))

    def up(self, v: Tensor) -> Tensor:
        """Draw states of the top RBM's visible units from those of the image, layer by layer."""
        for rbm in self.rbms[:-1]:
            v = rbm.hidden_sample(v)
        return v

    def input_below(self, layer: int, h: Tensor) -> Tensor:
        """Return the total input that the units below RBM number `layer` get from those above it."""
        x: Tensor = self.rbms[layer].visible_input(h)
        return x

    def down(self, states: Tensor, drawn: bool = True) -> Tensor:
        """Return means of the visible units given states of the top RBM's; layers in between are drawn, or means."""
        for layer in reversed(range(len(self.rbms) - 1)):
            units, x = self.rbms[layer].visible, self.input_below(layer, states)
            states = units.sample(x) if drawn and layer > 0 else units.mean(x)
        return states

    def walk(self, v: Tensor) -> Tensor:
        """Return means of the visible units after a pass up, a step of Gibbs sampling at the top, and a pass down."""
        top = self.rbms[-1]
        x = top.visible_input(top.hidden_sample(self.up(v)))
        return self.down(top.visible.mean(x) if len(self.rbms) == 1 else top.visible.sample(x))

    def chain(self, count: int, steps: int, every: int, labels: Tensor | None = None) -> Iterator[Tensor]:
        """Yield images (count, C, H, W) every `every` of `steps` steps of Gibbs sampling in the top RBM.

        Chains start at the data's mean. If class numbers `labels` (count,) are given, the label units are held at
        these.
        """
        top = self.rbms[-1]
        states = top.visible.sample(top.visible.bias(top.visible_mean).expand(count, -1))
        for step in range(1, steps + 1):
            x = top.visible_input(top.hidden_sample(self.held(states, labels)))
            states = top.visible.sample(x)
            if step % every == 0:
                yield self.image(self.down(top.visible.mean(x) if len(self.rbms) == 1 else states))

    def seen_by_top(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return states of all visible units of the top RBM, given those of its layer and perhaps class numbers."""
        return states

    def held(self, states: Tensor, labels: Tensor | None) -> Tensor:
        """Return states of the top RBM's visible units, with the label units set to `labels` if these are given."""
        return states

    def sample(self, count: int, steps: int = 1000) -> Tensor:
        """Draw images (count, C, H, W) in [0, 1] by `steps` steps of Gibbs sampling."""
        return list(self.chain(count, steps, steps))[-1]

    def complete(self, image: Tensor, known: Tensor, steps: int = 100) -> Tensor:
        """Fill in the unknown part of images (B, C, H, W) with means over the second half of a Gibbs chain.

        The known part is held fixed. This samples exactly from a single RBM, and approximately from a stack, whose
        lower layers are inferred by the weights of the upward pass.

        Args:
            image: images (B, C, H, W) in [0, 1].
            known: bool, broadcast to the images.
            steps: length of the chain.
        """
        v, fixed = self.visible(image), (known | torch.zeros_like(image, dtype=torch.bool)).flatten(1)
        start = torch.where(fixed, v, self.rbms[0].visible_mean[: v.shape[1]])
        means = self.mean_of_walk(start, lambda means: torch.where(fixed, v, means), steps)
        return torch.where(known, image, self.image(means))

    def denoise(self, image: Tensor, flipped: float, steps: int = 100) -> Tensor:
        """Estimate the images from which noisy ones arose by flipping each pixel with probability `flipped`.

        The estimate is their mean given the noisy images. A noisy pixel adds log((1 − flipped) / flipped) to the
        log-odds of its own state, beside what the network predicts for it.
        """
        evidence = (2 * image.flatten(1) - 1) * math.log((1 - flipped) / flipped)

        def with_evidence(means: Tensor) -> Tensor:
            return torch.sigmoid(torch.logit(means, eps=1e-6) + evidence)

        return self.image(self.mean_of_walk(image.flatten(1), with_evidence, steps))

    def mean_of_walk(self, v: Tensor, given: Callable[[Tensor], Tensor], steps: int) -> Tensor:
        """Return means of the visible units over the later half of a chain that `given` corrects at each step.

        The next pass up starts at states drawn from the means, or at the means themselves if the units are Gaussian.
        """
        total, averaged = torch.zeros_like(v), range(steps // 2, steps)
        for step in range(steps):
            means = given(self.walk(v))
            v = means if self.standardised else bernoulli(means)
            total = total + means if step in averaged else total
        return total / len(averaged)

    def downwards(self, layer: int) -> Dense:
        """Return the dense layer from the units above RBM number `layer` to those below it."""
        rbm = self.rbms[layer]
        return Dense(rbm.weight.detach().T, rbm.uncentred_biases()[0])

    def filters(self, layer: int) -> Tensor:
        """Return how much each hidden unit of a layer adds to each pixel, (hidden[layer], C, H, W), of any range.

        Units of deeper layers are combined through the layers below.
        """
        weights = self.downwards(layer).weight.T
        for lower in reversed(range(layer)):
            through = self.downwards(lower).weight.T
            weights = weights[:, : len(through)] @ through  # without the label units
        return weights[:, : math.prod(self.shape)].unflatten(1, self.shape)

    def dense_layers(self) -> list[tuple[Dense, Dense]]:
        """Return the dense layers up and down through each RBM, without offsets, to initialise other networks with."""
        up = [Dense(rbm.weight.detach(), rbm.uncentred_biases()[1]) for rbm in self.rbms]
        weight = up[0].weight / self.pixel_scale  # takes pixels that are not standardised
        up[0] = Dense(weight, up[0].bias - weight @ self.pixel_mean)
        return [(dense, self.downwards(layer)) for layer, dense in enumerate(up)]

    def weights_for(self, network: nn.Module) -> dict[str, Tensor]:
        """Return weights under the names of a feed-forward network of the same widths; see parts/unrolling.py.

        Raises:
            ValueError: if its units are of another kind.
        """
        weights = unrolled(self.dense_layers(), network, keep_last=self.standardised)
        check_units([rbm.hidden for rbm in self.rbms], network, weights)
        return weights

    def log_likelihood_bound(self, image: Tensor, log_partition: Tensor) -> Tensor:
        """Estimate a lower bound of log p(v) for each image, (B,), in nats; with one layer it is log p(v) itself.

        Salakhutdinov & Murray 2008, eq. 22: log p(v) ≥ E_q[log p(v|h) − F(h) + entropies] − log Z of the top RBM, with
        one draw of the layers in between.
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
        """Return the free energy (B,) of states of the units below the top RBM's hidden units."""
        energy: Tensor = self.rbms[-1].free_energy(states)
        return energy
