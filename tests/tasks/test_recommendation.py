"""Metrics of recommendation by hand, the task on made-up ratings, and what `action=recommend` says."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense_tables import in_columns, tables_of
from tools import fits, names, read_csv, tiny

from scalian_exp.actions.action import data_of
from scalian_exp.actions.recommend import Recommend
from scalian_exp.actions.tastes import conditioned, taste_of_new
from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import Loaded, load
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.features import features_of

MODELS = [model for model in names("model") if "ratings" in fits(model)["needs"]]
BASELINES = ("rating_bias", "popularity")
"""closed forms: no features, nothing to learn"""
RANKERS = ("bpr", "multvae", "popularity")


class Runs(dict[str, tuple[Loaded, dict[str, Any]]]):
    """A run of each model with its metrics, trained when it is first asked for."""

    def __init__(self, factory: pytest.TempPathFactory):
        super().__init__()
        self.factory = factory

    def __missing__(self, model: str) -> tuple[Loaded, dict[str, Any]]:
        folder = self.factory.mktemp(model)
        step = (
            [] if model in (*BASELINES, "biased_mf", "svdpp", "bpr") or "rbm" in model else ["model.optimizer.lr=0.02"]
        )
        said = ["dataset.batch_size=16", "trainer.max_epochs=40", "callbacks=default"]
        said += ["trainer.check_val_every_n_epoch=10", "callbacks.figures.every_n_epochs=100"]  # few, for speed
        metrics = train(tiny(model, *step, *said), folder)
        self[model] = (load(folder), metrics)
        return self[model]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "popularity"])  # it has ties
def test_the_tasks_metrics_are_those_of_its_predictions(model: str, runs: dict[str, Any]) -> None:
    loaded, metrics = runs[model]
    data = data_of(loaded)
    test = tables_of(data.splits["test"])
    with torch.no_grad():
        predicted = loaded.task.scores(test.rating)
    tables = (predicted, test.rating > 0, test.target)
    predicted, seen, target = (table if data.rows == "users" else table.T for table in tables)
    scored = target > 0
    if loaded.task.network.predicts_ratings:
        error = np.sqrt(np.mean((predicted[scored].clamp(1, 5) - target[scored]).numpy() ** 2))
        assert metrics["test/rmse"] == pytest.approx(float(error), rel=1e-5)
    else:
        assert "test/rmse" not in metrics
        assert metrics["monitor"] == "val/ndcg_at_10"
    recalls = []
    for user in range(len(target)):
        liked = {item for item in range(30) if target[user, item] >= 4}
        order = sorted((item for item in range(30) if not seen[user, item]), key=lambda item: -predicted[user, item])
        if liked:
            recalls.append(len(liked & set(order[:20])) / min(20, len(liked)))
    assert metrics["test/recall_at_20"] == pytest.approx(float(np.mean(recalls)), rel=1e-5)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in (*RANKERS, *BASELINES)])
def test_models_learn_more_than_the_means(model: str, runs: dict[str, Any]) -> None:
    """A user of one kind likes the items of one kind: means can't tell it."""
    assert runs[model][1]["test/rmse"] < 0.9 * runs["rating_bias"][1]["test/rmse"]


@pytest.mark.parametrize("model", ["multvae", "bpr"])
def test_rankers_rank_better_than_popularity(model: str, runs: dict[str, Any]) -> None:
    assert runs[model][1]["test/ndcg_at_10"] > 1.2 * runs["popularity"][1]["test/ndcg_at_10"]


@pytest.mark.parametrize("model", MODELS)
def test_figures_are_drawn(model: str, runs: dict[str, Any]) -> None:
    folder = runs[model][0].folder / "figures"
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == (set() if model in BASELINES else {"test_features.png", "test_items.png"})


