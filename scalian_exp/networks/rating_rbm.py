"""Restricted Boltzmann machines for collaborative filtering.

Salakhutdinov, Mnih & Hinton 2007, "Restricted Boltzmann machines for collaborative filtering", ICML. There is one
machine per row of the table (a user, or an item where rows are items), all with the same weights, and in it a softmax
unit for each column that the row has rated. Missing ratings are absent: they neither feed the features nor are sampled.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import above_zero
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.precision import at_least_single
from scalian_exp.ranges import PositiveInt

START = 0.15
"""standard deviation of the initial weights: large enough for features to differ from the first step on"""


def level_counts(columns: Tensor, ratings: Tensor, levels: Tensor, width: int) -> Tensor:
    """Count how often each of K levels is the nearest one in each of `width` columns: (width, K).

    Args:
        columns: column of each rating, (n,).
        ratings: its value, (n,).
        levels: (K,), ascending.
        width: number of columns.
    """
    units = columns * len(levels) + nearest(ratings, levels)
    return units.bincount(minlength=width * len(levels)).view(width, -1).to(levels.dtype)


def nearest(ratings: Tensor, levels: Tensor) -> Tensor:
    """Return the index of the nearest of ascending levels for each rating, of any shape."""
    return torch.bucketize(ratings, (levels[1:] + levels[:-1]) / 2)


class Rated(NamedTuple):
    """Ratings of some rows in sparse form, so that work and memory grow with their number n, not with the table."""

    rows: Tensor
    """(n,), the row of each rating, ascending"""
    columns: Tensor
    """(n,), the column of each rating"""
    states: Tensor
    """(n,), index of each rating's level"""
    starts: Tensor
    """(B,), where each row's ratings begin"""


