"""The deep belief network that knows what it sees: labels are units of its top RBM.

Hinton, Osindero & Teh 2006, figure 1 and appendix B: 784-500-500-2000, ten label units beside the upper 500.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.dbn import DeepBeliefNetwork, Dense
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Joined, Softmax
from scalian_exp.ranges import PositiveInt


class LabelledDBN(DeepBeliefNetwork):
    """A stack whose top RBM sees one-of-num_classes labels (B, num_classes) beside the units below it.

    The layers below are RBMs while they are pretrained, with one set of weights. Once `untie` was called, these serve
    recognition, upwards, and `generative` ones, which begin as their copy, serve downwards.
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
        """From now on there are weights of their own for the way down."""
        for rbm, linear in zip(self.rbms[:-1], self.generative, strict=True):
            linear.weight.copy_(rbm.weight.T)
            linear.bias.copy_(rbm.plain_biases()[0])
        self.untied.fill_(True)

    def input_below(self, layer: int, h: Tensor) -> Tensor:
        return self.generative[layer](h) if bool(self.untied) else super().input_below(layer, h)

    def seen_by_top(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        """Unknown labels count as equally probable: for features, not for drawing."""
        if labels is None:
            known = states.new_full((len(states), self.num_classes), 1 / self.num_classes)
        else:
            known = F.one_hot(labels, self.num_classes).to(states.dtype)
        return torch.cat([states, known], 1)

    def means_above(self, image: Tensor, layer: int) -> Tensor:
        last = len(self.rbms)
        states = super().means_above(image, min(layer, last - 1))
        if layer < last:
            return states
        top = self.rbms[-1]
        return top.hidden.mean(top.hidden_input(self.seen_by_top(states)))

    def up(self, v: Tensor) -> Tensor:
        """The label is drawn as well, given the states beside it."""
        states = super().up(v)
        labels = torch.multinomial(torch.softmax(-self.free_energies(states).float(), 1), 1).squeeze(1)
        return self.seen_by_top(states, labels)

    def downwards(self, layer: int) -> Dense:
        if not bool(self.untied) or layer == len(self.generative):
            return super().downwards(layer)
        linear = self.generative[layer]
        return Dense(linear.weight.detach(), linear.bias.detach())

    def dense_layers(self) -> list[tuple[Dense, Dense]]:
        """Without the label units: what they give on average is in the bias above."""
        *lower, (up, down) = super().dense_layers()
        size, mean = self.below_top, self.rbms[-1].visible_mean[self.below_top :]
        from_units, from_labels = up.weight[:, :size], up.weight[:, size:]
        return [*lower, (Dense(from_units, up.bias + from_labels @ mean), Dense(down.weight[:size], down.bias[:size]))]

    def down(self, states: Tensor, drawn: bool = True) -> Tensor:
        return super().down(states[:, : self.below_top], drawn)

    def held(self, states: Tensor, labels: Tensor | None) -> Tensor:
        return states if labels is None else self.seen_by_top(states[:, : self.below_top], labels)

    def sample_of(self, labels: Tensor, steps: int = 1000) -> Tensor:
        """Images (B, C, H, W) of chosen classes (B,)."""
        return list(self.chain(len(labels), steps, steps, labels))[-1]

    def top_free_energy(self, states: Tensor) -> Tensor:
        """All labels summed over."""
        return -torch.logsumexp(-self.free_energies(states), 1)

    def free_energies(self, states: Tensor) -> Tensor:
        """Free energy of the units below the top together with each label, (B, num_classes)."""
        labels = torch.arange(self.num_classes, device=states.device)
        rows = states.repeat_interleave(self.num_classes, 0)
        energies: Tensor = self.rbms[-1].free_energy(self.seen_by_top(rows, labels.repeat(len(states))))
        return energies.view(-1, self.num_classes)

    def classify(self, image: Tensor) -> Tensor:
        """Logits of the classes (B, num_classes): minus the free energies, by means on the way up."""
        return -self.free_energies(self.means_above(image, len(self.rbms) - 1))
