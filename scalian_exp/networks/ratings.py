"""Networks that predict ratings or rank items: damped means, popularity, autoencoders.

All take rows (B, columns) of a table of ratings, 0 where there is none, and return predictions (B, columns) for all
columns. A row is a user and a column an item, or the other way round.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.batches import above_zero
from scalian_exp.networks.parts.layers import mlp
from scalian_exp.networks.vae import kl_from_prior
from scalian_exp.precision import widened
from scalian_exp.ranges import FractionBelowOne, NonNegativeFloat, PositiveInt


class RatingBias(nn.Module):
    """Damped means (Funk 2006): mean + b_column + b_row, in closed form, without training by gradients.

    b_column = Σ (r − mean) / (n + column_damping), b_row = Σ (r − mean − b_column) / (n + row_damping): a column or row
    with few ratings stays near 0, and one without any is at 0.

    Args:
        columns: number of columns of the table.
        column_damping: number of ratings equal to the mean that are added to each column.
        row_damping: number of such ratings that are added to each row.
    """

    predicts_ratings = True

    def __init__(
        self, columns: PositiveInt, column_damping: NonNegativeFloat = 5.0, row_damping: NonNegativeFloat = 5.0
    ):
        super().__init__()
        self.columns, self.column_damping, self.row_damping = columns, column_damping, row_damping
        self.mean: Tensor
        self.column_bias: Tensor
        self.column_count: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("column_bias", torch.zeros(columns))
        self.register_buffer("column_count", torch.zeros(columns))

    def start_from(self, columns: Tensor, ratings: Tensor) -> None:
        """Compute the mean and the column biases from the column and value of each training rating, (n,) each."""
        count, ratings = widened(columns.bincount(minlength=self.columns)), widened(ratings)
        mean = ratings.sum() / count.sum().clamp_min(1)
        total = torch.zeros_like(count).index_add_(0, columns, ratings) - mean * count
        self.mean.copy_(mean)
        self.column_bias.copy_(total / (count + self.column_damping).clamp_min(1e-9))
        self.column_count.copy_(count)

    def forward(self, ratings: Tensor) -> Tensor:
        """Predict ratings (B, columns) from those given, (B, columns)."""
        columns = self.mean + self.column_bias
        seen = ratings > 0
        rest = ((ratings - columns) * seen).sum(1, keepdim=True)
        return columns + rest / (seen.sum(1, keepdim=True) + self.row_damping).clamp_min(1e-9)


class AutoRec(nn.Module):
    """Autoencoder of rows with one hidden layer (Sedhain et al. 2015, "AutoRec", eq. 2): W·sigmoid(V r + μ) + b.

    Args:
        columns: number of columns of the table: users for I-AutoRec, items for U-AutoRec.
        features: number of hidden units, the paper's k.
    """

    predicts_ratings = True

    def __init__(self, columns: PositiveInt, features: PositiveInt = 500):
        super().__init__()
        self.columns = columns
        self.encoder, self.decoder = nn.Linear(columns, features), nn.Linear(features, columns)

    def codes(self, ratings: Tensor) -> Tensor:
        """Encode rows of ratings (B, columns) to hidden units (B, features) in [0, 1]."""
        return torch.sigmoid(self.encoder(ratings))

    def effects(self) -> Tensor:
        """Return how much each feature raises the rating of each column, (columns, features)."""
        return self.decoder.weight

    def forward(self, ratings: Tensor) -> Tensor:
        """Predict ratings (B, columns) from those given, (B, columns)."""
        return self.decoder(self.codes(ratings))


class Ranker(nn.Module):
    """Base class of networks whose scores rank what a user may like; the scores are not ratings.

    Args:
        columns: number of items.
        liked: smallest rating that counts as a like; lower ratings count like missing ones.
        levels: the values that a rating can have, ascending; null if all are above 0.
    """

    predicts_ratings = False

    def __init__(self, columns: PositiveInt, liked: float, levels: Sequence[float] | None = None):
        super().__init__()
        self.columns, self.liked = columns, liked + above_zero(levels or [1])

    def likes(self, ratings: Tensor) -> Tensor:
        """Return 1 where a rating counts as a like, else 0."""
        return (ratings >= self.liked).to(ratings.dtype)


class Popularity(Ranker):
    """Baseline that recommends to everybody what most users like, in closed form.

    Its `bound` is the log-likelihood of these shares of likes, the same for every row, as of a code without
    information.
    """

    def __init__(self, columns: PositiveInt, liked: float, levels: Sequence[float] | None = None):
        super().__init__(columns, liked, levels)
        self.log_share: Tensor
        self.register_buffer("log_share", torch.full((columns,), -math.log(columns)))

    def start_from(self, columns: Tensor, ratings: Tensor) -> None:
        """Compute each column's share of all likes, with one like added to each column.

        Args:
            columns: column of each training rating, (n,).
            ratings: its value, (n,).
        """
        likes = widened(columns[ratings >= self.liked].bincount(minlength=self.columns)) + 1
        self.log_share.copy_((likes / likes.sum()).log())

    def bound(self, ratings: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, columns), and a KL divergence of zero, (B,)."""
        return self(ratings), ratings.new_zeros(len(ratings))

    def forward(self, ratings: Tensor) -> Tensor:
        """Score all columns by popularity, (B, columns)."""
        return self.log_share.to(ratings.dtype).expand(len(ratings), -1)