def test_damped_means_stand_in_for_what_is_cold() -> None:
    task = build_task(tiny("autorec_users"))
    ratings = torch.zeros(3, 30)
    ratings[0, :3], ratings[1, 1:4] = torch.tensor([5.0, 3.0, 1.0]), torch.tensor([4.0, 4.0, 2.0])
    task.means.start_from(*in_columns(ratings))
    with torch.no_grad():
        scores, means, own = task.scores(ratings), task.means(ratings), task.network(ratings)
    assert torch.equal(scores[2], means[2])  # nothing is known of this user
    assert torch.equal(scores[:, 4:], means[:, 4:])  # nor of these items
    assert torch.equal(scores[:2, :4], own[:2, :4])


def test_a_conditional_machine_is_told_what_is_rated_for_errors_alone(tmp_path: Path) -> None:
    config = tiny("rbm_cf", "model.network.conditional=true", "trainer.max_epochs=3")
    metrics = train(config, tmp_path)
    loaded = load(tmp_path)
    with torch.no_grad():
        loaded.task.network.rated_weight.normal_(std=3)
    data = data_of(loaded)
    test = tables_of(data.splits["test"])
    told, blind = loaded.task.scores(test.rating, test.known), loaded.task.scores(test.rating)
    assert not torch.allclose(told, blind)
    loaded.task.gather({"rating": test.rating, "target": test.target, "known": test.known})
    _, _, first, second = loaded.task.gathered[0]
    assert torch.equal(first, told)
    assert torch.equal(second, blind)
    assert math.isfinite(metrics["test/rmse"])


@pytest.mark.parametrize("model", MODELS)
def test_a_new_user_is_recommended_what_its_kind_likes(model: str, runs: dict[str, Any], tmp_path: Path) -> None:
    loaded, _ = runs[model]
    action = Recommend("Drama 1; drama 3;Drama 5;Drama 7", None if model in RANKERS else "Comedy 2;Comedy 4", count=5)
    files = action.run(loaded, tmp_path)
    found = read_csv(files[0])
    assert [row["rank"] for row in found] == list("12345")
    assert not {"Drama 1", "Drama 3"} & {row["title"] for row in found}
    assert model in RANKERS or "Comedy 2" not in {row["title"] for row in found}
    if model in BASELINES:
        assert len(files) == 1
        return
    assert sum(row["title"].startswith("Drama") for row in found) >= 4
    features = read_csv(files[1])
    assert 1 <= len(features) <= 3
    if model not in RANKERS:
        ratings = [float(row["predicted rating"]) for row in found]
        assert ratings == sorted(ratings, reverse=True)
        assert all(1 <= rating <= 5 for rating in ratings)
        assert features[0]["more of"].count("Drama") > features[0]["more of"].count("Comedy")
        assert features[0]["less of"].count("Comedy") > features[0]["less of"].count("Drama")


@pytest.mark.parametrize("model", [model for model in MODELS if model != "popularity"])  # it has ties
def test_an_old_user_gets_the_best_of_what_is_new(model: str, runs: dict[str, Any], tmp_path: Path) -> None:
    loaded, _ = runs[model]
    data = data_of(loaded)
    given = tables_of(data.splits["test"]).rating
    with torch.no_grad():
        tables = given > 0, loaded.task.scores(given)
    seen, scores = (table[6] if data.rows == "users" else table[:, 6] for table in tables)
    expected = [data.titles[item] for item in scores.argsort(descending=True).tolist() if not seen[item]][:4]
    found = read_csv(Recommend(user="7", count=4).run(loaded, tmp_path)[0])
    assert [row["title"] for row in found] == expected


def test_a_new_user_of_an_item_model_is_ridge_regression_of_a_decoder() -> None:
    """I-AutoRec predicts linearly in a user's decoder weights. With these drawn from the known users' distribution, and
    Bayes' rule written in weights, (Σ⁻¹ + X'X/σ²)⁻¹, a new user's predictions are the same."""
    generator = torch.Generator().manual_seed(1)
    weights, codes = (torch.randn(size, 3, generator=generator).double() for size in (50, 9))
    observed, values, noise = torch.tensor([1, 4, 8]), torch.tensor([4.0, 1.0, 3.0]).double(), 0.7
    population = weights @ codes.T
    mean, deviations = weights.mean(0), weights - weights.mean(0)
    prior = torch.linalg.inv(deviations.T @ deviations / 50)
    x = codes[observed]
    posterior = torch.linalg.solve(prior + x.T @ x / noise, prior @ mean + x.T @ values / noise)
    torch.testing.assert_close(conditioned(population, observed, values, noise), codes @ posterior)


