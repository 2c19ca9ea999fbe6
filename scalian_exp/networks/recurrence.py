"""Long short-term memory along one axis of a map, convolutional across the other (van den Oord et al. 2016, eq. 3).

A map is walked front by front: row after row, or diagonal after diagonal. The positions of a front are computed at
once, from the input-to-state part of their gates, which is known for the whole map beforehand, and from the states of
their neighbours in the front before.
"""

from functools import cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Fronts = tuple[tuple[int, int], ...]
"""of each front, its first position across and the one after its last"""


def cell(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Output, forget and input gate and content (4h, …), memory (h, …) → the new state and memory (h, …)."""
    o, f, i, g = gates.chunk(4)
    memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


@torch.compiler.disable
def recurrence(gates: Tensor, weight: Tensor, fronts: Fronts, taps: tuple[int, ...]) -> Tensor:
    """The states (D, h, P, B) of D independent walks over maps of P positions, for B images. Beyond a map they are 0.

    Args:
        gates: input-to-state part, (D, 4h, P, B), the positions of each front one after the other.
        weight: state-to-state part, (D, taps, 4h, h).
        fronts: where they begin and end.
        taps: a position's neighbours in the front before, relative to it across; its memory comes from 0.
    """
    with torch.autocast(gates.device.type, enabled=False):
        states: Tensor = Recurrence.apply(gates.to(weight.dtype), weight, fronts, taps)
    return states


class Front(NamedTuple):
    """A front's places among all positions, and its neighbours in the front before."""

    here: slice
    neighbours: dict[int, tuple[slice, slice]]
    """tap → which of its positions have such a neighbour, and the neighbours, each counted in their front"""


@cache
def walk(fronts: Fronts, taps: tuple[int, ...]) -> list[Front]:
    ends = accumulate((stop - first for first, stop in fronts), initial=0)
    before, steps = (0, 0), []
    for front, (start, end) in zip(fronts, pairwise(ends), strict=True):
        reach = {tap: (max(front[0], before[0] - tap), min(front[1], before[1] - tap)) for tap in taps}
        neighbours = {
            tap: (slice(low - front[0], high - front[0]), slice(low + tap - before[0], high + tap - before[0]))
            for tap, (low, high) in reach.items()
            if low < high
        }
        steps.append(Front(slice(start, end), neighbours))
        before = front
    return steps


class Recurrence(torch.autograd.Function):
    """By hand: autograd's bookkeeping would take longer than the many small matrix products. Each front's tensors are
    its own, so that they are small and contiguous."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, fronts: Fronts, taps: tuple[int, ...]) -> Tensor:
        size = weight.shape[3]
        matrices = dict(zip(taps, weight.unbind(1), strict=True))
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for here, neighbours in walk(fronts, taps):
            now = gates[:, :, here].clone(memory_format=torch.contiguous_format)
            for tap, (own, theirs) in neighbours.items():
                now[:, :, own].flatten(2).baddbmm_(matrices[tap], kept[-1][1][:, :, theirs].flatten(2))
            now[:, : 3 * size].sigmoid_()
            now[:, 3 * size :].tanh_()
            o, f, i, g = now.chunk(4, 1)
            memory = i * g
            if 0 in neighbours:
                own, theirs = neighbours[0]
                memory[:, :, own].addcmul_(f[:, :, own], kept[-1][2][:, :, theirs])
            kept.append((now, o * memory.tanh(), memory))
        ctx.save_for_backward(weight)
        ctx.kept, ctx.walk, ctx.taps = kept, walk(fronts, taps), taps
        return torch.cat([state for _, state, _ in kept], 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        size = weight.shape[3]
        d_weight = torch.zeros_like(weight)
        matrices = {tap: (weight[:, k].mT, d_weight[:, k]) for k, tap in enumerate(ctx.taps)}
        d_fronts = []
        d_state, d_memory = d_states[:, :, ctx.walk[-1].here], torch.zeros_like(ctx.kept[-1][2])
        for t in reversed(range(len(ctx.walk))):
            neighbours = ctx.walk[t].neighbours
            now, _, memory = ctx.kept[t]
            o, f, i, g = now.chunk(4, 1)
            squashed = memory.tanh()
            d_now = torch.empty_like(now)
            d_o, d_f, d_i, d_g = d_now.chunk(4, 1)
            torch.mul(d_state, squashed, out=d_o)
            d_memory.addcmul_(d_state * o, 1 - squashed.square_())
            torch.mul(d_memory, g, out=d_i)
            torch.mul(d_memory, i, out=d_g)
            d_fronts.append(d_now)
            if t:
                _, states, memories = ctx.kept[t - 1]
                own, theirs = neighbours[0]
                d_f.zero_()
                torch.mul(d_memory[:, :, own], memories[:, :, theirs], out=d_f[:, :, own])
                kept_memory = (d_memory * f)[:, :, own]
                d_memory = torch.zeros_like(memories)
                d_memory[:, :, theirs] = kept_memory
            else:
                d_f.zero_()
            sigmoids = now[:, : 3 * size]
            d_now[:, : 3 * size].mul_(sigmoids - sigmoids.square())
            d_g.mul_(1 - g.square())
            if t:
                d_state = d_states[:, :, ctx.walk[t - 1].here].clone(memory_format=torch.contiguous_format)
                for tap, (own, theirs) in neighbours.items():
                    matrix, d_matrix = matrices[tap]
                    d_own = d_now[:, :, own].flatten(2)
                    d_matrix.baddbmm_(d_own, states[:, :, theirs].flatten(2).mT)
                    d_state[:, :, theirs].flatten(2).baddbmm_(matrix, d_own)
        return torch.cat(d_fronts[::-1], 2), d_weight, None, None
