"""Recommenders against figures that Surprise publishes of five-fold cross-validation on MovieLens 100k."""

import random
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from omegaconf import OmegaConf
from tools import composed
from verdicts import Judge

from scalian_exp.run.training import train

surprise = pytest.importorskip("surprise", reason="needs the extra judges")
pytestmark = pytest.mark.slow
README = "Surprise's README, 5 folds"


@pytest.fixture
def folds(movielens: Path, tmp_path: Path) -> Path:
    """Write the folds of Surprise's examples/benchmark.py as MovieLens' own five splits."""
    data = surprise.Dataset.load_from_file(
        str(movielens / "u.data"), surprise.Reader(line_format="user item rating timestamp", sep="\t")
    )
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    for name in ("u.data", "u.item", "u.genre"):
        (folder / name).symlink_to(movielens / name)
    for number, (base, test) in enumerate(surprise.model_selection.KFold(n_splits=5, random_state=0).split(data), 1):
        ratings = [(base.to_raw_uid(u), base.to_raw_iid(i), r) for u, i, r in base.all_ratings()]
        write(folder / f"u{number}.base", ratings)
        write(folder / f"u{number}.test", test)
    return tmp_path


def write(file: Path, ratings: Iterable[tuple[str, str, float]]) -> None:
    """Write ratings as MovieLens does."""
    file.write_text("".join(f"{user}\t{item}\t{int(rating)}\t0\n" for user, item, rating in ratings))


def test_their_folds_give_their_figures(judge: Judge, movielens: Path) -> None:
    data = surprise.Dataset.load_from_file(
        str(movielens / "u.data"), surprise.Reader(line_format="user item rating timestamp", sep="\t")
    )
    np.random.seed(0)
    random.seed(0)
    splitter = surprise.model_selection.KFold(n_splits=5, random_state=0)
    scores = surprise.model_selection.cross_validate(surprise.SVD(), data, ["rmse", "mae"], splitter)
    judge("rmse of Surprise's SVD, run again", README, 0.934, scores["test_rmse"].mean(), 3e-3)
    judge("mae of Surprise's SVD, run again", README, 0.737, scores["test_mae"].mean(), 3e-3)


@pytest.mark.parametrize(
    ("model", "name", "rmse", "mae"), [("biased_mf", "SVD", 0.934, 0.737), ("svdpp", "SVD++", 0.919, 0.721)]
)
def test_ours_on_their_folds(
    model: str, name: str, rmse: float, mae: float, judge: Judge, folds: Path, tmp_path: Path
) -> None:
    """Ours fold users in by ridge regression, so that the figures aren't equal."""
    metrics = []
    for number in range(1, 6):
        overrides = [f"model={model}", "dataset=movielens_100k", f"dataset.root={folds}", f"dataset.split=u{number}"]
        config = composed(*overrides, "callbacks=minimal", "logger=none", "trainer/accelerator=cpu")
        metrics.append(train(OmegaConf.to_container(config, resolve=True), tmp_path / str(number)))
    ours = {key: fmean(each[f"test/{key}"] for each in metrics) for key in ("rmse", "mae")}
    judge.no_worse(f"rmse of {model}, beside {name}", README, rmse, ours["rmse"], 0.003)
    judge.no_worse(f"mae of {model}, beside {name}", README, mae, ours["mae"], 0.003)
