"""Long short-term memory along one axis of a map, convolutional across the other (van den Oord et al. 2016, eq. 3).

A map is traversed front by front: row by row, or diagonal by diagonal. All positions of a front are computed at once,
from the input-to-state part of their gates, which is known for the complete map beforehand, and from the states of
their neighbours in the front before.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Front(NamedTuple):
    """One front of each of several traversals."""

    places: tuple[slice, ...]
    """its positions in the map, counted row by row, for each traversal"""
    neighbours: dict[int, tuple[slice, slice]]
    """offset across (tap) → positions with such a neighbour in the front before, and these neighbours"""


Walk = Callable[[int, int], tuple[Front, ...]]
"""function of a map's height and width that returns its fronts in order"""


def overlap(front: tuple[int, int], before: tuple[int, int], tap: int) -> tuple[slice, slice] | None:
    """Return which positions of a front have a neighbour at offset `tap` in the front before, and these neighbours.

    Args:
        front: first position across, and one past the last.
        before: the same for the front before.
        tap: offset of the neighbour.

    Returns:
        Two slices, each counted within its front; None if there is no such neighbour.
    """
    low, high = max(front[0], before[0] - tap), min(front[1], before[1] - tap)
    own, theirs = front[0], before[0] - tap
    return (slice(low - own, high - own), slice(low - theirs, high - theirs)) if low < high else None


@cache
def rows(height: int, width: int) -> tuple[Front, ...]:
    """Return the rows from the top as fronts; each position sees the three nearest ones in the row before."""
    across = (0, width)
    overlaps = {tap: overlap(across, across, tap) for tap in (-1, 0, 1)}
    neighbours = {tap: pair for tap, pair in overlaps.items() if pair is not None}
    return tuple(Front((slice(row * width, (row + 1) * width),), neighbours if row else {}) for row in range(height))


@cache
def diagonals(height: int, width: int) -> tuple[Front, ...]:
    """Return the diagonals as fronts, in two traversals: from the upper left and from the upper right.

    Each position sees the one before it in its row (tap 0) and the one above it (tap −1). The paper skews the map by
    one column per row so that diagonals become columns; here they are strided slices of the map.
    """
    fronts, before = [], (0, 0)
    for d in range(height + width - 1):
        across = first, stop = max(0, d - width + 1), min(height, d + 1)
        overlaps = {tap: overlap(across, before, tap) for tap in (0, -1)}
        left, right = d + first * (width - 1), width - 1 - d + first * (width + 1)
        ends = [start + (stop - first - 1) * stride + 1 for start, stride in ((left, width - 1), (right, width + 1))]
        places = slice(left, ends[0], max(1, width - 1)), slice(right, ends[1], width + 1)
        fronts.append(Front(places, {tap: pair for tap, pair in overlaps.items() if pair is not None}))
        before = across
    return tuple(fronts)


