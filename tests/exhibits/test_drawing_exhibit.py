"""The exhibit of images drawn in steps, against torch."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
from pages import Opened
from selenium.webdriver.support.ui import WebDriverWait
from tools import needs_browser, tiny
from torch.distributions import Normal, kl_divergence

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.drawing.exhibit import DRAWS, kl_of
from scalian_exp.exhibits.play import page
from scalian_exp.exhibits.run import MOST_STEPS, Run
from scalian_exp.run.training import train
from scalian_exp.tasks.decoding import probabilities

pytestmark = needs_browser
part = partial(pages.part, "drawing")
EXHIBIT = "page.live.drawing.exhibit"


@pytest.mark.parametrize("model", ["draw_small", pytest.param("draw_no_attention", marks=pytest.mark.slow)])
def test_steps_are_torchs_and_every_control_changes_what_it_should(model: str, driver: Any, tmp_path: Path) -> None:
    train(tiny(model, "model.network.glimpses=4"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    assert opened.page.exhibits == ["codes", "nearest", "drawing"]
    run = Run(load(tmp_path / "run"))
    second = opened.js("return page.live.drawing.facts.chosen[1]")
    with torch.no_grad():
        x = run.batch("test", run.spread("test", 24))["image"][[second]]
        drawing = run.network.drawing(run.network.encode(x))
        blank = torch.sigmoid(run.network.blank.transpose(0, 1))
    canvases = [blank, *probabilities(drawing.canvases)[:, 0]]
    for step, canvas in enumerate(canvases):
        own = opened.js(f"return Array.from({EXHIBIT}.canvas({step}, 1))")
        np.testing.assert_allclose(own, canvas.flatten(), atol=0.5 / 255 + 1e-3)
    opened.click(f"{part('thumbs')} .thumb:nth-child(2)")
    opened.js(f"{EXHIBIT}.go(3)")
    for window in ("read", "write"):
        boxes = getattr(drawing, window)
        own = opened.js(f"return {EXHIBIT}.box('{window}')")
        assert own is None if boxes is None else np.allclose(own, boxes[2, 0], atol=1e-3)

    assert opened.changes(part("canvas"), lambda: opened.click(f"{part('film')} .cell:nth-child(1)"))
    assert opened.js(f"return {EXHIBIT}.step") == 1
    assert opened.changes(part("told"), lambda: opened.drag(part("kl"), (0.9, 0.5), (0.9, 0.6)))
    assert opened.js(f"return {EXHIBIT}.step") == 4
    assert opened.changes(part("film"), lambda: opened.click(f"{part('thumbs')} .thumb:nth-child(1)"))
    assert opened.changes(part("film"), lambda: opened.click("[data-exhibit=drawing] [value=invented]"))
    assert "prior" in opened.seen(part("told"))
    opened.click("[data-exhibit=drawing] [data-do=play]")
    opened.driver.execute_async_script(
        f"const wait = () => {EXHIBIT}.playing ? setTimeout(wait, 20) : arguments[0](); setTimeout(wait, 50)"
    )
    assert opened.js(f"return {EXHIBIT}.step") == 4
    same = f"""
        const spoken = document.querySelector('[data-exhibit=drawing] [aria-live=polite]');
        return spoken.textContent === document.querySelector('{part("told")}').innerText
    """
    WebDriverWait(driver, 30, 0.02).until(lambda _: opened.js(same))
    opened.check_sound()


def test_codes_of_many_steps_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    train(tiny("draw_small", f"model.network.glimpses={MOST_STEPS + 1}"), tmp_path / "run")
    with torch.no_grad():
        result = page(Run(load(tmp_path / "run")))
    assert result.exhibits == ["drawing"]
    assert result.left_out.keys() == {"codes", "nearest"}
    assert f"draws in {MOST_STEPS + 1} steps" in result.left_out["codes"]


def test_the_kl_of_the_steps_is_that_of_torchs_distributions(tmp_path: Path) -> None:
    train(tiny("draw_small", "model.network.glimpses=3"), tmp_path / "run")
    run = Run(load(tmp_path / "run"))
    with torch.no_grad():
        x = run.batch("test", torch.tensor([0]))["image"]
        torch.manual_seed(1)
        own = kl_of(run.network, x)
        torch.manual_seed(1)
        many = x.expand(DRAWS, -1, -1, -1)
        _, mean, log_variance = run.network.trajectory(many, run.network.noise(DRAWS))
        steps = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(2).mean(1)
    np.testing.assert_allclose(own, steps, rtol=1e-4, atol=1e-6)
