"""The exhibit of Boltzmann machines, against torch."""

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

from scalian_exp.checkpoint import load
from scalian_exp.run.training import train

pytestmark = needs_browser
part = partial(pages.part, "gibbs")
EXHIBIT = "page.live.gibbs.exhibit"
MODELS = {
    "rbm": ["model.network.centred=true"],
    "rbm_gaussian": [],
    "dbn": ["model.network.hidden=[12,8]", "model.epochs_per_layer=1", "trainer.max_epochs=2"],
    "dbn_labels": ["model.network.hidden=[12,8,16]", "model.epochs_per_layer=1", "trainer.max_epochs=3"],
    "dbn_up_down": ["model.network.hidden=[12,8,16]"],
}


def array(opened: Opened, name: str) -> torch.Tensor:
    values = opened.js(f"return Array.from({EXHIBIT}.chain.{name})")
    return torch.tensor([float("nan") if value is None else value for value in values]).float()


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=[] if model == "dbn_labels" else pytest.mark.slow) for model in MODELS]
)
def test_a_step_of_the_chain_gives_torchs_means_energy_and_labels(model: str, driver: Any, tmp_path: Path) -> None:
    train(tiny(model, *MODELS[model]), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    assert not opened.page.left_out
    network = load(tmp_path / "run").network
    matrices = opened.js(
        """
        const { program: { operations, arrays } } = page.live.gibbs.blocks.stack;
        return new Set(operations.flatMap((op) => op.in).filter((name) => arrays[name]?.shape.length === 2)).size;
        """
    )
    assert matrices == len(network.rbms) + (2 if model == "dbn_up_down" else 0)  # both ways share weights until untied
    opened.js(f"{EXHIBIT}.clock.stop(); {EXHIBIT}.step()")
    v, h, top = array(opened, "v"), array(opened, "h"), network.rbms[-1]
    with torch.no_grad():
        np.testing.assert_allclose(array(opened, "on"), top.hidden.mean(top.hidden_input(v)), atol=1e-3)
        free_energy = top.uncentred().free_energy(v)
        np.testing.assert_allclose(opened.js(f"return {EXHIBIT}.chain.energy"), free_energy, rtol=1e-3, atol=1e-3)
        down = opened.js(f"const c = {EXHIBIT}.chain; return Array.from(c.downs[c.top](c.h)[0])")
        np.testing.assert_allclose(down, top.visible.mean(top.visible_input(h)), atol=1e-3)
        if len(network.rbms) > 1:  # means one layer further down, by the generative weights where there are such
            below = network.rbms[-2]
            states = v[: len(below.hidden_bias)]
            downs = f"const c = {EXHIBIT}.chain; return Array.from(c.downs[c.top - 1](arguments[0])[0])"
            for given in (states, 1 - states):  # of what it is given, not of v
                expected = below.visible.mean(network.input_below(len(network.rbms) - 2, given[None]))[0]
                np.testing.assert_allclose(opened.js(downs, given.tolist()), expected, atol=1e-3)
        if "labels" in model or "up_down" in model:
            expected = torch.softmax(-network.free_energies(v[None, : network.below_top]), 1)[0]
            np.testing.assert_allclose(opened.js(f"return Array.from({EXHIBIT}.chain.labelled())"), expected, atol=1e-3)
            opened.click(f"{part('labels')} .label-unit:nth-child(3)")  # the class after "free" and the first
            assert array(opened, "v")[network.below_top :].tolist()[:2] == [0, 1]
            assert "is held" in opened.js(f"return document.querySelector('{part('label-note')}').textContent")
    opened.check_sound()


def test_held_pixels_stay_and_every_control_changes_what_it_should(driver: Any, tmp_path: Path) -> None:
    train(tiny("rbm"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    opened.js(f"{EXHIBIT}.clock.stop()")
    do = "[data-exhibit=gibbs] [data-do={}]"
    assert opened.changes(part("visible"), lambda: opened.click(do.format("step")))
    assert opened.changes(".machine .held-on", lambda: opened.drag(part("visible"), (0.2, 0.5), (0.8, 0.5)))
    held = array(opened, "held")
    assert 0 < int(held.isfinite().sum()) < len(held)
    for _ in range(5):
        opened.click(do.format("step"))
        assert bool((array(opened, "v")[held == 1] == 1).all())
    opened.click("[data-exhibit=gibbs] [value='0']")
    assert opened.changes(".machine .held-off", lambda: opened.drag(part("visible"), (0.2, 0.8), (0.8, 0.8)))
    opened.click(do.format("free"))
    assert not bool(array(opened, "held").isfinite().any())
    opened.click(f"{part('thumbs')} .thumb:nth-child(2)")
    image = torch.tensor(opened.js("return Array.from(page.live.gibbs.blocks.images.arrays.images)")).view(
        -1, len(held)
    )
    assert array(opened, "held")[: len(held) // 2].tolist() == (image[1] / 255)[: len(held) // 2].tolist()
    assert bool(array(opened, "held")[len(held) // 2 :].isnan().all())
    assert opened.changes(part("energy"), lambda: opened.click(do.format("restart")))
    opened.click(do.format("step"))
    assert opened.changes(part("visible"), lambda: opened.click("[data-exhibit=gibbs] [value=states]"))
    first = opened.js(f"return {EXHIBIT}.unit")
    assert opened.changes(part("filter"), lambda: opened.drag(part("hidden"), (0.9, 0.1) if first == 0 else (0.1, 0.1)))
    opened.js(f"{EXHIBIT}.clock.start()")
    before = opened.js(f"return {EXHIBIT}.steps")
    WebDriverWait(driver, 30, 0.02).until(lambda _: opened.js(f"return {EXHIBIT}.steps") > before)


def test_draws_have_their_means(driver: Any, tmp_path: Path) -> None:
    train(tiny("rbm"), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    means = opened.js(
        f"""
        const exhibit = {EXHIBIT}, kinds = [["bernoulli", 2], ["softmax", 3], ["gaussian", 1]];
        const groups = kinds.map(([kind, size]) => ({{ kind, size }}));
        const out = new Float32Array(6), sum = new Float64Array(7);
        for (let n = 0; n < 20000; n++) {{
          exhibit.draw(groups, [0.1, 0.7, 0.2, 0.5, 0.3, -1.5], out, exhibit.chain.random);
          out.forEach((value, i) => {{ sum[i] += value / 20000; }});
          sum[6] += (out[5] + 1.5) ** 2 / 20000;
        }}
        return Array.from(sum);
        """
    )
    np.testing.assert_allclose(means, [0.1, 0.7, 0.2, 0.5, 0.3, -1.5, 1], atol=0.05)
