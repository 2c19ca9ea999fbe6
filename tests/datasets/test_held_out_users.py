"""Whole users held out (Liang et al. 2018): the splits, what may be seen, and the metrics of the task."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense_tables import tables_of
from tools import composed, fits, names, sentence, tiny
from torch import Tensor

from scalian_exp.actions.recommend import Recommend
from scalian_exp.actions.similar import Similar
from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import load
from scalian_exp.datasets.rating_files import Triples
from scalian_exp.datasets.rating_splits import held_out_users
from scalian_exp.datasets.sparse_table import SparseTable
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

HELD_OUT = ["dataset.hold_out=users", "dataset.val_share=0.2", "dataset.test_share=0.3", "dataset.users=60"]


def table(users: int = 40, items: int = 30) -> Tensor:
    ratings = torch.randint(1, 6, (users, items)).float() * (torch.rand(users, items) < 0.9)
    ratings[3] = 0
    ratings[3, :4] = 5  # one like too few
    ratings[:, 7] = 0
    return ratings


def held_out(ratings: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return what is given and the target, as dense tables, and the users of each split."""
    users, items = ratings.nonzero(as_tuple=True)
    sparse = SparseTable.of(Triples(users, items, ratings[users, items]), tuple(ratings.shape))
    given, target, of_splits = held_out_users(sparse, 4.0, {"val": 0.1, "test": 0.2})
    return given.dense(), target.dense(), of_splits


def test_users_are_in_one_split_and_a_fifth_of_their_likes_is_hidden() -> None:
    ratings = table()
    given, target, users = held_out(ratings)
    assert {name: len(chosen) for name, chosen in users.items()} == {"train": 27, "val": 4, "test": 8}
    assert sorted(torch.cat(list(users.values())).tolist()) == [user for user in range(40) if user != 3]
    assert not bool(((given > 0) & (target > 0)).any())
    assert torch.equal(given[users["train"]], ratings[users["train"]])
    assert not bool(target[users["train"]].any())
    learned = (ratings[users["train"]] >= 4).any(0)
    for user in [*users["val"].tolist(), *users["test"].tolist()]:
        assert torch.equal(given[user] + target[user], ratings[user] * learned)
        for kind in (ratings[user] >= 4, (ratings[user] > 0) & (ratings[user] < 4)):
            assert int((target[user] > 0)[kind].sum()) == int((kind & learned).sum()) // 5
    assert torch.equal(given, held_out(ratings)[0])


def test_items_that_no_training_user_likes_are_left_out() -> None:
    """As in the paper's code, a held-out user's only ratings of them are neither folded in nor predicted."""
    ratings = torch.zeros(20, 30)
    ratings[:, :10] = 5.0
    ratings[range(20), range(10, 30)] = 5.0  # each user has an item to himself
    given, target, users = held_out(ratings)
    for user in [*users["val"].tolist(), *users["test"].tolist()]:
        assert int((given[user] > 0).sum()) == 8
        assert int((target[user] > 0).sum()) == 2
        assert not bool((given[user] + target[user])[10:].any())


@pytest.mark.parametrize("model", ["bpr", "biased_mf"])
def test_likes_that_no_training_user_shares_are_named_as_the_reason(model: str, tmp_path: Path) -> None:
    """All ratings are 5, so that neither a larger share nor a lower dataset.liked would help."""
    rows = [f"{user},{10 * user + item},5" for user in range(20) for item in range(10)]
    (tmp_path / "ratings.csv").write_text("user,item,rating\n" + "\n".join(rows))
    config = tiny(model, "dataset=ratings_csv", f"dataset.root={tmp_path}", *HELD_OUT, "dataset.items=200")
    data = build("dataset", config["dataset"])
    data.setup("fit")
    with pytest.raises(Refusal, match="No validation user likes 5 items or more that a training user likes") as caught:
        build_task(config).check(data)
    assert "nothing can be scored; hold out fewer users" in str(caught.value)
    assert "dataset.liked" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"val_share": 0.0}, "dataset.val_share=0 of"),
        ({"val_share": 0.6, "test_share": 0.5}, "must take some and leave some for training"),
    ],
)
def test_splits_without_users_are_refused(overrides: dict[str, Any], message: str) -> None:
    node = tiny("multvae", "dataset.hold_out=users")["dataset"] | overrides
    assert message in sentence(build("dataset", node))