class RatingRBM(nn.Module):
    """RBM from ratings (B, columns), 0 where there is none, to expected ratings (B, columns) of all columns.

    Args:
        columns: number of columns of the table: items, or users where rows are items.
        levels: the values that a rating can have, ascending; other values count as the nearest of them.
        features: number of hidden units.
        conditional: also feed the features with which columns were rated at all, even if not how (section 4).
        factors: rank C of the weights W = A B, with C (columns · K + features) instead of columns · K · features
            parameters (section 5); None for a full matrix.
    """

    predicts_ratings = True

    def __init__(
        self,
        columns: PositiveInt,
        levels: Sequence[float],
        features: PositiveInt = 100,
        conditional: bool = False,
        factors: PositiveInt | None = None,
    ):
        super().__init__()
        self.columns, self.classes, self.conditional = columns, len(levels), conditional
        self.weight = nn.Parameter(START * torch.randn(columns * self.classes, factors or features))  # W, or A
        self.visible_bias = nn.Parameter(torch.zeros(columns * self.classes))
        self.hidden_bias = nn.Parameter(torch.zeros(features))
        if conditional:
            self.rated_weight = nn.Parameter(torch.zeros(columns, features))  # the paper's D
        self.mixing: nn.Parameter | None = None
        if factors:
            self.mixing = nn.Parameter(torch.randn(factors, features) / math.sqrt(factors))  # B; A B starts as W would
        self.levels: Tensor
        scale = [level + above_zero(levels) for level in levels]
        self.register_buffer("levels", torch.tensor(scale, dtype=torch.get_default_dtype()), persistent=False)

    def start_from(self, columns: Tensor, ratings: Tensor) -> None:
        """Set the visible biases from how often each level occurs in each column.

        K ratings with the overall frequencies of the levels are added to each column.

        Args:
            columns: column of each training rating, (n,).
            ratings: its value, (n,).
        """
        counts = level_counts(columns, ratings, self.levels, self.columns)
        overall = (counts.sum(0) + 1) / (counts.sum() + self.classes)
        shares = (counts + self.classes * overall) / (counts.sum(1, keepdim=True) + self.classes)
        with torch.no_grad():
            self.visible_bias.copy_(shares.log().flatten())

    def rated(self, ratings: Tensor) -> Rated:
        """Convert rows of ratings (B, columns) to sparse form."""
        seen = ratings > 0
        rows, columns = seen.nonzero(as_tuple=True)
        counts = seen.sum(1)
        return Rated(rows, columns, nearest(ratings[rows, columns], self.levels), counts.cumsum(0) - counts)

    def hidden_input(self, rated: Rated, known: Tensor | None = None) -> Tensor:
        """Return the total input of the features, (B, features).

        Args:
            rated: the ratings.
            known: which columns were rated at all, (B, columns), if these are more than `rated` contains.
        """
        units = rated.columns * self.classes + rated.states
        total = self.mixed(F.embedding_bag(units, self.weight, rated.starts, mode="sum")) + self.hidden_bias
        if not self.conditional:
            return total
        if known is None:
            known = torch.zeros(len(rated.starts), self.columns, dtype=torch.bool, device=total.device)
            known[rated.rows, rated.columns] = True
        return total + known.to(total.dtype) @ self.rated_weight

    def mixed(self, sums: Tensor) -> Tensor:
        """Return sums of rows of A, (…, C), as sums of rows of W = A B, (…, features); unchanged without factors."""
        return sums if self.mixing is None else sums @ self.mixing

    def free_energy(self, rated: Rated, known: Tensor | None = None) -> Tensor:
        """Return the free energy −log Σ_h exp(−E(v, h)) of each row, (B,)."""
        units = rated.columns * self.classes + rated.states
        biases = F.embedding_bag(units, self.visible_bias.unsqueeze(1), rated.starts, mode="sum").squeeze(1)
        return -at_least_single(biases) - F.softplus(at_least_single(self.hidden_input(rated, known))).sum(1)

    def deviation(self) -> Tensor:
        """Return the penalty Σ (w − w̄)² over the weights of softmax units, where w̄ is their mean over the columns.

        With `conditional`, Σ d² over D is added.
        """
        weight = self.weight.view(self.columns, self.classes, -1)
        deviation = self.mixed(weight - weight.mean(0)).square().sum()
        return deviation + self.rated_weight.square().sum() if self.conditional else deviation

    def visible_input(self, hidden: Tensor) -> Tensor:
        """Return the total input of all softmax units, (B, columns, K)."""
        hidden = hidden if self.mixing is None else hidden @ self.mixing.T
        return torch.addmm(self.visible_bias, hidden, self.weight.T).unflatten(1, (self.columns, self.classes))

    def gibbs(self, rated: Rated, steps: int, known: Tensor | None = None) -> Rated:
        """Resample the values of the same ratings by `steps` steps of Gibbs sampling."""
        for _ in range(steps):
            hidden = bernoulli(torch.sigmoid(self.hidden_input(rated, known)))
            inputs = at_least_single(self.visible_input(hidden)[rated.rows, rated.columns])  # or noise has few values
            # The largest of x − log(−log u) is a draw from softmax(x) (Gumbel's trick), faster than exponential_().
            noise = torch.rand_like(inputs).log_().neg_().log_()
            rated = rated._replace(states=(inputs - noise).argmax(-1))
        return rated

    def codes(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Return p(h = 1|v) of rows (B, columns): (B, features)."""
        return torch.sigmoid(self.hidden_input(self.rated(ratings), known))

    def forward(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Predict ratings Σ_k level_k p(v = k|ĥ) with ĥ = p(h = 1|v), (B, columns) (section 2.3)."""
        shares = torch.softmax(self.visible_input(self.codes(ratings, known)), -1)
        return shares @ self.levels

    def log_probability(self, target: Tensor, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Return Σ log p(v = target|ĥ) over the ratings in `target` (B, columns), given others, `ratings`: (B,)."""
        scored = target > 0
        logs = torch.log_softmax(at_least_single(self.visible_input(self.codes(ratings, known))), -1)
        states = nearest(target, self.levels)
        return (logs.gather(-1, states.unsqueeze(-1)).squeeze(-1) * scored).sum(1)

    def effects(self) -> Tensor:
        """Return how much each feature raises the expected rating of each column, (columns, features).

        It is the derivative where no feature is on.
        """
        shares = torch.softmax(self.visible_bias.view(self.columns, self.classes), 1)
        deviations = shares * (self.levels - (shares @ self.levels).unsqueeze(1))
        return self.mixed(torch.einsum("ck,ckf->cf", deviations, self.weight.view(self.columns, self.classes, -1)))
