"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord et al. 2016, arXiv:1601.06759, sections 3.1 to 3.3).

Between the first convolution and the last ones, maps are laid out as (F, H, W, B), so that a row or a diagonal of all
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
    """Return state-to-state weights (D, taps, 4h, h), initialised as nn.Conv2d does."""
    bound = (taps * features) ** -0.5
    return nn.Parameter(torch.empty(directions, taps, 4 * features, features).uniform_(-bound, bound))


class LSTMLayer(Layer):
    """Base class of both LSTM layers: states pass through a 1×1 convolution and are added to the input.

    Args:
        gates: number of maps of the gates, of all directions.
    """

    def __init__(self, features: int, channels: int, context_features: int, gates: int):
        super().__init__()
        self.up = MaskedConv2d(features, 2 * features, (1, 1), channels)
        self.beside = nn.Conv2d(context_features, gates, 1, bias=False) if context_features else None

    def residual(self, y: Tensor, states: Tensor) -> Tensor:
        """Add states (h, H, W, B), after a 1×1 convolution, to features (2h, H, W, B)."""
        return y + self.up.features_first(states)

    def context_gates(self, context: Tensor | None) -> Tensor | None:
        """Return the context's contribution to the gates, (F, H, W, B) → (gates, H, W, B), or None without one."""
        if self.beside is None or context is None:
            return None
        return times(self.beside.weight[:, :, 0, 0], context)


class RowLSTM(LSTMLayer):
    """Row LSTM: each state depends on the three nearest ones in the row above, so a pixel sees a triangle."""

    def __init__(self, features: int, channels: int, context_features: int = 0):
        super().__init__(features, channels, context_features, gates=4 * features)
        self.inputs = MaskedConv2d(2 * features, 4 * features, (1, 3), channels, gates=4)
        self.state = recurrent_weight(1, 3, features)

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Map features (2h, H, W, B), and context (F, H, W, B) if any, to (2h, H, W, B)."""
        gates = self.inputs(y.permute(3, 0, 1, 2)).permute(1, 2, 3, 0)
        if (beside := self.context_gates(context)) is not None:
            gates = gates + beside
        return self.residual(y, recurrence(gates[None], self.state, rows, (-1, 0, 1))[0])

    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        """Return this layer for `count` images as a function that is called pixel by pixel."""
        beside = self.context_gates(context)
        beside = self.state.new_zeros(self.inputs.out_channels, *size, count) if beside is None else beside
        return RowSteps(self.inputs, self.state[0], self.up, beside)


class DiagonalBiLSTM(LSTMLayer):
    """Diagonal BiLSTM: runs along diagonals from the upper left and the upper right; a pixel sees all earlier ones.

    The second direction sees its own row to the right, so its states are moved down by one row before the two are
    added. Inputs contain the pixels before their own, so this direction starts one column beyond the image; otherwise a
    row's last pixel would be invisible to most of the next row.
    """

    beyond = 1

    def __init__(self, features: int, channels: int, context_features: int = 0):
        super().__init__(features, channels, context_features, gates=8 * features)
        self.inputs: Any = nn.ModuleList(
            MaskedConv2d(2 * features, 4 * features, (1, 1), channels, gates=4) for _ in range(2)
        )
        self.state = recurrent_weight(2, 2, features)

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Map features (2h, H, W, B), and context (F, H, W, B) if any, to (2h, H, W, B)."""
        weight = torch.cat([convolution.matrix for convolution in self.inputs])
        bias = torch.cat([convolution.column for convolution in self.inputs])
        gates = torch.addmm(bias, weight, y.flatten(1)).view(2, -1, *y.shape[1:])
        if (beside := self.context_gates(context)) is not None:
            gates = gates + beside.view_as(gates)
        left, right = recurrence(gates, self.state, diagonals, (0, -1)).unbind()
        return self.residual(y, left + F.pad(right[:, :-1], (0, 0, 0, 0, 1, 0)))

    def steps(self, count: int, size: tuple[int, int], context: Tensor | None) -> Step:
        """Return this layer for `count` images as a function that is called pixel by pixel."""
        beside = self.context_gates(context)
        beside = self.state.new_zeros(8 * self.state.shape[-1], *size, count) if beside is None else beside
        return DiagonalSteps(self.inputs, self.state, self.up, beside.unflatten(0, (2, -1)))


class PixelRNN(PixelNetwork):
    """PixelRNN: a masked 7×7 convolution, LSTM layers, and masked 1×1 convolutions.

    Args:
        layer: RowLSTM or DiagonalBiLSTM.
        features: the paper's h.
        depth: number of layers.
        context_features: feature maps of the context, if the network is conditional.
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
        """Apply all layers and the last convolutions, with features first: (B, 2h, H, W) → (B, logits, H, W)."""
        beside = None if context is None else context.permute(1, 2, 3, 0).contiguous()
        y = y.permute(1, 2, 3, 0).contiguous()
        for layer in self.layers:
            y = layer(y, beside)
        for convolution in self.head:
            y = convolution.features_first(F.relu(y))
        return y.permute(3, 0, 1, 2)
