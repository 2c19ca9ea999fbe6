"""`action=similar`: the items of a recommender whose features are closest to a title's."""

from pathlib import Path

import numpy as np
import pytest
from tools import read_csv, tiny

from scalian_exp.actions.action import data_of
from scalian_exp.actions.recommend import Recommend
from scalian_exp.actions.similar import Similar
from scalian_exp.apply import lacks
from scalian_exp.checkpoint import Loaded, load
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.vocabulary.options import options


@pytest.fixture(scope="module", params=["biased_mf", "autorec_items"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A recommender of made-up dramas and comedies, each liked by one kind of user; of users' rows, and of items'."""
    folder = tmp_path_factory.mktemp("similar")
    step = ["model.optimizer.lr=0.02"] if request.param == "autorec_items" else []
    train(tiny(request.param, *step, "dataset.batch_size=16", "trainer.max_epochs=40", "test=false"), folder)
    return load(folder)


def test_a_dramas_neighbours_are_dramas(model: Loaded, tmp_path: Path) -> None:
    similar, _ = Similar("drama 1; Comedy 2", count=4).run(model, tmp_path)
    rows = read_csv(similar)
    assert [(row["query"], row["rank"]) for row in rows] == [
        (query, rank) for query in ("Drama 1", "Comedy 2") for rank in "1234"
    ]
    for row in rows:
        assert row["title"] != row["query"]
        assert row["title"].split()[0] == row["query"].split()[0], "of the same kind"
    for query in range(2):
        values = [float(row["similarity"]) for row in rows[4 * query : 4 * query + 4]]
        assert values == sorted(values, reverse=True)
        assert 0 < values[0] <= 1


def test_the_stored_features_give_the_similarities(model: Loaded, tmp_path: Path) -> None:
    similar, items = Similar("Drama 3").run(model, tmp_path)
    table = {row["title"]: [float(row[key]) for key in row if key.startswith("feature")] for row in read_csv(items)}
    mean = np.mean(list(table.values()), 0)
    one = np.array(table["Drama 3"]) - mean
    for row in read_csv(similar):
        other = np.array(table[row["title"]]) - mean
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert float(row["similarity"]) == pytest.approx(cosine, abs=1e-3)


def test_without_a_title_the_most_rated_are_compared(model: Loaded, tmp_path: Path) -> None:
    rows = read_csv(Similar(count=1).run(model, tmp_path)[0])
    data = data_of(model)
    counts = data.by_user(data.splits["test"].rating).counts()
    assert sorted(int(counts[data.titles.index(row["query"])]) for row in rows) == sorted(counts.tolist())[-5:]


def test_a_title_that_two_items_share_names_both(
    model: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_of(model)
    data.item_names = [f"id{item}" for item in range(len(data.titles))]
    first, second = data.titles.index("Drama 1"), data.titles.index("Drama 3")
    data.titles[second] = "Drama 1"
    for module in ("similar", "recommend"):
        monkeypatch.setattr(f"scalian_exp.actions.{module}.data_of", lambda _: data)
    similar, items = Similar("Drama 1", count=2).run(model, tmp_path)
    sentence = f"Drama 1 is the title of items id{first} and id{second}: all of them are taken."
    assert sentence in capsys.readouterr().out
    queries = [row["query"] for row in read_csv(similar)]
    assert sorted(queries) == sorted([f"Drama 1, item id{first}", f"Drama 1, item id{second}"] * 2)
    assert {row["item"] for row in read_csv(items) if row["title"] == "Drama 1"} == {f"id{first}", f"id{second}"}

    recommended, *_ = Recommend("Drama 1", count=100).run(model, tmp_path)
    assert sentence in capsys.readouterr().out
    assert not {f"id{first}", f"id{second}"} & {row["item"] for row in read_csv(recommended)}

    table = data.by_user(data.splits["test"].rating).dense()
    user = next(u for u in range(len(table)) if bool(table[u, first] > 0) != bool(table[u, second] > 0))
    recommended, *_ = Recommend(user=data.user_names[user], count=100).run(model, tmp_path)
    rows = read_csv(recommended)
    assert rows
    assert "Drama 1" not in {row["title"] for row in rows}, "a twin of what this user has rated"


@pytest.mark.parametrize(("title", "sentence"), [("Drma 1", "did you mean Drama"), (" ; ", "names nothing")])
def test_a_title_that_means_nothing_has_its_sentence(title: str, sentence: str, model: Loaded, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=sentence):
        Similar(title).run(model, tmp_path)


def test_what_has_no_features_cannot_compare_them(tmp_path: Path) -> None:
    train(tiny("popularity", "test=false"), tmp_path)
    assert lacks(load(tmp_path), options("action")["similar"]["needs"]) == ["effects"]