@pytest.mark.parametrize("model", ["autorec_items", "rbm_cf_items"])
def test_models_with_weights_for_each_user_are_refused(model: str) -> None:
    with pytest.raises(Refusal, match="has weights for each user; use a model of users' rows, such as multvae"):
        build("dataset", tiny(model, "dataset.hold_out=users")["dataset"])


def test_a_fold_of_users_is_refused() -> None:
    with pytest.raises(Refusal, match=r"dataset.fold=1/5 divides the ratings of all users; .*leave it out"):
        build("dataset", tiny("multvae", "dataset.hold_out=users", "dataset.fold=1/5")["dataset"])


def test_the_ready_data_set_is_movielens_100k_by_users() -> None:
    config = composed("model=multvae", "dataset=movielens_100k_users")
    assert (config.dataset._target_, config.dataset.hold_out) == (
        "scalian_exp.datasets.movielens.MovieLens100k",
        "users",
    )


def metrics_of(scores: Tensor, settled: Tensor, relevant: Tensor, candidates: list[int]) -> dict[str, list[float]]:
    """Return each user's metrics by their definitions (Liang et al. 2018, section 4.2), by loops."""
    found: dict[str, list[float]] = {"recall_at_20": [], "recall_at_50": [], "ndcg_at_100": []}
    for user in range(len(scores)):
        liked = {item for item in candidates if relevant[user, item]}
        order = sorted((i for i in candidates if not settled[user, i]), key=lambda i: -scores[user, i])
        for k in (20, 50):
            found[f"recall_at_{k}"].append(len(liked & set(order[:k])) / min(k, len(liked)))
        gain = sum(1 / np.log2(rank + 1) for rank, item in enumerate(order[:100], 1) if item in liked)
        found["ndcg_at_100"].append(gain / sum(1 / np.log2(rank + 1) for rank in range(1, min(100, len(liked)) + 1)))
    return found


MODELS = [m for m in names("model") if "ratings" in fits(m)["needs"] and not m.endswith("_items")]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_users_is_scored_on_users_that_training_has_not_seen(model: str, tmp_path: Path) -> None:
    config = tiny(model, *HELD_OUT, "trainer.max_epochs=2")
    metrics = train(config, tmp_path / "run")
    loaded, data = load(tmp_path / "run"), build("dataset", config["dataset"])
    data.setup()
    test, ranks = tables_of(data.splits["test"]), not loaded.task.network.predicts_ratings
    assert metrics["training_examples"] == len(data.splits["train"]) < 60
    assert metrics["monitor"] == ("val/ndcg_at_100" if ranks else "val/rmse")
    assert {"test/recall_at_20", "test/recall_at_50", "test/ndcg_at_100_se"} <= metrics.keys()
    assert ("test/rmse" in metrics) == (not ranks)
    if model != "popularity":  # it has ties
        with torch.no_grad():
            scores = loaded.task.scores(test.rating)
        liked = data.splits["train"].rating.dense() >= 4
        candidates = liked.any(0).nonzero().flatten().tolist()
        for name, values in metrics_of(scores, test.rating >= 4, test.target >= 4, candidates).items():
            assert metrics[f"test/{name}"] == pytest.approx(np.mean(values), rel=1e-5)
            assert metrics[f"test/{name}_se"] == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5, rel=1e-4)
    (recommended, *_) = Recommend(liked="Drama 1;Drama 3", count=3).run(loaded, tmp_path / "new")
    assert len(recommended.read_text().splitlines()) == 4
    user = data.user_names[int(data.history.row_counts().nonzero()[-1])]
    (recommended, *_) = Recommend(user=user, count=3).run(loaded, tmp_path / "known")
    assert len(recommended.read_text().splitlines()) == 4
    if hasattr(loaded.task.network, "effects"):
        assert Similar("Drama 1").run(loaded, tmp_path / "similar")


def test_what_a_prediction_may_see_has_no_hidden_rating_and_training_no_held_out_user() -> None:
    data = build("dataset", tiny("autorec_users", *HELD_OUT)["dataset"])
    data.setup()
    for part in (tables_of(data.splits["val"]), tables_of(data.splits["test"])):
        assert not bool(((part.rating > 0) & (part.target > 0)).any())
        assert torch.equal(part.known, (part.rating + part.target) > 0)
    seen = [tuple(row) for part in data.splits.values() for row in part.rating.dense().tolist()]
    assert sorted(seen) == sorted(tuple(row) for row in data.history.dense().tolist() if any(row))
    learned = tables_of(data.splits["train"])
    assert torch.equal(learned.rating, learned.target)
