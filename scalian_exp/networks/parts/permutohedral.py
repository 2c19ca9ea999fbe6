"""Gaussian filtering in many dimensions in linear time (Adams, Baek & Davis 2010, Computer Graphics Forum 29(2)).

A point's value is spread over the d + 1 corners of the simplex it lies in (splat), the lattice is blurred along each of
its d + 1 directions, and every point reads its corners again (slice): weighted sums of rows, all three.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class PermutohedralLattice:
    """D^−½ K D^−½ for K_ij ≈ exp(−|f_i − f_j|²/2) and its row sums D, the diagonal i = j included.

    Exactly the approximation, the order of blurring and the symmetric normalisation of Krähenbühl & Koltun's own code.
    """

    def __init__(self, features: Tensor):
        """Features (N, d), in standard deviations of the Gaussian.

        Raises:
            ValueError: if they are not finite, or spread so far that the lattice has too many points.
        """
        keys, shares, steps = simplices(features.float().T.contiguous())
        keys, order = keys.flatten().sort(stable=True)
        first = torch.ones_like(keys, dtype=torch.bool)
        torch.ne(keys[1:], keys[:-1], out=first[1:])
        starts = first.nonzero().flatten()
        numbers = first.cumsum(0, dtype=torch.int32).sub_(1)

        self.inputs = order.remainder(len(features)).int()
        self.starts = starts.int()
        self.splat_weights = shares.flatten().index_select(0, order)
        self.neighbours = [neighbours(keys.index_select(0, starts), step) for step in steps]
        self.corners = torch.empty_like(numbers).scatter_(0, order, numbers).view_as(shares).T.contiguous()
        self.slice_weights = shares.T.contiguous()
        self.normalise()

    def normalise(self) -> None:
        """Divide by the square roots of the row sums, on the way in and on the way out."""
        scale = self(torch.ones_like(self.slice_weights[:, :1])).rsqrt()
        self.splat_weights *= scale.flatten().index_select(0, self.inputs)
        self.slice_weights *= scale

    def __call__(self, values: Tensor) -> Tensor:
        """Values (N, K) → (N, K)."""
        values = F.embedding_bag(self.inputs, values, self.starts, mode="sum", per_sample_weights=self.splat_weights)
        for rows, weights in self.neighbours:
            values = F.embedding_bag(rows, values, mode="sum", per_sample_weights=weights)
        return F.embedding_bag(self.corners, values, mode="sum", per_sample_weights=self.slice_weights)


def simplices(features: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Features (d, N) → keys of every point's corners and its shares in them, both (d + 1, N), and steps between keys.

    The lattice lies in the coordinates (d + 1) that sum to 0. Its points are whole steps along d + 1 directions: the
    k-th adds 1 to all coordinates and takes d + 1 from the k-th one, so that a step along each leads back.

    Raises:
        ValueError: if the features are not finite, or too large for their simplices to be told apart.
    """
    d = len(features)
    position = elevated(features)
    if not position.abs().amax() < 2**20:
        raise ValueError(
            "The lattice needs finite features, and standard deviations that are not so small beside them."
        )
    corner = (position * (1 / (d + 1))).round()  # of the simplex, in units of d + 1
    turn = smaller_rows(position - (d + 1) * corner) - corner.sum(0).int()  # rounded coordinates may not sum to 0
    wrap = (turn > d).int() - (turn < 0).int()
    corner += wrap
    turn = (turn - (d + 1) * wrap).long()  # from corner to corner, first along the direction of the smallest rest

    rest = (position - (d + 1) * corner) * (1 / (d + 1))
    ascending = torch.empty_like(rest).scatter_(0, turn, rest)
    shares = ascending - ascending.roll(1, 0)
    shares[0] += 1

    start, steps = numbered(corner[-1] - corner[:-1])
    walk = torch.tensor(steps, dtype=start.dtype, device=start.device)[:, None].expand_as(turn)
    walk = torch.empty_like(turn, dtype=start.dtype).scatter_(0, turn, walk)
    keys = [start]
    for step in walk[:-1]:
        keys.append(keys[-1] + step)
    return torch.stack(keys), shares, steps


def elevated(features: Tensor) -> Tensor:
    """Features (d, N) → coordinates (d + 1, N) that sum to 0, in which the blur has a variance of 1 (p. 5 of Adams)."""
    d = len(features)
    total = torch.zeros_like(features[0])
    rows = []
    for k in range(d, 0, -1):
        scaled = features[k - 1] * (math.sqrt(2 / 3) * (d + 1) / math.sqrt(k * (k + 1)))
        rows.append(total - k * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(rows)])


def smaller_rows(values: Tensor) -> Tensor:
    """How many rows are smaller, per column; of equal ones the last counts as the smallest."""
    counts = torch.zeros_like(values, dtype=torch.int32)
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            smaller = values[i] < values[j]
            counts[i] += ~smaller
            counts[j] += smaller
    return counts


def numbered(coordinates: Tensor) -> tuple[Tensor, list[int]]:
    """Steps (d, N) along all directions but the last → one number for all, and what each direction's step adds to it.

    Raises:
        ValueError: if 64 bits don't hold the numbers of all points between the farthest ones.
    """
    lowest, highest = coordinates.amin(1) - 2, coordinates.amax(1) + 2  # a step to other corners, one to neighbours
    sizes = [int(size) for size in (highest - lowest + 1).tolist()]
    count = math.prod(sizes)
    if count >= 2**63:
        raise ValueError("The lattice would have too many points to number; use larger standard deviations.")
    strides = [math.prod(sizes[:k]) for k in range(len(sizes))]
    numbers = torch.zeros_like(coordinates[0], dtype=torch.int32 if count < 2**31 else torch.int64)  # faster to sort
    for row, low, stride in zip(coordinates, lowest, strides, strict=True):
        numbers += (row - low).to(numbers.dtype) * stride
    return numbers, [*strides, -sum(strides)]


def neighbours(points: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Rows and weights (M, 3) of the blur ½, 1, ½ along one direction, for the lattice's points (M); 0 beyond them."""
    keys, order = torch.cat([points, points + step]).sort(stable=True)
    twice = (keys[1:] == keys[:-1]).nonzero().flatten()  # a point, then the step onto it
    after, before = order.index_select(0, twice), order.index_select(0, twice + 1) - len(points)
    rows = torch.arange(len(points), dtype=torch.int32, device=points.device).repeat(3, 1)
    rows[0].index_copy_(0, after, before.int())
    rows[2].index_copy_(0, before, after.int())
    weights = torch.zeros_like(rows, dtype=torch.float32)
    weights[0].index_fill_(0, after, 0.5)
    weights[1] = 1
    weights[2].index_fill_(0, before, 0.5)
    return rows.T.contiguous(), weights.T.contiguous()
