"""Matrix factorisation for rankings, trained by pairs of a liked and another item.

Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from implicit feedback", UAI.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scalian_exp.networks.matrix_factorisation import principal_axes
from scalian_exp.networks.ratings import Ranker
from scalian_exp.ranges import PositiveFloat, PositiveInt

NEWTON_STEPS = 8
SAMPLED, AT_ONCE = 200, 32
"""columns with which likes are compared where rows are folded in during training; rows folded in at once"""


class PairwiseFactorisation(Ranker):
    """Scores b_column + p_row · q_column for rows of ratings (B, columns): the model of section 4.3.1 with item biases.

    The loss trains b and q. Rows are folded in, as in `MatrixFactorisation`: p_row maximises the same criterion,
    Σ ln σ(score of a liked column − score of another), over all its pairs (in training over pairs with some of the
    others), by Newton's method with the step length for logistic losses of Bach 2010, "Self-concordant analysis for
    logistic regression". So rows need no parameters, and a new row is treated like those of the training.

    Args:
        columns: number of items.
        liked: smallest rating that counts as a like; lower ratings count like missing ones.
        features: number of factors.
        ridge: penalty of ‖p_row‖², beside a sum over likes and a mean over the others.
        levels: the values that a rating can have, ascending; null if all are above 0.
    """

    def __init__(
        self,
        columns: PositiveInt,
        liked: float,
        features: PositiveInt = 20,
        ridge: PositiveFloat = 1.0,
        levels: Sequence[float] | None = None,
    ):
        super().__init__(columns, liked, levels)
        self.ridge = ridge
        self.items = nn.Parameter(torch.cat([torch.zeros(columns, 1), 0.1 * torch.randn(columns, features)], 1))

    @torch.no_grad()
    def fold_in(self, ratings: Tensor) -> Tensor:
        """Compute p_row of rows (B, columns): (B, features), in at least single precision."""
        items = self.items.to(torch.promote_types(self.items.dtype, torch.float32))
        others = torch.arange(self.columns, device=items.device)
        if self.training and self.columns > SAMPLED:
            others = torch.randint(self.columns, (SAMPLED,), device=items.device)
        with torch.autocast(items.device.type, enabled=False):  # 16 bits don't suffice to solve equations
            return torch.cat([self.solved(items, likes, others) for likes in (self.likes(ratings) > 0).split(AT_ONCE)])

    def solved(self, items: Tensor, likes: Tensor, others: Tensor) -> Tensor:
        """Return p of a few rows, (B, features).

        Args:
            items: b and q, (columns, 1 + features).
            likes: bool (B, columns).
            others: columns (S,) with which a row's likes are compared, unless the row likes them, too.
        """
        rows, liked = likes.nonzero(as_tuple=True)  # n likes in all
        (b, x), (c, y) = ((part[:, 0], part[:, 1:]) for part in (items[liked], items[others]))
        allowed = (~likes[:, others]).to(items.dtype)
        shares = (allowed / allowed.sum(1, keepdim=True).clamp_min(1))[rows]
        squares = (y.unsqueeze(2) * y.unsqueeze(1)).flatten(1)
        ridge = 2 * self.ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        p = x.new_zeros(len(likes), x.shape[1])

        def summed(values: Tensor) -> Tensor:
            """Sum values of likes, (n, …), over each row: (B, …)."""
            return values.new_zeros(len(likes), *values.shape[1:]).index_add_(0, rows, values)

        for _ in range(NEWTON_STEPS):
            wrong = torch.sigmoid((c + p @ y.T)[rows] - (b + (x * p[rows]).sum(1)).unsqueeze(1))  # 1 − σ(…), (n, S)
            slopes = wrong * shares
            curves = slopes * (1 - wrong)
            gradient = summed(slopes) @ y - summed(x * slopes.sum(1, keepdim=True)) + p @ ridge
            mixed = summed(x.unsqueeze(2) * (curves @ y).unsqueeze(1))
            own = summed(x.unsqueeze(2) * (x * curves.sum(1, keepdim=True)).unsqueeze(1))
            curvature = own + (summed(curves) @ squares).view_as(own) - mixed - mixed.mT + ridge
            step = torch.linalg.solve(curvature, gradient)
            moves = step @ items[:, 1:].T
            change = (moves.amax(1) - moves.amin(1)).clamp_min(1e-6)  # at least that of any difference of two scores
            p = p - step * (change.log1p() / change).unsqueeze(1)  # which the criterion always gains by
        return p

    def codes(self, ratings: Tensor) -> Tensor:
        """Return p_row in the principal axes of the columns' factors, the widest first: (B, features)."""
        return self.fold_in(ratings).to(self.items.dtype) @ self.axes()

    def effects(self) -> Tensor:
        """Return q_column in the axes of `codes`, (columns, features); any rotation of both scores the same."""
        return self.items[:, 1:] @ self.axes()

    def axes(self) -> Tensor:
        """Return the principal axes of the columns' factors as columns, (features, features), the widest first."""
        return principal_axes(self.items[:, 1:])

    def forward(self, ratings: Tensor) -> Tensor:
        """Score all columns, (B, columns)."""
        return self.items[:, 0] + self.fold_in(ratings).to(self.items.dtype) @ self.items[:, 1:].T
