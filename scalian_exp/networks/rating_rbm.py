"""Restricted Boltzmann machines for collaborative filtering.

Salakhutdinov, Mnih & Hinton 2007, "Restricted Boltzmann machines for collaborative filtering", ICML. One machine a row
of the table (a user, or an item where rows are items), all of them with the same weights: a softmax unit for each
column that the row has a rating of. What isn't rated is absent: it neither feeds the features nor is it sampled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import above_zero
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.networks.ratings import level_counts, nearest
from scalian_exp.ranges import PositiveInt

START = 0.15
"""standard deviation of the weights at the start: enough that features differ from the first step on"""


class Rated(NamedTuple):
    """The n ratings that some rows have, row by row: work and memory grow with them, not with the table."""

    rows: Tensor
    """(n,), ascending"""
    columns: Tensor
    """(n,)"""
    states: Tensor
    """(n,), index of the level"""
    starts: Tensor
    """(B,): where each row's ratings begin"""


class RatingRBM(nn.Module):
    """Ratings (B, columns), 0 where there is none → expected ratings (B, columns) of all columns.

    Args:
        columns: of the table: items, or users where rows are items.
        levels: the values that a rating can have, ascending; others count as the nearest of them.
        features: hidden units.
        conditional: which columns were rated at all, though perhaps not how, feeds the features too (section 4).
    """

    predicts_ratings = True

    def __init__(
        self,
        columns: PositiveInt,
        levels: Sequence[float],
        features: PositiveInt = 100,
        conditional: bool = False,
    ):
        super().__init__()
        self.columns, self.classes, self.conditional = columns, len(levels), conditional
        self.weight = nn.Parameter(START * torch.randn(columns * self.classes, features))
        self.visible_bias = nn.Parameter(torch.zeros(columns * self.classes))
        self.hidden_bias = nn.Parameter(torch.zeros(features))
        if conditional:
            self.rated_weight = nn.Parameter(torch.zeros(columns, features))  # the paper's D
        self.levels: Tensor
        scale = [level + above_zero(levels) for level in levels]
        self.register_buffer("levels", torch.tensor(scale, dtype=torch.get_default_dtype()), persistent=False)

    def start_from(self, ratings: Tensor) -> None:
        """Biases from the shares of the levels in each column of (N, columns), with K ratings of the whole table's
        shares added to each."""
        counts = level_counts(ratings, self.levels)
        overall = (counts.sum(0) + 1) / (counts.sum() + self.classes)
        shares = (counts + self.classes * overall) / (counts.sum(1, keepdim=True) + self.classes)
        with torch.no_grad():
            self.visible_bias.copy_(shares.log().flatten())

    def rated(self, ratings: Tensor) -> Rated:
        """The ratings that rows (B, columns) have."""
        seen = ratings > 0
        rows, columns = seen.nonzero(as_tuple=True)
        counts = seen.sum(1)
        return Rated(rows, columns, nearest(ratings[seen], self.levels), counts.cumsum(0) - counts)

    def hidden_input(self, rated: Rated, known: Tensor | None = None) -> Tensor:
        """Total input of the features, (B, features).

        Args:
            known: which columns were rated at all (B, columns), if that is more than what `rated` holds the ratings of.
        """
        units = rated.columns * self.classes + rated.states
        total = F.embedding_bag(units, self.weight, rated.starts, mode="sum") + self.hidden_bias
        if not self.conditional:
            return total
        if known is None:
            known = torch.zeros(len(rated.starts), self.columns, dtype=torch.bool, device=total.device)
            known[rated.rows, rated.columns] = True
        return total + known.to(total.dtype) @ self.rated_weight

    def free_energy(self, rated: Rated, known: Tensor | None = None) -> Tensor:
        """−log Σ_h exp(−E(v, h)) of each row, (B,)."""
        units = rated.columns * self.classes + rated.states
        biases = F.embedding_bag(units, self.visible_bias.unsqueeze(1), rated.starts, mode="sum").squeeze(1)
        return -biases - F.softplus(self.hidden_input(rated, known)).sum(1)

    def deviation(self) -> Tensor:
        """Σ (w − w̄)² of the weights of softmax units, w̄ being their mean over the columns, and of D, if any, Σ d²."""
        weight = self.weight.view(self.columns, self.classes, -1)
        deviation = (weight - weight.mean(0)).square().sum()
        return deviation + self.rated_weight.square().sum() if self.conditional else deviation

    def visible_input(self, hidden: Tensor) -> Tensor:
        """Total input of all softmax units, (B, columns, K)."""
        return torch.addmm(self.visible_bias, hidden, self.weight.T).unflatten(1, (self.columns, self.classes))

    def gibbs(self, rated: Rated, steps: int, known: Tensor | None = None) -> Rated:
        """Other states for the same ratings, `steps` turns of the Gibbs chain later."""
        for _ in range(steps):
            hidden = bernoulli(torch.sigmoid(self.hidden_input(rated, known)))
            inputs = self.visible_input(hidden)[rated.rows, rated.columns]
            noise = torch.empty_like(inputs).exponential_()
            rated = rated._replace(states=(torch.softmax(inputs, -1) / noise).argmax(-1))  # one of K, by its share
        return rated

    def codes(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """p(h = 1|v) of rows (B, columns): (B, features)."""
        return torch.sigmoid(self.hidden_input(self.rated(ratings), known))

    def forward(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Σ_k level_k p(v = k|ĥ) with ĥ = p(h = 1|v), (B, columns) (section 2.3)."""
        shares = torch.softmax(self.visible_input(self.codes(ratings, known)), -1)
        return shares @ self.levels

    def log_probability(self, target: Tensor, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Σ log p(v = target|ĥ) over the ratings in `target` (B, columns), given others, `ratings`: (B,)."""
        scored = target > 0
        logs = torch.log_softmax(self.visible_input(self.codes(ratings, known)), -1)
        states = nearest(target, self.levels)
        return (logs.gather(-1, states.unsqueeze(-1)).squeeze(-1) * scored).sum(1)

    def effects(self) -> Tensor:
        """How much each feature raises the expected rating of each column, (columns, features): the derivative where no
        feature is on."""
        shares = torch.softmax(self.visible_bias.view(self.columns, self.classes), 1)
        deviations = shares * (self.levels - (shares @ self.levels).unsqueeze(1))
        return torch.einsum("ck,ckf->cf", deviations, self.weight.view(self.columns, self.classes, -1))
