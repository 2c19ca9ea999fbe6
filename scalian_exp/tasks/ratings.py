"""Train a network to predict ratings, or to rank what a user may like."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch, above_zero
from scalian_exp.datasets.rating_splits import without_likes
from scalian_exp.distributed import ranks
from scalian_exp.figures.recommendation import feature_titles, item_map
from scalian_exp.metrics import recommendation
from scalian_exp.networks.ratings import RatingBias
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.capabilities import Conditional, HasFeatures, StartsFromRatings
from scalian_exp.tasks.features import features_of
from scalian_exp.tasks.loss_protocols import AsksOfNetwork, RatingLoss
from scalian_exp.tasks.offers import check_offers, offers
from scalian_exp.tasks.protocols import RatingNetwork

log = logging.getLogger(__name__)

COVERED = 10
"""number of recommendations of which the coverage of the catalogue is measured"""
RANKINGS = {"ndcg": recommendation.ndcg, "recall": recommendation.recall}


class Ratings(Task):
    """Trains a recommender by loss(network, batch, epoch), to predict ratings, or scores to rank by.

    Damped means stand in for rows and columns without training ratings. Predictions are clipped to the scale.

    Logs `rmse` and `mae`, over ratings; `ndcg_at_10` and `recall_at_20`, means over users, where an item is relevant if
    its rating counts as liked, and candidates are all items but those of the user's training ratings;
    `catalogue_coverage_at_10`; at the test `coverage`, `cold_users` and `cold_items`. Where whole users are held out,
    rankings are `ndcg_at_100`, `recall_at_20` and `recall_at_50`, at the test with standard errors over users, and
    candidates are all items that a training user likes, but those that the user is known to like. For `rmse`, a
    conditional network knows which pairs are rated (as in the paper); for rankings it doesn't, because that would
    reveal the answer.

    The best checkpoint is that of least `rmse`; of a network that only ranks, which has none, of largest NDCG.

    Args:
        levels: the values that a rating can have, ascending.
        liked: lowest rating of an item that counts as liked.
    """

    monitor = "val/rmse"
    figure_examples = 1
    network: RatingNetwork
    loss: RatingLoss

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        levels: Sequence[float],
        liked: float,
        optimizer: Callable[[Any], Optimizer] | None = None,
        schedule: Callable[[float], float] | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule)
        if offers(loss, AsksOfNetwork):
            check_offers(network, loss.of_network, "model.network", type(loss).__name__)
        self.shift = above_zero(levels)
        """added to the ratings of the files to give those in batches"""
        self.levels, self.liked = [level + self.shift for level in levels], liked + self.shift
        self.means = RatingBias(self.network.columns)
        self.gathered: list[tuple[Tensor, ...]] = []
        self.monitor, self.mode = self.objective(self.network)  # type: ignore[misc]

    @classmethod
    def objective(cls, network: Any) -> tuple[str, str]:
        """Return the monitored metric and its mode: an error if the network, or its class, predicts ratings."""
        return super().objective(network) if getattr(network, "predicts_ratings", True) else ("val/ndcg_at_10", "max")

    def check(self, data: Any) -> None:
        """Refuse, besides what other tasks refuse, tables of another width, and splits that can't score a ranking.

        A network that predicts ratings is also scored by its errors, so if there are any to score, this is only logged.
        """
        super().check(data)
        columns = data.items if data.rows == "users" else data.users
        if columns != self.network.columns:
            raise Refusal(
                f"The network has {self.network.columns} columns, but a row of the table has {columns}, for "
                f"dataset.rows={data.rows}; use the rows that the model was made for."
            )
        if not self.network.predicts_ratings:
            self.monitor = f"val/ndcg_at_{data.cutoffs['ndcg'][0]}"  # type: ignore[misc]
        for split in ("validation", "test"):
            target = data.splits["val" if split == "validation" else split].target
            if bool((target.values >= self.liked).any()):
                continue
            why, how = without_likes(data.hold_out, split, self.liked - self.shift)
            if not len(target.values):
                raise Refusal(f"{why}, so nothing can be scored; {how}.")
            if not self.network.predicts_ratings:
                raise Refusal(f"{why}, so no ranking can be scored; {how}.")
            log.info("%s, so no ranking can be scored (ndcg and recall are NaN); %s", why, how)

    def inputs(self, batch: Batch) -> Tensor:
        """Return rows of ratings, (B, columns)."""
        return batch["rating"]

    def on_fit_start(self) -> None:
        """Compute the damped means from all training ratings, and initialise a network that supports it."""
        if self.trainer.ckpt_path is not None:
            return
        table = self.trainer.datamodule.splits["train"].rating
        columns, ratings = table.columns.to(self.device), table.values.to(self.device)
        self.means.start_from(columns, ratings)
        if not self.initialised and offers(self.network, StartsFromRatings):
            self.network.start_from(columns, ratings)

    def step(self, batch: Batch) -> Step:
        """Compute the loss of a batch."""
        return Step(self.loss(self.network, batch, self.current_epoch if self.training else None), {})

    @property
    def conditional(self) -> bool:
        """Whether the network uses which pairs are rated at all."""
        return offers(self.network, Conditional) and self.network.conditional

    def scores(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Return predictions for all columns of rows of ratings, (B, columns), in at least single precision.

        Ratings aren't clipped to the scale yet, so that they rank without ties at its ends. Damped means stand in for
        rows and columns without training ratings.

        Args:
            ratings: (B, columns), 0 where there is none.
            known: which pairs are rated at all, for a conditional network; those in `ratings` if None.
        """
        scores = self.network(ratings, known) if self.conditional else self.network(ratings)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if not self.network.predicts_ratings:
            return scores
        cold = ~(ratings > 0).any(1, keepdim=True) | (self.means.column_count == 0)
        stand_in = self.means(ratings).to(scores.dtype)
        return torch.where(cold, stand_in, scores)

    def on_scale(self, ratings: Tensor) -> Tensor:
        """Clip predicted ratings to the scale."""
        return ratings.clamp(self.levels[0], self.levels[-1])

    def gather(self, batch: Batch) -> None:
        """Keep a batch's predictions for metrics over the whole split."""
        ratings = batch["rating"]
        blind = self.scores(ratings)
        informed = self.scores(ratings, batch["known"]) if self.conditional else blind
        self.gathered.append((ratings, batch["target"].float(), informed, blind))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation's means, and keep its predictions."""
        super().validation_step(batch, batch_idx)
        self.gather(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test's means, and keep its predictions."""
        super().test_step(batch, batch_idx)
        self.gather(batch)

    def on_validation_epoch_start(self) -> None:
        """Discard the predictions of another split."""
        self.gathered = []

    on_test_epoch_start = on_validation_epoch_start

    def tables(self) -> list[Tensor]:
        """Return four tables of users' rows: what isn't recommended again, targets, and predictions.

        Predictions are with and without knowing the rated pairs: one table, for a network that doesn't use them. All is
        gathered from all processes and batches, and discarded here.
        """
        *parts, blind = zip(*self.gathered, strict=True)
        self.gathered = []
        ratings, target, informed = (ranks.gather_rows(torch.cat(part)) for part in parts)
        data = self.trainer.datamodule
        settled = ratings >= self.liked if data.hold_out == "users" else ratings > 0
        tables = [settled, target, informed, ranks.gather_rows(torch.cat(blind)) if self.conditional else informed]
        return tables if data.rows == "users" else [table.T for table in tables]

    def totals(self, *tables: Tensor) -> dict[str, Tensor]:
        """Return errors and rankings of the tables that `tables` returns.

        Users and items without ratings, such as those that only pad the table, are left out.
        """
        data, rated = self.trainer.datamodule, tables[0] | (tables[1] > 0)
        candidates = rated.any(0) if data.candidates is None else data.candidates.to(rated.device)
        seen, target, informed, blind = (table[rated.any(1)][:, candidates] for table in tables)
        values = recommendation.errors(self.on_scale(informed), target) if self.network.predicts_ratings else {}
        for name, cutoffs in data.cutoffs.items():
            for k in cutoffs:
                of_users = RANKINGS[name](recommendation.ranked(blind, seen, k), target >= self.liked)
                values[f"{name}_at_{k}"] = of_users.mean().float()
                if self.trainer.testing and data.hold_out == "users":
                    values[f"{name}_at_{k}_se"] = recommendation.standard_error(of_users).float()
        best = recommendation.ranked(blind, seen, COVERED)
        return {**values, "catalogue_coverage_at_10": recommendation.catalogue_coverage(best, seen)}

    def val_totals(self) -> dict[str, Tensor]:
        """Return errors and rankings over the validation split."""
        return self.totals(*self.tables())

    def test_totals(self) -> dict[str, Tensor]:
        """Return errors and rankings over the test split, and how many users and items start cold."""
        seen, target, informed, blind = self.tables()
        data = self.trainer.datamodule
        # only the rows that are tested have been gathered: all of them, unless trainer.limit_test_batches is set
        warm = (data.history.counts() > 0).to(seen.device) if data.hold_out == "users" else seen.any(0)
        return {**self.totals(seen, target, informed, blind), **recommendation.cold_start(seen, target, warm)}

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw what each of the strongest features likes and dislikes, and a map of the items; at the test only.

        Drawing them takes as long as several epochs.
        """
        if not (self.trainer.testing and offers(self.network, HasFeatures)):
            return {}
        data = self.trainer.datamodule
        items, users, _ = features_of(self, data)
        counts = data.by_user(data.history).counts()
        strength = items.std(0) * users.std(0)
        best = strength.argsort(descending=True)[:12].cpu()
        return {
            "features": feature_titles(items.cpu()[:, best], data.titles, counts, best.tolist()),
            "items": item_map((items * users.std(0)).cpu(), data.titles, data.genres, counts),
        }
