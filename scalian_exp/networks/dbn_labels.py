"""Deep belief network that classifies: labels are units of its top RBM.

Hinton, Osindero & Teh 2006, figure 1 and appendix B: 784-500-500-2000, with ten label units beside the upper 500.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.dbn import DeepBeliefNetwork
from scalian_exp.networks.parts.unrolling import Dense
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Joined, Softmax
from scalian_exp.ranges import PositiveInt


class LabelledDBN(DeepBeliefNetwork):
    """Stack of RBMs whose top one sees one-hot labels (B, num_classes) beside the units below it.

    During pretraining, the layers below the top are RBMs with one set of weights. After `untie`, these weights serve
    recognition, upwards, and `generative` ones, which are initialised as their copy, serve generation, downwards.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        hidden: Sequence[PositiveInt],
        num_classes: PositiveInt,
        centred: bool = False,
    ):
        super().__init__(in_channels, image_size, hidden, centred=centred)
        top = self.rbms[-1]
        above, self.below_top = top.weight.shape
        self.num_classes = num_classes
        units = Joined(top.visible, self.below_top, Softmax(num_classes))
        self.rbms[-1] = RBM(self.below_top + num_classes, above, units, top.hidden, centred)
        self.generative: Any = nn.ModuleList(nn.Linear(*rbm.weight.shape) for rbm in self.rbms[:-1])
        self.register_buffer("untied", torch.tensor(False))
        self.untied: Tensor

    @torch.no_grad()
    def untie(self) -> None:
        """Give the downward pass weights of its own, initialised with those of the upward pass."""
        for rbm, linear in zip(self.rbms[:-1], self.generative, strict=True):
            linear.weight.copy_(rbm.weight.T)
            linear.bias.copy_(rbm.uncentred_biases()[0])
        self.untied.fill_(True)

    def input_below(self, layer: int, h: Tensor) -> Tensor:
        """Return the total input that units get from the layer above them, with generative weights once untied."""
        return self.generative[layer](h) if bool(self.untied) else super().input_below(layer, h)

    def seen_by_top(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        """Append label units to states of the units below the top RBM; unknown labels count as equally probable.

        Equal probabilities are meant for computing features, not for sampling.
        """
        if labels is None:
            known = states.new_full((states.shape[0], self.num_classes), 1 / self.num_classes)
        else:
            known = F.one_hot(labels, self.num_classes).to(states.dtype)
        return torch.cat([states, known], 1)

    def means_above(self, image: Tensor, layer: int) -> Tensor:
        """Return mean states of the visible units of RBM number `layer`, with unknown labels."""
        last = len(self.rbms)
        states = super().means_above(image, min(layer, last - 1))
        if layer < last:
            return states
        top = self.rbms[-1]
        return top.hidden.mean(top.hidden_input(self.seen_by_top(states)))

    def up(self, v: Tensor) -> Tensor:
        """Draw states of the top RBM's visible units, layer by layer, and then the label given these."""
        states = super().up(v)
        labels = torch.multinomial(torch.softmax(-self.free_energies(states).float(), 1), 1).squeeze(1)
        return self.seen_by_top(states, labels)

    def downwards(self, layer: int) -> Dense:
        """Return the dense layer from the units above RBM number `layer` to those below, with generative weights."""
        if not bool(self.untied) or layer == len(self.generative):
            return super().downwards(layer)
        linear = self.generative[layer]
        return Dense(linear.weight.detach(), linear.bias.detach())

    def dense_layers(self) -> list[tuple[Dense, Dense]]:
        """Return the dense layers up and down through each RBM; label units contribute their mean to the bias above."""
        *lower, (up, down) = super().dense_layers()
        size, mean = self.below_top, self.rbms[-1].visible_mean[self.below_top :]
        from_units, from_labels = up.weight[:, :size], up.weight[:, size:]
        return [*lower, (Dense(from_units, up.bias + from_labels @ mean), Dense(down.weight[:size], down.bias[:size]))]

    def down(self, states: Tensor, drawn: bool = True) -> Tensor:
        """Return means of the visible units given states of the top RBM's, of which the labels are ignored."""
        return super().down(states[:, : self.below_top], drawn)

    def held(self, states: Tensor, labels: Tensor | None) -> Tensor:
        """Return states of the top RBM's visible units, with the label units set to `labels` if these are given."""
        return states if labels is None else self.seen_by_top(states[:, : self.below_top], labels)

    def sample_of(self, labels: Tensor, steps: int = 1000) -> Tensor:
        """Draw images (B, C, H, W) in [0, 1] of the given classes (B,)."""
        return list(self.chain(len(labels), steps, steps, labels))[-1]

    def top_free_energy(self, states: Tensor) -> Tensor:
        """Return the free energy (B,) of states below the top RBM, summed over all labels."""
        return -torch.logsumexp(-self.free_energies(states), 1)

    def free_energies(self, states: Tensor) -> Tensor:
        """Return the free energy of states below the top RBM together with each label, (B, num_classes)."""
        labels = torch.arange(self.num_classes, device=states.device)
        rows = states.repeat_interleave(self.num_classes, 0)
        energies: Tensor = self.rbms[-1].free_energy(self.seen_by_top(rows, labels.repeat(states.shape[0])))
        return energies.view(-1, self.num_classes)

    def classify(self, image: Tensor) -> Tensor:
        """Classify images (B, C, H, W): logits (B, num_classes), minus the free energies, using means on the way up."""
        return -self.free_energies(self.means_above(image, len(self.rbms) - 1))
