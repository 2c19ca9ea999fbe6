"""The exhibit of codes, against torch and numpy."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
from pages import Opened
from sklearn.decomposition import PCA
from tools import needs_browser, tiny

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.codes.exhibit import principal_components
from scalian_exp.run.training import train

pytestmark = needs_browser
part = partial(pages.part, "codes")
EXHIBIT = "page.live.codes.exhibit"


@pytest.mark.parametrize("model", ["vae", pytest.param("conv_autoencoder", marks=pytest.mark.slow)])
def test_an_image_gives_torchs_code_and_every_control_changes_what_it_should(
    model: str, driver: Any, tmp_path: Path
) -> None:
    train(tiny(model, "model.network.latent_dim=3"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    network = load(tmp_path / "run").network
    image = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.input)"))
    shape = opened.js("return page.live.codes.blocks.images.shape")
    with torch.no_grad():
        code = network.encode(image.view(1, *shape))[0]
    np.testing.assert_allclose(opened.js(f"return Array.from({EXHIBIT}.code)"), code, atol=1e-3)

    assert opened.changes(part("output"), lambda: opened.drag(part("bars"), (0.1, 0.4), (0.1, 0.02)))
    assert opened.js(f"return {EXHIBIT}.code[0] > {EXHIBIT}.encoded[0]")
    assert "changed" in opened.seen(part("error"))
    opened.click("[data-exhibit=codes] [data-do=reset]")
    np.testing.assert_allclose(opened.js(f"return Array.from({EXHIBIT}.code)"), code, atol=1e-3)
    assert opened.changes(part("output"), lambda: opened.drag(part("plane"), (0.5, 0.5), (0.9, 0.1)))
    assert opened.changes(part("strips"), lambda: opened.click("[data-exhibit=codes] [data-do=random]"))
    assert opened.changes(part("tiles"), lambda: opened.click("[data-exhibit=codes] [value=images]"))
    style = "return getComputedStyle(document.querySelector('[data-exhibit=codes] {}')).{}"
    assert opened.js(style.format(".tiles", "opacity")) == "1"
    opened.js("page.project(0)")
    assert opened.js(style.format(".codes", "gridAutoFlow")) == "column", "laid out for one screen"
    opened.js("page.project(-1)")
    assert opened.changes(part("bars"), lambda: opened.click(f"{part('input')} .thumb:nth-child(2)"))
    assert opened.changes(part("pca"), lambda: opened.drag(f"{part('input')} canvas.draws", (0.1, 0.5), (0.9, 0.5)))
    opened.check_sound()


def test_components_are_those_of_scikit_learn() -> None:
    rows = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.linspace(5, 0.1, 30))
    mean, components = principal_components(rows, 4)
    other = PCA(4, svd_solver="full").fit(rows.numpy())
    np.testing.assert_allclose(mean, other.mean_, atol=1e-5)
    agreement = np.abs((components.numpy() * other.components_).sum(1))
    np.testing.assert_allclose(agreement, 1, atol=1e-4)


def test_codes_of_two_numbers_are_in_the_middle_of_their_plane(driver: Any, tmp_path: Path) -> None:
    train(tiny("autoencoder", "model.network.latent_dim=2"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    points = np.array(opened.js("return Array.from(page.live.codes.blocks.plane.arrays.points)")).reshape(-1, 2)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-4 * np.abs(points).max())
