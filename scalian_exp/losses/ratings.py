"""Losses on rows of ratings, called with the network, a batch of datasets/ratings.py and, in training, the epoch.

Missing ratings contribute to no sum. Sums run over a row's ratings, the mean over the rows.
"""

from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.precision import at_least_single
from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt

Batch = dict[str, Tensor]


class RatingEnergy(Protocol):
    """Boltzmann machine over the ratings that a row has."""

    def rated(self, ratings: Tensor) -> Any:
        """Return the ratings that rows (B, columns) have, in the network's own form."""

    def gibbs(self, rated: Any, steps: int, known: Tensor | None = None) -> Any:
        """Resample the values of the same ratings by `steps` steps of Gibbs sampling."""

    def free_energy(self, rated: Any, known: Tensor | None = None) -> Tensor:
        """Return the free energy of each row, (B,), in nats."""

    def log_probability(self, target: Tensor, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Return Σ log p over the ratings in `target` (B, columns), given others, `ratings`: (B,)."""

    def deviation(self) -> Tensor:
        """Return Σ (w − w̄)² over the weights, a scalar, where w̄ is their mean over the columns."""


class RatingBound(Protocol):
    """Latent-variable model of what a row likes."""

    def bound(self, ratings: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, columns) for one z ~ q(z|x), and KL(q(z|x) ‖ p(z)) of each row, (B,), in nats."""

    def likes(self, ratings: Tensor) -> Tensor:
        """Return 1 where a rating (B, columns) counts as a like, else 0."""


def squared_weights(network: nn.Module) -> Tensor:
    """Return Σ w² over all matrices, including biases stored as a column of one, as matrix factorisation's are."""
    return sum((weight.square().sum() for weight in network.parameters() if weight.dim() > 1), torch.zeros(()))


class RatingDivergence(nn.Module):
    """Contrastive divergence of softmax units that are present where there is a rating.

    Salakhutdinov, Mnih & Hinton 2007, section 2.2: mean F(v) − mean F(v⁻), whose gradient is ⟨v h⟩_k − ⟨v h⟩_data, with
    v⁻ after k steps of Gibbs sampling from the data. Outside training it is −log p(targets|ĥ), where ĥ are the
    features' means given the ratings that may be seen, averaged over all rows, including those without targets.

    Args:
        k: steps of Gibbs sampling in the first epoch.
        k_end: steps after `growth_epochs`, with linear growth until then.
        growth_epochs: number of epochs over which k grows.
        weight_decay: factor of ½ Σ (w − w̄)², where w̄ is the mean of a weight over all columns: columns with few
            ratings are drawn towards the mean column, while the paper's decay draws them towards 0.
    """

    of_network: ClassVar[type] = RatingEnergy

    def __init__(
        self,
        k: PositiveInt = 1,
        k_end: PositiveInt = 1,
        growth_epochs: PositiveInt = 1,
        weight_decay: NonNegativeFloat = 0.0,
    ):
        super().__init__()
        self.k, self.k_end, self.growth_epochs, self.weight_decay = k, k_end, growth_epochs, weight_decay

    def steps(self, epoch: int) -> int:
        """Return k in an epoch, counted from 0."""
        return round(self.k + (self.k_end - self.k) * min(1.0, epoch / self.growth_epochs))

    def forward(self, network: Any, batch: Batch, epoch: int | None = None) -> Tensor:
        """Return the loss, a scalar, in training (with an epoch), else −log p(targets|ĥ) in nats, mean over rows."""
        if epoch is None:
            return -network.log_probability(batch["target"], batch["rating"], batch["known"]).mean()
        rated = network.rated(batch["rating"])
        with torch.no_grad():
            fantasy = network.gibbs(rated, self.steps(epoch), batch["known"])
        divergence = network.free_energy(rated, batch["known"]) - network.free_energy(fantasy, batch["known"])
        return divergence.mean() + 0.5 * self.weight_decay * network.deviation()


class SquaredRatingError(nn.Module):
    """Squared error Σ (r − r̂)² over the ratings that exist, as in AutoRec (Sedhain et al. 2015, eq. 2).

    Args:
        penalty: factor of Σ w² in training. AutoRec adds λ/2 once for all N rows; as the mean is over rows here, that
            is λ/2N.
    """

    def __init__(self, penalty: NonNegativeFloat = 0.0):
        super().__init__()
        self.penalty = penalty

    def forward(self, network: nn.Module, batch: Batch, epoch: int | None = None) -> Tensor:
        """Return the loss, a scalar averaged over rows; in training (with an epoch), the penalty is added."""
        target = batch["target"]
        predicted = network(batch["rating"]) * target.sign()  # 0 where there is no rating, as the target is
        error = F.mse_loss(predicted, target, reduction="sum") / len(target)
        return error + self.penalty * squared_weights(network) if self.penalty and epoch is not None else error


class MultinomialELBO(nn.Module):
    """Negative ELBO −Σ log p over a row's likes + β·KL (Liang et al. 2018, section 2.2.2), in nats.

    Args:
        beta: final β.
        warmup_epochs: number of epochs over which β grows linearly, from 0 in the first epoch.
    """

    of_network: ClassVar[type] = RatingBound

    def __init__(self, beta: NonNegativeFloat = 0.2, warmup_epochs: NonNegativeInt = 0):
        super().__init__()
        self.beta, self.warmup_epochs = beta, warmup_epochs

    def beta_at(self, epoch: int | None) -> float:
        """Return β in an epoch, counted from 0, or its final value."""
        if epoch is None or self.warmup_epochs == 0:
            return self.beta
        return self.beta * min(1.0, epoch / self.warmup_epochs)

    def forward(self, network: Any, batch: Batch, epoch: int | None = None) -> Tensor:
        """Return the loss in nats, averaged over rows, with β of the given epoch or its final value."""
        logits, kl = network.bound(batch["rating"])
        reconstruction = -(network.likes(batch["target"]) * F.log_softmax(at_least_single(logits), 1)).sum(1)
        return (reconstruction + self.beta_at(epoch) * kl).mean()


class Ranking(Protocol):
    """Ranks the columns of a row by scores."""

    def likes(self, ratings: Tensor) -> Tensor:
        """Return 1 where a rating (B, columns) counts as a like, else 0."""


class PairwiseRanking(nn.Module):
    """BPR-Opt (Rendle et al. 2009, section 4.1): −Σ ln σ(score of a liked column − score of another), in nats.

    In training, another column is drawn for each like, uniformly from those that the row doesn't like (section 4.2).
    Outside training, it is the mean over all columns that are liked neither among the targets nor among the ratings
    that may be seen.

    Args:
        penalty: factor of Σ w² in training.
    """

    of_network: ClassVar[type] = Ranking

    def __init__(self, penalty: NonNegativeFloat = 0.0):
        super().__init__()
        self.penalty = penalty

    def forward(self, network: Any, batch: Batch, epoch: int | None = None) -> Tensor:
        """Return the loss, a scalar averaged over rows; in training (with an epoch), the penalty is added."""
        scores, wanted = at_least_single(network(batch["rating"])), network.likes(batch["target"]) > 0
        others = ~wanted & (network.likes(batch["rating"]) == 0)
        rows, columns = (wanted & others.any(1, keepdim=True)).nonzero(as_tuple=True)
        best = scores[rows, columns]
        if epoch is None:
            weights = (others.to(scores) / others.sum(1, keepdim=True).clamp_min(1))[rows]
            return -(F.logsigmoid(best.unsqueeze(1) - scores[rows]) * weights).sum() / len(scores)
        pairs = F.logsigmoid(best - scores[rows, drawn(others, rows)])
        return -pairs.sum() / len(scores) + self.penalty * squared_weights(network)


def drawn(allowed: Tensor, rows: Tensor) -> Tensor:
    """Draw an allowed column for each of `rows` (n,), uniformly and independently: (n,).

    Args:
        allowed: bool (B, columns).
        rows: indices of rows that have an allowed column.
    """
    counts, columns = allowed.sum(1), allowed.nonzero()[:, 1]
    starts = counts.cumsum(0) - counts
    ranks = torch.randint(1 << 40, rows.shape, device=rows.device) % counts[rows]
    return columns[starts[rows] + ranks]