def cell(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Update an LSTM from its gates' inputs (4h, …) and its memory (h, …); return the new state and memory (h, …).

    The gates are in the order output, forget, input, content.
    """
    o, f, i, g = gates.chunk(4)
    memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


@torch.compiler.disable
def recurrence(gates: Tensor, weight: Tensor, walk: Walk, taps: tuple[int, ...]) -> Tensor:
    """Compute the states (D, h, H, W, B) of D traversals over the maps of B images; states outside a map are 0.

    Args:
        gates: input-to-state part, (D, 4h, H, W, B).
        weight: state-to-state part, (D, taps, 4h, h).
        walk: `rows` or `diagonals`.
        taps: the neighbours, in the order of the weights; the memory comes from tap 0.
    """
    height, width = gates.shape[2:4]
    with torch.autocast(gates.device.type, enabled=False):
        positions = gates.to(weight.dtype).flatten(2, 3)
        states: Tensor = Recurrence.apply(positions, weight, walk(height, width), taps)
    return states.unflatten(2, (height, width))


def taken(maps: Tensor, front: Front) -> Tensor:
    """Gather a front of each traversal: (D, F, P, B) → (D, F, positions, B)."""
    return torch.stack([walk[:, place] for walk, place in zip(maps, front.places, strict=True)])


def put(maps: Tensor, front: Front, values: Tensor) -> None:
    """Write values (D, F, positions, B) to a front of each traversal, in place."""
    for walk, place, value in zip(maps, front.places, values, strict=True):
        walk[:, place] = value


class Recurrence(torch.autograd.Function):
    """LSTM recurrence with a hand-written backward pass.

    Autograd's bookkeeping would take longer than the many small matrix products. The tensors of each front are stored
    separately, so that they are small and contiguous.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, fronts: tuple[Front, ...], taps: tuple[int, ...]) -> Tensor:
        """Compute the states (D, h, P, B) front by front, keeping the activations for the backward pass."""
        size = weight.shape[3]
        states = gates.new_empty(len(gates), size, *gates.shape[2:])
        matrices = dict(zip(taps, weight.unbind(1), strict=True))
        saved: list[tuple[Tensor, Tensor, Tensor]] = []
        for front in fronts:
            now = taken(gates, front)
            for tap, (own, theirs) in front.neighbours.items():
                now[:, :, own].flatten(2).baddbmm_(matrices[tap], saved[-1][1][:, :, theirs].flatten(2))
            now[:, : 3 * size].sigmoid_()
            now[:, 3 * size :].tanh_()
            o, f, i, g = now.chunk(4, 1)
            memory = i * g
            if 0 in front.neighbours:
                own, theirs = front.neighbours[0]
                memory[:, :, own].addcmul_(f[:, :, own], saved[-1][2][:, :, theirs])
            saved.append((now, o * memory.tanh(), memory))
            put(states, front, saved[-1][1])
        ctx.save_for_backward(weight)
        ctx.saved, ctx.fronts, ctx.taps = saved, fronts, taps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> Any:
        """Return the gradients of the gates and of the weight."""
        (weight,) = ctx.saved_tensors
        size = weight.shape[3]
        d_weight = torch.zeros_like(weight)
        matrices = {tap: (weight[:, k].mT, d_weight[:, k]) for k, tap in enumerate(ctx.taps)}
        d_gates = d_states.new_empty(len(weight), 4 * size, *d_states.shape[2:])
        d_state, d_memory = taken(d_states, ctx.fronts[-1]), torch.zeros_like(ctx.saved[-1][2])
        for t in reversed(range(len(ctx.fronts))):
            neighbours = ctx.fronts[t].neighbours
            now, _, memory = ctx.saved[t]
            o, f, i, g = now.chunk(4, 1)
            squashed = memory.tanh()
            d_now = torch.empty_like(now)
            d_o, d_f, d_i, d_g = d_now.chunk(4, 1)
            torch.mul(d_state, squashed, out=d_o)
            d_memory.addcmul_(d_state * o, 1 - squashed.square_())
            torch.mul(d_memory, g, out=d_i)
            torch.mul(d_memory, i, out=d_g)
            d_f.zero_()
            d_before = torch.zeros_like(ctx.saved[t - 1][2])  # unused at the first front
            if 0 in neighbours:
                own, theirs = neighbours[0]
                torch.mul(d_memory[:, :, own], ctx.saved[t - 1][2][:, :, theirs], out=d_f[:, :, own])
                torch.mul(d_memory[:, :, own], f[:, :, own], out=d_before[:, :, theirs])
            sigmoids = now[:, : 3 * size]
            d_now[:, : 3 * size].mul_(sigmoids - sigmoids.square())
            d_g.mul_(1 - g.square())
            put(d_gates, ctx.fronts[t], d_now)
            if t:
                d_memory, states = d_before, ctx.saved[t - 1][1]
                d_state = taken(d_states, ctx.fronts[t - 1])
                for tap, (own, theirs) in neighbours.items():
                    matrix, d_matrix = matrices[tap]
                    d_own = d_now[:, :, own].flatten(2)
                    d_matrix.baddbmm_(d_own, states[:, :, theirs].flatten(2).mT)
                    d_state[:, :, theirs].flatten(2).baddbmm_(matrix, d_own)
        return d_gates, d_weight, None, None