class MultVAE(Ranker):
    """Variational autoencoder of what a user likes, with a multinomial likelihood over the items.

    Liang et al. 2018, "Variational autoencoders for collaborative filtering", section 2: softmax(f(z)) distributes a
    like among the items, and ranks them.

    Args:
        hidden: widths of the encoder's layers, from the items inwards; the decoder mirrors them.
        latent_dim: length of a code.
        dropout: fraction of the likes that is hidden from the encoder in training.
    """

    def __init__(
        self,
        columns: PositiveInt,
        liked: float,
        hidden: Sequence[PositiveInt] = (600,),
        latent_dim: PositiveInt = 200,
        dropout: FractionBelowOne = 0.5,
        levels: Sequence[float] | None = None,
    ):
        super().__init__(columns, liked, levels)
        self.dropout = nn.Dropout(dropout)
        self.encoder = mlp([columns, *hidden], nn.Tanh)
        self.posterior = nn.Linear([columns, *hidden][-1], 2 * latent_dim)
        outwards = [latent_dim, *reversed(hidden)]
        self.decoder = nn.Sequential(mlp(outwards, nn.Tanh), nn.Linear(outwards[-1], columns))

    def moments(self, ratings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of q(z|x), each (B, latent_dim), for rows of ratings (B, columns)."""
        mean, log_variance = self.posterior(self.encoder(self.dropout(F.normalize(self.likes(ratings))))).chunk(2, 1)
        return mean, log_variance

    def codes(self, ratings: Tensor) -> Tensor:
        """Encode rows of ratings (B, columns) to posterior means (B, latent_dim)."""
        return self.moments(ratings)[0]

    def bound(self, ratings: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, columns) for one z ~ q(z|x), and KL(q(z|x) ‖ p(z)), (B,), in nats."""
        mean, log_variance = self.moments(ratings)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), kl_from_prior(mean, log_variance).sum(1)

    def effects(self) -> Tensor:
        """Return how much each latent raises each column's logit from −1 to 1, halved, (columns, latent_dim)."""
        weight = self.posterior.weight
        ones = torch.eye(len(weight) // 2, dtype=weight.dtype, device=weight.device)
        return (self.decoder(ones) - self.decoder(-ones)).T / 2

    def forward(self, ratings: Tensor) -> Tensor:
        """Score all columns, (B, columns): log-probabilities of the next like for z = μ."""
        return F.log_softmax(self.decoder(self.codes(ratings)), 1)
