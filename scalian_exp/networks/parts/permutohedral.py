"""Gaussian filtering in many dimensions in linear time (Adams, Baek & Davis 2010, Computer Graphics Forum 29(2)).

A point's value is spread over the d + 1 corners of the simplex it lies in (splat), the lattice is blurred along each of
its d + 1 directions, and every point reads its corners again (slice). All three are weighted sums of rows.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class PermutohedralLattice:
    """Filter D^−½ K D^−½ for K_ij ≈ exp(−|f_i − f_j|²/2) and its row sums D, including the diagonal i = j.

    It makes the same approximation, in the same order of blurring and with the same symmetric normalisation, as
    Krähenbühl & Koltun's own code.
    """

    def __init__(self, features: Tensor):
        """Build the lattice of features (N, d), given in standard deviations of the Gaussian.

        Raises:
            ValueError: if they are not finite, or so far apart that the lattice has too many points.
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
        """Divide the splat and slice weights by the square roots of the row sums."""
        scale = self(torch.ones_like(self.slice_weights[:, :1])).rsqrt()
        self.splat_weights *= scale.flatten().index_select(0, self.inputs)
        self.slice_weights *= scale

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (N, K) to (N, K)."""
        values = F.embedding_bag(self.inputs, values, self.starts, mode="sum", per_sample_weights=self.splat_weights)
        for rows, weights in self.neighbours:
            values = F.embedding_bag(rows, values, mode="sum", per_sample_weights=weights)
        return F.embedding_bag(self.corners, values, mode="sum", per_sample_weights=self.slice_weights)


def simplices(features: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Find the simplex of each feature vector (d, N).

    The lattice lies in the d + 1 coordinates that sum to 0. Its points are whole steps along d + 1 directions: the k-th
    direction adds 1 to all coordinates and subtracts d + 1 from the k-th one, so that one step along each leads back.

    Returns:
        Keys of each point's corners and its barycentric weights, both (d + 1, N), and each direction's step in the
            keys.

    Raises:
        ValueError: if the features are not finite, or too large for their simplices to be distinguished.
    """
    d = len(features)
    position = elevated(features)
    if not position.abs().amax() < 2**20:
        raise ValueError(
            "The lattice needs finite features, and standard deviations that are not too small compared with them."
        )
    corner = (position * (1 / (d + 1))).round()  # of the simplex, in units of d + 1
    turn = smaller_rows(position - (d + 1) * corner) - corner.sum(0).int()  # rounded coordinates may not sum to 0
    wrap = (turn > d).int() - (turn < 0).int()
    corner += wrap
    turn = (turn - (d + 1) * wrap).long()  # order of the steps from corner to corner, smallest remainder first

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
    """Embed features (d, N) in the d + 1 coordinates that sum to 0, where the blur has variance 1 (p. 5 of Adams)."""
    d = len(features)
    total = torch.zeros_like(features[0])
    rows = []
    for k in range(d, 0, -1):
        scaled = features[k - 1] * (math.sqrt(2 / 3) * (d + 1) / math.sqrt(k * (k + 1)))
        rows.append(total - k * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(rows)])


def smaller_rows(values: Tensor) -> Tensor:
    """Count, for each entry, how many rows of its column are smaller; among equal ones, the last counts as smallest."""
    counts = torch.zeros_like(values, dtype=torch.int32)
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            smaller = values[i] < values[j]
            counts[i] += ~smaller
            counts[j] += smaller
    return counts


def numbered(coordinates: Tensor) -> tuple[Tensor, list[int]]:
    """Enumerate lattice points given as steps (d, N) along all directions but the last.

    Returns:
        One number for each point, and what a step along each of the d + 1 directions adds to it.

    Raises:
        ValueError: if 64 bits can't number all points in between.
    """
    lowest, highest = coordinates.amin(1) - 2, coordinates.amax(1) + 2  # one step to corners, one to neighbours
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
    """Return rows and weights, (M, 3) each, of the blur ½, 1, ½ along one direction of a lattice with M points.

    Neighbours outside the lattice have weight 0.
    """
    keys, order = torch.cat([points, points + step]).sort(stable=True)
    twice = (keys[1:] == keys[:-1]).nonzero().flatten()  # a point, followed by a step from another point onto it
    after, before = order.index_select(0, twice), order.index_select(0, twice + 1) - len(points)
    rows = torch.arange(len(points), dtype=torch.int32, device=points.device).repeat(3, 1)
    rows[0].index_copy_(0, after, before.int())
    rows[2].index_copy_(0, before, after.int())
    weights = torch.zeros_like(rows, dtype=torch.float32)
    weights[0].index_fill_(0, after, 0.5)
    weights[1] = 1
    weights[2].index_fill_(0, before, 0.5)
    return rows.T.contiguous(), weights.T.contiguous()
