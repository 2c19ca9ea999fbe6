"""Long short-term memory along one axis of a map, convolutional across the other (van den Oord et al. 2016, eq. 3).

A map is walked front by front: row after row, or diagonal after diagonal. The positions of a front are computed at
once, from the input-to-state part of their gates, which is known for the whole map beforehand, and from the states of
their neighbours in the front before.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Front(NamedTuple):
    """A front of each of several walks."""

    places: tuple[slice, ...]
    """where it lies among the positions of the map, row after row, in each walk"""
    neighbours: dict[int, tuple[slice, slice]]
    """tap, relative to a position across → which positions of the front have such a neighbour in the front before, and
    the neighbours, each counted in their front"""


Walk = Callable[[int, int], tuple[Front, ...]]
"""height and width of a map → its fronts, one after the other"""


def overlap(front: tuple[int, int], before: tuple[int, int], tap: int) -> tuple[slice, slice] | None:
    """Of two fronts, each from a position across to one before the second."""
    low, high = max(front[0], before[0] - tap), min(front[1], before[1] - tap)
    own, theirs = front[0], before[0] - tap
    return (slice(low - own, high - own), slice(low - theirs, high - theirs)) if low < high else None


@cache
def rows(height: int, width: int) -> tuple[Front, ...]:
    """From the top, each position with the three nearest in the row before."""
    across = (0, width)
    found = {tap: overlap(across, across, tap) for tap in (-1, 0, 1)}
    neighbours = {tap: pair for tap, pair in found.items() if pair is not None}
    return tuple(Front((slice(row * width, (row + 1) * width),), neighbours if row else {}) for row in range(height))


@cache
def diagonals(height: int, width: int) -> tuple[Front, ...]:
    """Two walks, from the upper left and from the upper right, each position with the one before in its row, tap 0, and
    the one above, tap −1. In a map skewed by one column a row these would be columns; in the map they have a stride."""
    fronts, before = [], (0, 0)
    for d in range(height + width - 1):
        across = first, stop = max(0, d - width + 1), min(height, d + 1)
        found = {tap: overlap(across, before, tap) for tap in (0, -1)}
        left, right = d + first * (width - 1), width - 1 - d + first * (width + 1)
        ends = [start + (stop - first - 1) * stride + 1 for start, stride in ((left, width - 1), (right, width + 1))]
        places = slice(left, ends[0], max(1, width - 1)), slice(right, ends[1], width + 1)
        fronts.append(Front(places, {tap: pair for tap, pair in found.items() if pair is not None}))
        before = across
    return tuple(fronts)


def cell(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Output, forget and input gate and content (4h, …), memory (h, …) → the new state and memory (h, …)."""
    o, f, i, g = gates.chunk(4)
    memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


@torch.compiler.disable
def recurrence(gates: Tensor, weight: Tensor, walk: Walk, taps: tuple[int, ...]) -> Tensor:
    """The states (D, h, H, W, B) of D walks over the maps of B images. Beyond a map they are 0.

    Args:
        gates: input-to-state part, (D, 4h, H, W, B).
        weight: state-to-state part, (D, taps, 4h, h).
        walk: rows or diagonals.
        taps: the neighbours in the order of the weights; the memory comes from tap 0.
    """
    height, width = gates.shape[2:4]
    with torch.autocast(gates.device.type, enabled=False):
        positions = gates.to(weight.dtype).flatten(2, 3)
        states: Tensor = Recurrence.apply(positions, weight, walk(height, width), taps)
    return states.unflatten(2, (height, width))


def taken(maps: Tensor, front: Front) -> Tensor:
    """A front of each walk: (D, F, P, B) → (D, F, positions, B)."""
    return torch.stack([walk[:, place] for walk, place in zip(maps, front.places, strict=True)])


def put(maps: Tensor, front: Front, values: Tensor) -> None:
    for walk, place, value in zip(maps, front.places, values, strict=True):
        walk[:, place] = value


class Recurrence(torch.autograd.Function):
    """By hand: autograd's bookkeeping would take longer than the many small matrix products. Each front's tensors are
    its own, so that they are small and contiguous."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, fronts: tuple[Front, ...], taps: tuple[int, ...]) -> Tensor:
        size = weight.shape[3]
        states = gates.new_empty(len(gates), size, *gates.shape[2:])
        matrices = dict(zip(taps, weight.unbind(1), strict=True))
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for front in fronts:
            now = taken(gates, front)
            for tap, (own, theirs) in front.neighbours.items():
                now[:, :, own].flatten(2).baddbmm_(matrices[tap], kept[-1][1][:, :, theirs].flatten(2))
            now[:, : 3 * size].sigmoid_()
            now[:, 3 * size :].tanh_()
            o, f, i, g = now.chunk(4, 1)
            memory = i * g
            if 0 in front.neighbours:
                own, theirs = front.neighbours[0]
                memory[:, :, own].addcmul_(f[:, :, own], kept[-1][2][:, :, theirs])
            kept.append((now, o * memory.tanh(), memory))
            put(states, front, kept[-1][1])
        ctx.save_for_backward(weight)
        ctx.kept, ctx.fronts, ctx.taps = kept, fronts, taps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        size = weight.shape[3]
        d_weight = torch.zeros_like(weight)
        matrices = {tap: (weight[:, k].mT, d_weight[:, k]) for k, tap in enumerate(ctx.taps)}
        d_gates = d_states.new_empty(len(weight), 4 * size, *d_states.shape[2:])
        d_state, d_memory = taken(d_states, ctx.fronts[-1]), torch.zeros_like(ctx.kept[-1][2])
        for t in reversed(range(len(ctx.fronts))):
            neighbours = ctx.fronts[t].neighbours
            now, _, memory = ctx.kept[t]
            o, f, i, g = now.chunk(4, 1)
            squashed = memory.tanh()
            d_now = torch.empty_like(now)
            d_o, d_f, d_i, d_g = d_now.chunk(4, 1)
            torch.mul(d_state, squashed, out=d_o)
            d_memory.addcmul_(d_state * o, 1 - squashed.square_())
            torch.mul(d_memory, g, out=d_i)
            torch.mul(d_memory, i, out=d_g)
            d_f.zero_()
            d_before = torch.zeros_like(ctx.kept[t - 1][2])  # of the first front none, and not used
            if 0 in neighbours:
                own, theirs = neighbours[0]
                torch.mul(d_memory[:, :, own], ctx.kept[t - 1][2][:, :, theirs], out=d_f[:, :, own])
                torch.mul(d_memory[:, :, own], f[:, :, own], out=d_before[:, :, theirs])
            sigmoids = now[:, : 3 * size]
            d_now[:, : 3 * size].mul_(sigmoids - sigmoids.square())
            d_g.mul_(1 - g.square())
            put(d_gates, ctx.fronts[t], d_now)
            if t:
                d_memory, states = d_before, ctx.kept[t - 1][1]
                d_state = taken(d_states, ctx.fronts[t - 1])
                for tap, (own, theirs) in neighbours.items():
                    matrix, d_matrix = matrices[tap]
                    d_own = d_now[:, :, own].flatten(2)
                    d_matrix.baddbmm_(d_own, states[:, :, theirs].flatten(2).mT)
                    d_state[:, :, theirs].flatten(2).baddbmm_(matrix, d_own)
        return d_gates, d_weight, None, None
