"""The exhibit of a stack's layers, against torch."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
from pages import Opened
from tools import needs_browser, tiny

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.layers import exhibit
from scalian_exp.exhibits.layers.exhibit import stages
from scalian_exp.run.training import train

part = partial(pages.part, "layers")
EXHIBIT = "page.live.layers.exhibit"
MODELS = {
    "stacked_autoencoder": ["model.network.hidden=[12,8,6]", "model.epochs_per_layer=1", "trainer.max_epochs=3"],
    "dbn": ["model.network.hidden=[12,8,6]", "model.epochs_per_layer=1", "trainer.max_epochs=3"],
    "dbn_labels": ["model.network.hidden=[12,8,6]", "model.epochs_per_layer=1", "trainer.max_epochs=3"],
}


def check_against(network: Any, opened: Opened, shape: list[int]) -> None:
    """Check codes and the image from the top against the network's own methods, and that lower layers differ."""
    damaged = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.damaged)")).view(1, *shape)
    with torch.no_grad():
        for number, code in enumerate(network.layer_codes(damaged)):
            ours = opened.js(f"return Array.from({EXHIBIT}.codes[{number}])")
            np.testing.assert_allclose(ours, code[0], atol=1e-3)
        top = torch.sigmoid(network.decode(network.layer_codes(damaged)[-1])).flatten()
    np.testing.assert_allclose(opened.js(f"return Array.from({EXHIBIT}.outputs.at(-1))"), top, atol=1e-3)


@needs_browser
@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=[] if model == "stacked_autoencoder" else pytest.mark.slow) for model in MODELS]
)
def test_a_damaged_image_rises_and_comes_down_as_in_torch(model: str, driver: Any, tmp_path: Path) -> None:
    train(tiny(model, *MODELS[model]), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    network, shape = load(tmp_path / "run").network, opened.js("return page.live.layers.blocks.images.shape")
    check_against(network, opened, shape)
    first = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.outputs[0])"))
    if model == "stacked_autoencoder":
        code = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.codes[0])"))
        expected = torch.sigmoid(network.layer_decoders[0](code)).detach()
    else:
        code = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.codes[0])"))
        expected = torch.sigmoid(network.rbms[0].visible_input(code)).detach()
    np.testing.assert_allclose(first, expected, atol=1e-3)
    for control in ("[data-do=again]", "[value=lower]", "[value=none]"):
        assert opened.changes(part("damaged"), lambda c=control: opened.click(f"[data-exhibit=layers] {c}"))
    opened.enter(part("noise"), 0)
    opened.settle()
    assert opened.js(f"return Array.from({EXHIBIT}.damaged)") == opened.js(f"return Array.from({EXHIBIT}.clean)")
    assert opened.changes(part("floors"), lambda: opened.click(f"{part('input')} .thumb:nth-child(2)"))
    assert opened.changes(part("errors"), lambda: opened.drag(f"{part('input')} canvas.draws", (0.1, 0.5), (0.9, 0.5)))
    check_against(network, opened, shape)
    opened.check_sound()


@needs_browser
def test_a_large_stack_shows_what_was_computed_beforehand(
    driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibit, "LIVE", 0)
    train(tiny("stacked_autoencoder", *MODELS["stacked_autoencoder"]), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    network, shape = load(tmp_path / "run").network, opened.js("return page.live.layers.blocks.images.shape")
    for act in (lambda: None, lambda: opened.click("[data-exhibit=layers] [value=left]")):
        act()
        damaged = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.damaged)")).view(1, *shape)
        with torch.no_grad():
            expected = torch.sigmoid(network.decode(network.layer_codes(damaged)[-1])).flatten()
        outputs = opened.js(f"return Array.from({EXHIBIT}.outputs.at(-1))")
        np.testing.assert_allclose(outputs, expected, atol=0.01)  # of 256 levels
    assert opened.changes(part("damaged"), lambda: opened.click(f"{part('input')} .thumb:nth-child(2)"))
    opened.check_sound()


def test_the_curves_of_each_stage_are_read_from_the_run(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    assert stages(file) is None
    file.write_text(
        "epoch,step,train/layer,val/loss\n0,1,,5\n0,1,1.0,\n1,2,,4\n1,2,1.0,\n2,3,,9\n2,3,2.0,\n3,4,,nan\n3,4,2.0,\n"
    )
    assert stages(file) == {"metric": "loss", "points": [[[1, 5.0], [2, 4.0]], [[3, 9.0]]]}
