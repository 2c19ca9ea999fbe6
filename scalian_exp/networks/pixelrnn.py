"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord et al. 2016, arXiv:1601.06759, sections 3.1 to 3.3).

Between the first convolution and the last ones, maps are laid out (F, H, W, B), so that a row or a diagonal of all
images is one operand of a matrix product.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.masked import MaskedConv2d, Step, times
from scalian_exp.networks.parts.pixel_network import Layer, PixelNetwork
from scalian_exp.networks.parts.pixelrnn_steps import DiagonalSteps, RowSteps
from scalian_exp.networks.parts.recurrence import diagonals, recurrence, rows
from scalian_exp.ranges import NonNegativeInt, PositiveInt


def recurrent_weight(directions: int, taps: int, features: int) -> nn.Parameter:
    """State-to-state weights (D, taps, 4h, h), as nn.Conv2d starts."""
    bound = (taps * features) ** -0.5
    return nn.Parameter(torch.empty(directions, taps, 4 * features, features).uniform_(-bound, bound))


class LSTMLayer(Layer):
    """What both have: states go through a 1×1 convolution and are added to the input.

    Args:
        gates: maps of the gates, of all directions.
    """

    def __init__(self, features: int, channels: int, context_features: int, gates: int):
        super().__init__()
        self.up = MaskedConv2d(features, 2 * features, (1, 1), channels)
        self.beside = nn.Conv2d(context_features, gates, 1, bias=False) if context_features else None

    def residual(self, y: Tensor, states: Tensor) -> Tensor:
        return y + self.up.features_first(states)

    def said_to_gates(self, context: Tensor | None) -> Tensor | None:
        """(F, H, W, B) → (gates, H, W, B)."""
        if self.beside is None or context is None:
            return None
        return times(self.beside.weight[:, :, 0, 0], context)


class RowLSTM(LSTMLayer):
    """From row to row, each state from the three nearest in the row above: it sees a triangle."""

    def __init__(self, features: int, channels: int, context_features: int = 0):
        super().__init__(features, channels, context_features, gates=4 * features)
        self.inputs = MaskedConv2d(2 * features, 4 * features, (1, 3), channels, gates=4)
        self.state = recurrent_weight(1, 3, features)

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        gates = self.inputs(y.permute(3, 0, 1, 2)).permute(1, 2, 3, 0)
        if (said := self.said_to_gates(context)) is not None:
            gates = gates + said
        return self.residual(y, recurrence(gates[None], self.state, rows, (-1, 0, 1))[0])

    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        said = self.said_to_gates(context)
        said = self.state.new_zeros(self.inputs.out_channels, *size, count) if said is None else said
        return RowSteps(self.inputs, self.state[0], self.up, said)


class DiagonalBiLSTM(LSTMLayer):
    """Along the diagonals, from the upper left and from the upper right: it sees all that comes before.

    The second direction sees its own row to the right, so its states are moved down by one row before the two add up.
    Inputs hold the pixels before their own, so this direction starts one column beyond the image: else a row's last
    pixel would be unseen from most of the next row.
    """

    beyond = 1

    def __init__(self, features: int, channels: int, context_features: int = 0):
        super().__init__(features, channels, context_features, gates=8 * features)
        self.inputs: Any = nn.ModuleList(
            MaskedConv2d(2 * features, 4 * features, (1, 1), channels, gates=4) for _ in range(2)
        )
        self.state = recurrent_weight(2, 2, features)

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        weight = torch.cat([convolution.matrix for convolution in self.inputs])
        bias = torch.cat([convolution.column for convolution in self.inputs])
        gates = torch.addmm(bias, weight, y.flatten(1)).view(2, -1, *y.shape[1:])
        if (said := self.said_to_gates(context)) is not None:
            gates = gates + said.view_as(gates)
        left, right = recurrence(gates, self.state, diagonals, (0, -1)).unbind()
        return self.residual(y, left + F.pad(right[:, :-1], (0, 0, 0, 0, 1, 0)))

    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        said = self.said_to_gates(context)
        said = self.state.new_zeros(8 * self.state.shape[-1], *size, count) if said is None else said
        return DiagonalSteps(self.inputs, self.state, self.up, said.unflatten(0, (2, -1)))


class PixelRNN(PixelNetwork):
    """
    Args:
        layer: RowLSTM or DiagonalBiLSTM.
        features: h of the paper.
        depth: layers.
        context_features: maps of what is known besides, where there is such.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        levels: PositiveInt,
        layer: Callable[..., Layer],
        features: PositiveInt = 16,
        depth: PositiveInt = 7,
        head_features: PositiveInt = 32,
        context_features: NonNegativeInt = 0,
    ):
        layers = [layer(features, in_channels, context_features) for _ in range(depth)]
        super().__init__(in_channels, image_size, levels, features, layers, head_features)

    def trunk(self, y: Tensor, context: Tensor | None) -> Tensor:
        beside = None if context is None else context.permute(1, 2, 3, 0).contiguous()
        y = y.permute(1, 2, 3, 0).contiguous()
        for layer in self.layers:
            y = layer(y, beside)
        for convolution in self.head:
            y = convolution.features_first(F.relu(y))
        return y.permute(3, 0, 1, 2)
