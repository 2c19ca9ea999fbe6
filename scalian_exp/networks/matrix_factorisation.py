"""Matrix factorisations that predict ratings: with biases, and SVD++.

Both take rows (B, columns) of a table of ratings, 0 where there is none, and predict all columns, (B, columns).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.precision import widened
from scalian_exp.ranges import PositiveFloat, PositiveInt


class MatrixFactorisation(nn.Module):
    """Matrix factorisation: mean + b_column + b_row + p_row · q_column (Koren, Bell & Volinsky 2009, eq. 4).

    Rows are folded in: b_row and p_row come from ridge regression on the row's ratings, given the columns' b and q. The
    gradient for the columns is then that of the objective minimised over the rows, so rows need no parameters, and a
    new row is treated like those of the training.

    Args:
        columns: number of columns of the table.
        features: number of factors.
        ridge: penalty of the squared distance of (b_row, p_row) from `centre`, which is 0.
    """

    predicts_ratings = True

    def __init__(self, columns: PositiveInt, features: PositiveInt = 20, ridge: PositiveFloat = 5.0):
        super().__init__()
        self.columns, self.ridge = columns, ridge
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.items = nn.Parameter(torch.cat([torch.zeros(columns, 1), 0.1 * torch.randn(columns, features)], 1))

    def start_from(self, columns: Tensor, ratings: Tensor) -> None:
        """Compute the mean of the training ratings, (n,); see `capabilities.StartsFromRatings`."""
        self.mean.copy_(widened(ratings).sum() / max(len(ratings), 1))

    def design(self) -> Tensor:
        """Return the matrix that a row's b and p are multiplied by, (columns, 1 + features)."""
        return torch.cat([torch.ones_like(self.items[:, :1]), self.items[:, 1:]], 1)

    def centre(self, ratings: Tensor) -> Tensor:
        """Return the (b_row, p_row) to which the ridge draws rows (B, columns): 0 for all, (1 + features,)."""
        return torch.zeros_like(self.items[0])

    @torch.no_grad()
    def fold_in(self, ratings: Tensor) -> Tensor:
        """Compute (b_row, p_row) of rows (B, columns): (B, 1 + features), in at least single precision."""
        precise = torch.promote_types(self.items.dtype, torch.float32)
        rows, columns = ratings.nonzero(as_tuple=True)
        bias, factors = self.items[:, :1], self.items[:, 1:]
        rated = torch.cat([bias, torch.ones_like(bias), factors], 1).to(precise).index_select(0, columns)
        rated[:, 0] = ratings[rows, columns].to(precise) - self.mean - rated[:, 0]  # left to explain by the others
        counts = rows.bincount(minlength=len(ratings)).tolist()
        with torch.autocast(rated.device.type, enabled=False):  # 16 bits don't suffice to solve equations
            by_row = zip(rated.T.split(counts, 1), rated.split(counts), strict=True)
            products = torch.stack([transposed @ of_row for transposed, of_row in by_row])
            gram = products[:, 1:, 1:] + self.ridge * torch.eye(rated.shape[1] - 1, dtype=precise, device=rated.device)
            return solved(gram, products[:, 1:, 0] + self.ridge * self.centre(ratings).to(precise))

    def codes(self, ratings: Tensor) -> Tensor:
        """Return p_row in the principal axes of the columns' factors, the widest first: (B, features)."""
        return self.fold_in(ratings)[:, 1:].to(self.items.dtype) @ self.axes()

    def effects(self) -> Tensor:
        """Return q_column in the axes of `codes`, (columns, features); any rotation of both predicts the same."""
        return self.items[:, 1:] @ self.axes()

    def axes(self) -> Tensor:
        """Return the principal axes of the columns' factors as columns, (features, features), the widest first."""
        return principal_axes(self.items[:, 1:])

    def forward(self, ratings: Tensor) -> Tensor:
        """Predict ratings (B, columns) from those given, (B, columns)."""
        centre = self.centre(ratings)
        # Deviations from the centre are at their optimum, so the gradient passes through the centre alone.
        rows = self.fold_in(ratings).to(self.items.dtype) + (centre - centre.detach())
        return self.mean + rows[:, :1] + F.pad(rows[:, 1:], (1, 0), value=1.0) @ self.items.T


def solved(gram: Tensor, right: Tensor) -> Tensor:
    """Solve symmetric equations, positive definite up to rounding: (B, n, n) and (B, n) → (B, n), NaN if any is NaN."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed.any():
        return torch.linalg.solve(gram, right)
    return torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)


def principal_axes(factors: Tensor) -> Tensor:
    """Return the principal axes of factors (columns, features) as columns, (features, features), the widest first."""
    axes: Tensor = torch.linalg.svd(widened(factors.detach()), full_matrices=False).Vh.T
    return axes.to(factors.dtype)


class SVDPlusPlus(MatrixFactorisation):
    """SVD++: mean + b_column + b_row + q_column · (p_row + |N|^−½ Σ_{j ∈ N} y_j), N being the columns that a row rated.

    Koren 2008, "Factorization meets the neighborhood: a multifaceted collaborative filtering model", KDD, eq. 15. What
    somebody rated at all says something of his taste, too. N consists of the ratings that a prediction may see, never
    of those that it is scored on. As p is folded in, the ridge draws a row's whole factors not to 0 but to those that N
    implies; of the paper's rows · (1 + features) + columns · (1 + 2 features) parameters, only those of the columns are
    trained.
    """

    def __init__(self, columns: PositiveInt, features: PositiveInt = 20, ridge: PositiveFloat = 5.0):
        super().__init__(columns, features, ridge)
        self.implicit = nn.Parameter(torch.zeros(columns, features))  # the paper's y

    def centre(self, ratings: Tensor) -> Tensor:
        """Return 0 for the bias and |N|^−½ Σ y_j for the factors of rows (B, columns): (B, 1 + features)."""
        seen = (ratings > 0).to(self.implicit.dtype)
        shares = seen / seen.sum(1, keepdim=True).clamp_min(1).sqrt()
        return F.pad(shares @ self.implicit, (1, 0))