def test_known_columns_and_a_new_one_with_their_ratings_agree(runs: dict[str, Any]) -> None:
    """Of an item model: a new user with the ratings of an old one gets about the old one's predictions."""
    loaded, _ = runs["autorec_items"]
    data = data_of(loaded)
    ratings = tables_of(data.splits["test"]).rating
    with torch.no_grad():
        old = loaded.task.scores(ratings)[:, 0]
        new = taste_of_new(loaded.task, data, features_of(loaded.task, data), ratings[:, 0]).scores
        other = loaded.task.scores(ratings)[:, 1]
    assert float((new - old).abs().mean()) < 0.5 * float((new - other).abs().mean())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Give the taste of a new user: liked="),
        ({"liked": "Drama 1", "user": "3"}, "give only one of them"),
        ({"liked": "Drama 1;Dramma 3"}, "There is no title 'Dramma 3'; did you mean Drama 3"),
        (
            {"liked": "Drama 1", "disliked": "drama 1"},
            "Drama 1 is both liked and disliked; remove it",
        ),
        ({"liked": " ; "}, "No title is given; name some"),
        ({"user": "99"}, "There is no user '99' among the 40, 1 to 40."),
    ],
)
def test_what_cannot_be_recommended_has_its_sentence(
    arguments: dict[str, Any], sentence: str, runs: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Refusal) as caught:
        Recommend(**arguments).run(runs["rbm_cf"][0], tmp_path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("model", ["rating_bias", "autorec_items", "rbm_cf"])
def test_room_for_more_users_and_items_changes_no_score(model: str, tmp_path: Path) -> None:
    """Nobody is recommended what doesn't exist; and figures and lists name only what does."""
    lines = [
        f"{user},{item},{1 + (user * item + item) % 5}" for user in range(1, 13) for item in range(1, 10) if user % item
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *lines]) + "\n")
    found = []
    for users, items in ((12, 9), (20, 40)):
        sizes = [f"dataset.users={users}", f"dataset.items={items}"]
        config = tiny(model, "dataset=ratings_csv", f"dataset.root={tmp_path}", *sizes, "callbacks=default")
        found.append(train(config, tmp_path / f"run{items}"))
    files = Recommend(liked="3").run(load(tmp_path / "run40"), tmp_path / "out")
    assert {row["title"] for row in read_csv(files[0])} < {str(item) for item in range(1, 10)}
    if model == "rating_bias":  # the other two start from other weights
        names = [name for name in found[0] if name.startswith("test/") and name != "test/loss"]  # a mean over all rows
        assert {name: found[1][name] for name in names} == pytest.approx({name: found[0][name] for name in names})


def test_a_user_without_ratings_and_one_without_likes_are_refused(runs: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    lines = [f"{user},{item},{user % 5 + 1}" for user in range(1, 9) for item in range(1, 9)]
    (own / "ratings.csv").write_text("\n".join(["user,item,rating", *lines, "lonely,1,5"]) + "\n")
    said = ["dataset=ratings_csv", f"dataset.root={own}", "dataset.users=12", "dataset.items=8"]
    config = tiny("rbm_cf", *said)
    train(config, tmp_path / "run")
    loaded = load(tmp_path / "run")
    data = build("dataset", config["dataset"])
    data.setup()
    index = data.user_names.index("lonely")
    given = data.splits["test"].rating
    others = given.where(torch.arange(len(given)).repeat_interleave(given.row_counts()) != index)
    with pytest.raises(Refusal, match="No rating of user lonely may be used"):
        Recommend(user="lonely").index(data, others)
    assert loaded.task.network.columns == 8
    with pytest.raises(Refusal, match="learns only from likes, and there are none"):
        Recommend(disliked="Comedy 2").run(runs["multvae"][0], tmp_path / "out")
