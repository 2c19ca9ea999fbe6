"""Exhibits of texts and of ratings, against scikit-learn and torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from pages import Opened
from tools import composed, needs_browser, tiny

from scalian_exp.actions.tastes import taste_of_new
from scalian_exp.checkpoint import load
from scalian_exp.exhibits.play import page
from scalian_exp.exhibits.run import Run
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.features import features_of

pytestmark = needs_browser


def test_a_sentence_is_weighed_and_its_neighbours_found_as_by_scikit_learn(driver: Any, tmp_path: Path) -> None:
    train(tiny("text_autoencoder"), tmp_path / "run")
    opened, run = Opened(driver, tmp_path / "run", tmp_path), Run(load(tmp_path / "run"))
    sentence = "Topic1word3, topic1word4 and word7; word7!"
    opened.enter("[data-exhibit=sentences] [data-part=sentence]", sentence)
    expected = run.data.vector(sentence)
    np.testing.assert_allclose(opened.js("return page.live.sentences.exhibit.vector"), expected[0], atol=1e-5)
    found = opened.js("return page.live.sentences.exhibit.found")
    learned = run.batch("train", run.spread("train", 2000))["text"]
    with torch.no_grad():
        codes, own = run.network.encode(learned), run.network.encode(expected)
    for name, rows, query in (("code", codes, own), ("words", learned, expected)):
        distances = (1 - torch.cosine_similarity(query, rows)).sort().values
        np.testing.assert_allclose(np.array(found[name])[:, 1], distances[: len(found[name])], atol=2e-3)
    assert "<mark>" in opened.seen("[data-exhibit=sentences] [data-part=words]")
    opened.enter("[data-exhibit=sentences] [data-part=sentence]", "nothing known")
    assert "knows none" in opened.seen("[data-exhibit=sentences] [data-part=known]")
    assert opened.changes(
        "[data-exhibit=sentences] [data-part=code]",
        lambda: opened.click("[data-exhibit=sentences] .suggestions button:nth-child(2)"),
    )
    opened.check_sound()


@pytest.mark.parametrize(
    "model",
    [
        "biased_mf",
        "autorec_items",
        *(pytest.param(model, marks=pytest.mark.slow) for model in ("svdpp", "autorec_users", "multvae", "bpr")),
    ],
)
def test_a_readers_tastes_are_those_of_the_model(model: str, driver: Any, tmp_path: Path) -> None:
    train(tiny(model), tmp_path / "run")
    opened, run = Opened(driver, tmp_path / "run", tmp_path), Run(load(tmp_path / "run"))
    features = "[data-exhibit=tastes] [data-part=features]"
    opened.click("[data-exhibit=tastes] [data-do=clear]")
    nobody = opened.js("return Array.from(page.live.tastes.exhibit.scores)")
    opened.click("[data-exhibit=tastes] .title:nth-child(3) .like")
    assert opened.changes(features, lambda: opened.click("[data-exhibit=tastes] .title:nth-child(5) .dislike"))
    given = dict(opened.js("return [...page.live.tastes.exhibit.given]"))
    assert sorted(given.values()) == [run.data.levels[0], run.data.levels[-1]]
    ratings = torch.zeros(run.data.items)
    for item, rating in given.items():
        ratings[item] = rating
    scores = np.array(opened.js("return Array.from(page.live.tastes.exhibit.scores)"))
    with torch.no_grad():
        expected = taste_of_new(run.task, run.data, features_of(run.task, run.data), ratings).scores.numpy()
    if model in ("biased_mf", "svdpp"):
        np.testing.assert_allclose(scores, expected, atol=1e-3)  # the same regression
    elif model == "autorec_items":
        np.testing.assert_allclose(scores, expected, atol=2e-2)  # of all axes there, of the widest here
    assert not np.allclose(scores, nobody, atol=1e-6)
    opened.check_sound()


def test_popularity_has_no_tastes(tmp_path: Path) -> None:
    train(tiny("popularity"), tmp_path / "run")
    with (
        torch.no_grad(),
        pytest.raises(Refusal, match="no exhibit for Popularity: Popularity predicts the same for all"),
    ):
        page(Run(load(tmp_path / "run")))


def test_missing_data_are_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [])  # no test depends on the network
    train(tiny("autoencoder"), tmp_path / "run")
    model = load(tmp_path / "run")
    mnist = composed("model=autoencoder", "dataset=mnist", f"dataset.root={tmp_path / 'nowhere'}")
    model.config["dataset"] = OmegaConf.to_container(mnist, resolve=True)["dataset"]
    with pytest.raises(Refusal, match=r"^There is no|^The files of MNIST"):
        Run(model)
