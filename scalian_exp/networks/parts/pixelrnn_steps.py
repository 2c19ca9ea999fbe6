"""Layers of a PixelRNN that run pixel by pixel and compute each state once.

They must be called in pixel order; maps of a row are (F, W, B).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from scalian_exp.networks.parts.masked import MaskedConv2d, times
from scalian_exp.networks.parts.recurrence import cell


class RowByRow(ABC):
    """Layer that runs pixel by pixel and has preparations to make at the start of each row."""

    row = -1

    def __call__(self, y: Tensor, row: int, column: int) -> Tensor:
        """Map a pixel's features (F, B) to those of the layer above; `begin` is called at the start of each row."""
        if row != self.row:
            self.row = row
            self.begin(row)
        return self.pixel(y, row, column)

    @abstractmethod
    def begin(self, row: int) -> None:
        """Prepare for a row, before its first pixel."""

    @abstractmethod
    def pixel(self, y: Tensor, row: int, column: int) -> Tensor:
        """Map a pixel's features (F, B) to those of the layer above, (F, B)."""


class RowSteps(RowByRow):
    """Row LSTM that runs pixel by pixel; the state-to-state part of the gates is computed for a full row at once.

    Args:
        state: state-to-state weight, (taps, 4h, h).
        beside: the context's contribution to the gates, (4h, H, W, B).
    """

    def __init__(self, inputs: MaskedConv2d, state: Tensor, up: MaskedConv2d, beside: Tensor):
        gates, *size, count = beside.shape
        self.width = size[1]
        self.inputs, self.up = inputs.steps(count, (size[0], size[1])), up.alone()
        self.matrix, self.beside = state.transpose(0, 1).flatten(1), beside
        self.states = beside.new_zeros(gates // 4, self.width + 2, count)
        self.memories = beside.new_zeros(gates // 4, self.width, count)
        self.above = self.before = beside

    def begin(self, row: int) -> None:
        """Compute the state-to-state part of the gates for a row."""
        neighbours = torch.cat([self.states[:, tap : tap + self.width] for tap in range(3)])
        self.above, self.before = self.beside[:, row] + times(self.matrix, neighbours), self.memories.clone()

    def pixel(self, y: Tensor, row: int, column: int) -> Tensor:
        """Compute a pixel's state and add it to the features (2h, B)."""
        gates = self.inputs(y, row, column) + self.above[:, column]
        state, memory = cell(gates, self.before[:, column])
        self.states[:, column + 1], self.memories[:, column] = state, memory
        return y + self.up(state)


class DiagonalSteps(RowByRow):
    """Diagonal BiLSTM that runs pixel by pixel.

    What a pixel sees of the second direction lies in the rows above, so each finished row is processed once from right
    to left before the next row begins.

    Args:
        state: for both directions, the weights of the neighbouring state in the row and of the one above, (2, 2, 4h,
            h).
        beside: the context's contribution to the gates, (2, 4h, H, W, B).
    """

    def __init__(self, inputs: Iterable[MaskedConv2d], state: Tensor, up: MaskedConv2d, beside: Tensor):
        _, gates, _, self.width, count = beside.shape
        left, right = inputs
        self.up = up.alone()
        self.both, self.left_above = torch.cat([left.matrix, state[0, 0]], 1), state[0, 1]
        self.right_input, self.right_beside, self.right_above = right.matrix, state[1, 0], state[1, 1]
        biases = torch.stack([left.column, right.column])[:, :, :, None, None]
        self.left_beside, self.right_bias = beside + biases
        self.inputs = beside.new_zeros(left.in_channels, self.width, count)
        self.left = beside.new_zeros(gates // 4, self.width + 1, count)
        self.memories = torch.zeros_like(self.left)
        self.right = torch.zeros_like(self.left[:, 1:])
        self.above = beside

    def begin(self, row: int) -> None:
        """Process the row before from right to left, and compute what a row gets from the states above it."""
        if row:
            self.walk_back(row - 1)
        self.above = self.left_beside[:, row] + times(self.left_above, self.left[:, 1:])

    def walk_back(self, row: int) -> None:
        """Compute the second direction's states of a finished row, from right to left."""
        gates = self.right_bias[:, row] + times(self.right_input, self.inputs) + times(self.right_above, self.right)
        state = memory = torch.zeros_like(self.right[:, 0])
        for column in reversed(range(self.width)):
            state, memory = cell(torch.addmm(gates[:, column], self.right_beside, state), memory)
            self.right[:, column] = state

    def pixel(self, y: Tensor, row: int, column: int) -> Tensor:
        """Compute a pixel's state and add both directions' states to the features (2h, B)."""
        self.inputs[:, column] = y
        gates = torch.addmm(self.above[:, column], self.both, torch.cat([y, self.left[:, column]]))
        state, memory = cell(gates, self.memories[:, column])
        self.left[:, column + 1], self.memories[:, column + 1] = state, memory
        return y + self.up(state + self.right[:, column])
