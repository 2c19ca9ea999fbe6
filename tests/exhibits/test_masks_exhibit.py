"""The exhibit of masks, against torch, scipy and cases computed by hand."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
import torch.nn.functional as F
from pages import Opened
from tools import needs_browser, tiny

from scalian_exp.actions.boxes import boxes
from scalian_exp.batches import VOID
from scalian_exp.checkpoint import load
from scalian_exp.exhibits.masks.scenes import Scene, exact_levels, levels
from scalian_exp.exhibits.play import page
from scalian_exp.exhibits.run import Run
from scalian_exp.run.training import train

pytestmark = needs_browser
part = partial(pages.part, "masks")
EXHIBIT = "page.live.masks.exhibit"


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with a CRF, on images with void."""
    folder = tmp_path_factory.mktemp("masks") / "run"
    train(tiny("unet", "model/crf=default", "model.crf.iterations=4"), folder)
    return folder


@torch.no_grad()
def test_losses_probabilities_and_boxes_are_torchs_and_every_control_changes_what_it_should(
    refined: Path, driver: Any, tmp_path: Path
) -> None:
    opened, run = Opened(driver, refined, tmp_path), Run(load(refined))
    batch = run.batch("test", run.spread("test", 8))
    logits, labels = run.network(batch["image"]), batch["mask"]
    assert (labels == VOID).any()
    means = [F.cross_entropy(a[None], b[None], ignore_index=VOID).item() for a, b in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(opened.js(f"return {EXHIBIT}.means"), means, atol=1e-4)
    np.testing.assert_allclose(opened.js(f"return {EXHIBIT}.mean"), F.cross_entropy(logits, labels), atol=1e-4)

    scene, width = opened.js(f"return {EXHIBIT}.scene"), labels.shape[2]
    assert opened.changes(part("bars"), lambda: opened.drag(part("losses"), (0.52, 0.52), (0.81, 0.31)))
    row, column = opened.js(f"return {EXHIBIT}.look")
    assert (row, column) == (int(0.31 * labels.shape[1]), int(0.81 * width))
    seen = dict(opened.js(f"return {EXHIBIT}.odds({scene}, {row * width + column})"))
    np.testing.assert_allclose(list(seen.values()), logits[scene, :, row, column].softmax(0), atol=0.02)
    assert "(void)" not in opened.seen(part("where"))
    opened.drag(part("losses"), (0.001, 0.001), (0.01, 0.01))
    assert "(void)" in opened.seen(part("where"))

    smallest = int(opened.js(f"return document.querySelector('{part('smallest')}').value"))
    expected = sorted(list(box) for box in boxes(logits[scene].argmax(0), smallest))
    assert sorted(opened.js(f"return {EXHIBIT}.found")) == expected
    opened.enter(part("smallest"), 1)
    assert len(opened.js(f"return {EXHIBIT}.found")) >= len(expected)
    assert opened.changes(part("overlaid"), lambda: opened.click(f"{part('present')} button:nth-child(2)"))
    other = f"{part('thumbs')} button:nth-child({2 if scene != 1 else 1})"
    assert opened.changes(part("scene"), lambda: opened.click(other))
    opened.check_sound()


def test_names_of_boxes_stand_inside_the_picture_and_none_above_another(
    refined: Path, driver: Any, tmp_path: Path
) -> None:
    opened = Opened(driver, refined, tmp_path)
    opened.enter(part("smallest"), 1)
    predicted = "page.live.masks.blocks[page.live.masks.facts.masks].arrays.predicted"
    opened.js(f"{predicted}.forEach((_, i, all) => {{ all[i] = (i * i >> 3) % 4; }}); {EXHIBIT}.choose(0)")
    names = f"[...document.querySelectorAll('{part('boxes')} text')]"
    place = "[+t.getAttribute('x'), +t.getAttribute('y'), t.getComputedTextLength()]"
    places = opened.js(f"return {names}.map((t) => {place})")
    height, width = opened.js("const { height, width } = page.live.masks.facts; return [height, width]")
    assert len(places) > 10
    for number, (x, y, long) in enumerate(places):
        assert x >= 0
        assert x + long <= width + 1
        assert y <= height
        for u, v, other in places[:number]:
            assert abs(y - v) >= width / 20 - 1e-6 or x + long <= u or u + other <= x, (x, y, u, v)


@torch.no_grad()
def test_the_crf_of_the_grid_is_the_runs_and_its_scores_are_counted_anew(
    refined: Path, driver: Any, tmp_path: Path
) -> None:
    opened, run = Opened(driver, refined, tmp_path), Run(load(refined))
    batch = run.batch("test", run.spread("test", 8)[:1])
    opened.js(f"{EXHIBIT}.choose(0)")
    mask = run.task.crf(run.network(batch["image"]), batch["image"]).argmax(1).flatten()
    np.testing.assert_array_equal(opened.js(f"return {EXHIBIT}.crf.mask()"), mask)
    labels = batch["mask"].flatten()
    known, ious = labels != VOID, []
    for k in range(4):
        truth, guess = (labels == k) & known, (mask == k) & known
        if (truth | guess).any():
            ious.append(float((truth & guess).sum() / (truth | guess).sum()))
    assert opened.js(f"return {EXHIBIT}.crf.miou(true)") == pytest.approx(np.mean(ious), abs=1e-4)

    crf = run.task.crf
    crf.iterations, crf.appearance_weight, crf.smoothness_weight = 2, 0.0, 9.0
    other = crf(run.network(batch["image"]), batch["image"]).argmax(1).flatten()
    for name, value in (("steps", 2), ("appearance", 0), ("smoothness", 3)):
        opened.enter(part(name), value)
    assert opened.js(f"return {EXHIBIT}.crf.mask()") == other.tolist()
    opened.enter(part("steps"), 0)
    assert "mended: 0.00%" in opened.js(f"return document.querySelector('{part('crf-mended')}').innerText")


@pytest.mark.parametrize("loss", ["cross_entropy_dice", "median_frequency", "focal"])
def test_a_loss_that_is_not_the_maps_mean_is_named_and_computed(loss: str, tmp_path: Path) -> None:
    train(tiny("unet", f"loss={loss}"), tmp_path / "run")
    run = Run(load(tmp_path / "run"))
    with torch.no_grad():
        html = page(run).html
        batch = run.batch("test", run.spread("test", 8))
        pixels = (batch["mask"] != VOID).flatten(1).sum(1)
        each = [
            run.task.loss(run.network(b[None]), m[None]) for b, m in zip(batch["image"], batch["mask"], strict=True)
        ]
    value = float((torch.stack(each) * pixels).sum() / pixels.sum())
    assert f"another loss ({type(run.task.loss).__name__}), which is <b>{value:.4f}</b>" in html
    assert "The mean of the map" not in html


def test_cells_of_a_shrunken_scene_have_the_images_mean_and_void_does_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = 3 * torch.randn(20, 50, 70, generator=generator), torch.randint(20, (50, 70), generator=generator)
    labels[:5] = VOID
    scene = Scene(torch.rand(3, 50, 70, generator=generator), labels, logits, shrink=3, top=6)
    assert scene.cells.shape == scene.targets.shape == (17, 24)
    assert scene.counted.sum() == scene.pixels == 45 * 70
    truth = F.cross_entropy(logits[None], labels[None], ignore_index=VOID)
    np.testing.assert_allclose((scene.cells * scene.counted).sum() / scene.pixels, truth, rtol=1e-5)
    assert scene.targets[4, 5] == labels[13, 16]
    assert scene.targets[-1, -1] == labels[49, 69]
    likeliest = logits[:, 13, 16].softmax(0).topk(6).values
    np.testing.assert_allclose(scene.classes[:, 4, 5].exp().reciprocal(), likeliest, rtol=1e-5)

    packed = exact_levels(scene.cells, scene.counted, 16)
    mean = float((16 * (packed / 255).square() * scene.counted).sum() / scene.pixels)
    plain = float((16 * (levels(scene.cells, 16) / 255).square() * scene.counted).sum() / scene.pixels)
    assert abs(mean - float(truth)) < 1e-4
    assert abs(mean - float(truth)) < abs(plain - float(truth))
    assert (packed - levels(scene.cells, 16)).abs().max() <= 1
