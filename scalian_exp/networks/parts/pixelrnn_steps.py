"""The layers of a PixelRNN one pixel after the other, each state computed once.

All are given pixels in their order; maps are (F, W, B), of a row.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from scalian_exp.networks.parts.masked import MaskedConv2d, times
from scalian_exp.networks.parts.recurrence import cell


class RowByRow(ABC):
    """A layer that has something to do before a row."""

    row = -1

    def __call__(self, y: Tensor, row: int, column: int) -> Tensor:
        if row != self.row:
            self.row = row
            self.begin(row)
        return self.pixel(y, row, column)

    @abstractmethod
    def begin(self, row: int) -> None: ...

    @abstractmethod
    def pixel(self, y: Tensor, row: int, column: int) -> Tensor: ...


class RowSteps(RowByRow):
    """Of a Row LSTM: what the row above says is known at once for a whole row.

    Args:
        state: (taps, 4h, h).
        beside: what the context says to the gates, (4h, H, W, B).
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
        neighbours = torch.cat([self.states[:, tap : tap + self.width] for tap in range(3)])
        self.above, self.before = self.beside[:, row] + times(self.matrix, neighbours), self.memories.clone()

    def pixel(self, y: Tensor, row: int, column: int) -> Tensor:
        gates = self.inputs(y, row, column) + self.above[:, column]
        state, memory = cell(gates, self.before[:, column])
        self.states[:, column + 1], self.memories[:, column] = state, memory
        return y + self.up(state)


class DiagonalSteps(RowByRow):
    """Of a Diagonal BiLSTM. What a pixel sees of the second direction lies in the rows above: a finished row is walked
    from right to left, once, before the next begins.

    Args:
        state: of both directions, the weight of the state beside and of that above, (2, 2, 4h, h).
        beside: what the context says to the gates, (2, 4h, H, W, B).
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
        if row:
            self.walk_back(row - 1)
        self.above = self.left_beside[:, row] + times(self.left_above, self.left[:, 1:])

    def walk_back(self, row: int) -> None:
        gates = self.right_bias[:, row] + times(self.right_input, self.inputs) + times(self.right_above, self.right)
        state = memory = torch.zeros_like(self.right[:, 0])
        for column in reversed(range(self.width)):
            state, memory = cell(torch.addmm(gates[:, column], self.right_beside, state), memory)
            self.right[:, column] = state

    def pixel(self, y: Tensor, row: int, column: int) -> Tensor:
        self.inputs[:, column] = y
        gates = torch.addmm(self.above[:, column], self.both, torch.cat([y, self.left[:, column]]))
        state, memory = cell(gates, self.memories[:, column])
        self.left[:, column + 1], self.memories[:, column + 1] = state, memory
        return y + self.up(state + self.right[:, column])
