"""Recommenders against figures that others published for the same splits."""

from pathlib import Path

from tools import composed
from verdicts import Judge

from scalian_exp.build import build
from scalian_exp.metrics.recommendation import errors
from scalian_exp.networks.ratings import RatingBias


def test_means_of_users(judge: Judge, movielens: Path) -> None:
    """MyMediaLite's UserAverage predicts a user's mean; here damping pins every film's bias at 0."""
    config = composed("model=rating_bias", "dataset=movielens_100k", f"dataset.root={movielens.parent}")
    data = build("dataset", config.dataset)
    data.setup()
    test = data.splits["test"]
    averages = RatingBias(data.items, column_damping=1e12, row_damping=0.0)
    averages.start_from(test.rating)  # which has the validation's ratings too
    ours = errors(averages(test.rating).clamp(1, 5), test.target)
    source = "MyMediaLite, UserAverage on u1"
    judge("rmse of users' means", source, 1.063, ours["rmse"], 5e-4)
    judge("mae of users' means", source, 0.85019, ours["mae"], 5e-6)
