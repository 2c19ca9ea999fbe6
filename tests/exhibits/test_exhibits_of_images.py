"""Exhibits of networks of images, besides codes: posterior, nearest, samples and classes, against torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pages import Opened, part
from tools import needs_browser, tiny

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.nearest.exhibit import precision_at
from scalian_exp.run.training import train

pytestmark = needs_browser


def test_the_two_errors_of_an_image_are_those_of_the_loss(driver: Any, tmp_path: Path) -> None:
    train(tiny("vae", "model.network.latent_dim=3", "loss.beta=2"), tmp_path / "run")
    opened, task = Opened(driver, tmp_path / "run", tmp_path), load(tmp_path / "run").task
    assert opened.page.exhibits[:3] == ["codes", "posterior", "nearest"]

    def compared() -> None:
        shown = opened.js("const e = page.live.posterior.exhibit; return [e.input, e.noise, e.terms].map((v) => v);")
        x = torch.tensor(shown[0]).view(1, *opened.js("return page.live.posterior.blocks.images.shape"))
        noise = torch.tensor(shown[1]).view(1, 3)
        with torch.no_grad():
            mean, log_variance = task.network.posterior(x)
            logits = task.network.decode(mean + (log_variance / 2).exp() * noise)
            latent = torch.distributions.kl_divergence(
                torch.distributions.Normal(mean, (log_variance / 2).exp()), torch.distributions.Normal(0, 1)
            )
            reconstruction = -torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x).sum()
        np.testing.assert_allclose(shown[2]["reconstruction"], reconstruction, rtol=1e-3)
        np.testing.assert_allclose(shown[2]["kl"], latent.sum(), rtol=1e-3, atol=1e-3)
        total = float(opened.js(f"return document.querySelector('{part('posterior', 'sum')}').innerText").split("=")[1])
        np.testing.assert_allclose(total, reconstruction + 2 * latent.sum(), atol=0.06)

    compared()
    assert opened.changes(part("posterior", "output"), lambda: opened.click("[data-exhibit=posterior] [data-do=noise]"))
    compared()
    assert opened.changes(
        part("posterior", "curves"), lambda: opened.click("[data-exhibit=posterior] .unit:nth-child(2)")
    )
    assert opened.changes(part("posterior", "output"), lambda: opened.click("[data-exhibit=posterior] [data-do=mean]"))
    assert opened.js("return page.live.posterior.exhibit.noise.every((value) => value === 0)")
    opened.check_sound()


def test_neighbours_are_the_nearest_by_code_and_by_pixels(driver: Any, tmp_path: Path) -> None:
    train(tiny("autoencoder"), tmp_path / "run")
    opened, network = Opened(driver, tmp_path / "run", tmp_path), load(tmp_path / "run").network

    def compared() -> None:
        x = torch.tensor(opened.js("return page.live.nearest.exhibit.input"))
        shape = opened.js("return page.live.nearest.blocks.images.shape")
        learned = opened.js("return Array.from(page.live.nearest.blocks.learned.arrays.images)")
        images = torch.tensor(learned).view(-1, *shape) / 255
        found = opened.js("return page.live.nearest.exhibit.found")
        with torch.no_grad():
            codes, own = network.encode(images), network.encode(x.view(1, *shape))
        for name, rows, query in (("code", codes, own), ("pixels", images.flatten(1), x.view(1, -1))):
            distances = (1 - torch.cosine_similarity(query, rows)).sort()
            shown = np.array(found[name])
            np.testing.assert_allclose(shown[:, 1], distances.values[: len(shown)], atol=1e-3)
            assert shown[0, 0] in distances.indices[:3]

    compared()
    stroke = f"{part('nearest', 'input')} canvas.draws"
    assert opened.changes(part("nearest", "pixels"), lambda: opened.drag(stroke, (0.1, 0.2), (0.9, 0.8)))
    compared()
    opened.check_sound()


def test_precision_of_a_hand_made_case() -> None:
    angles, labels = torch.arange(12.0) / 12, torch.tensor([0] * 6 + [1] * 6)
    learned = torch.stack([angles.cos(), angles.sin()], 1) * torch.arange(1.0, 13).unsqueeze(1)  # length doesn't count
    asked, wanted = learned[[0, 11]], torch.tensor([0, 0])
    assert precision_at(learned, asked, labels, wanted) == (6 / 10 + 4 / 10) / 2


def test_a_gan_draws_new_images_and_those_between(driver: Any, tmp_path: Path) -> None:
    train(tiny("gan"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    assert opened.page.exhibits[0] == "samples"
    grid, between = part("samples", "grid"), part("samples", "between")
    assert opened.changes(grid, lambda: opened.click("[data-exhibit=samples] [data-do=random]"))
    assert opened.changes(between, lambda: opened.click(f"{grid} button:nth-child(5)"))
    assert opened.js("return page.live.samples.exhibit.ends[0]") == 4
    assert opened.changes(between, lambda: opened.enter(part("samples", "slider"), 0.9))
    # a quarter of a circle, in the plane of both codes
    middle = opened.js("return page.live.samples.exhibit.between([3, 0], [0, 3], 1 / 3)")
    np.testing.assert_allclose(middle, [3 * np.cos(np.pi / 6), 3 * np.sin(np.pi / 6)], atol=1e-6)
    opened.check_sound()


def test_a_classifiers_probabilities_are_torchs(driver: Any, tmp_path: Path) -> None:
    train(tiny("classifier"), tmp_path / "run")
    opened, network = Opened(driver, tmp_path / "run", tmp_path), load(tmp_path / "run").network
    bars, stroke = part("classes", "bars"), f"{part('classes', 'input')} canvas.draws"
    assert opened.changes(bars, lambda: opened.drag(stroke, (0.2, 0.5), (0.8, 0.5)))
    x = torch.tensor(opened.js("return page.live.classes.exhibit.input"))
    shape = opened.js("return page.live.classes.blocks.images.shape")
    with torch.no_grad():
        expected = network(x.view(1, *shape)).softmax(1)[0]
    np.testing.assert_allclose(opened.js("return page.live.classes.exhibit.probabilities"), expected, atol=1e-3)
    opened.check_sound()


def test_a_wrong_computation_is_told_beside_the_exhibit(driver: Any, tmp_path: Path) -> None:
    train(tiny("classifier"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    text = opened.page.html
    assert text.count('"op":"softmax"') == 1
    opened.file.write_text(text.replace('"op":"softmax"', '"op":"log_softmax"'), encoding="utf-8")
    opened.show("en")
    warned = opened.js(
        "return [...document.querySelectorAll('[data-exhibit] .failed')].map((e) => e.parentNode.dataset.exhibit)"
    )
    assert warned == ["classes"]
