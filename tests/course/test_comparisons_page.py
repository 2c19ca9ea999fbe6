"""Comparisons of several runs on a page in a browser, against torch and numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import OpenedPage
from tools import needs_browser, tiny

from scalian_exp.batches import VOID
from scalian_exp.checkpoint import load
from scalian_exp.course.build import Course
from scalian_exp.course.chapter import described
from scalian_exp.exhibits.run import Run
from scalian_exp.run.training import train

pytestmark = needs_browser
RUNS = {
    "unet": ("unet",),
    "segnet": ("segnet",),
    "classifier": ("classifier",),
    "codes": ("autoencoder",),
    "others": ("vae",),
    "pcd": ("rbm",),
    "cd": ("rbm", "loss=contrastive_divergence"),
}
CHAPTER = """
order: 1
shows:
  - { comparison: scenes, runs: { segnet: SegNet, unet: { fr: Réseau en U, en: U-Net } } }
  - { comparison: planes, name: codes, judge: classifier, runs: { codes: AE, others: VAE } }
  - { comparison: pairs, runs: { cd: CD-1, pcd: PCD } }
commands: []
short: { fr: Trois, en: Three }
title: { fr: Trois, en: Three }
lead:
  fr: "{{ f.shown.codes.runs.others.standard.holes | pc(1) }}"
  en: "{{ f.shown.pairs.runs.cd.difference | n(4) }}"
tries: { fr: [essayez], en: [try] }
"""
SCENES, PLANES, PAIRS = (f"page.live['three-{number}'].exhibit" for number in range(3))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny runs of all kinds that are compared."""
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in RUNS.items():
        train(tiny(*overrides), folder / name)
    return folder


def part(number: int, name: str, within: str = "") -> str:
    return f"[data-exhibit=three-{number}] {within} [data-part={name}]"


def test_comparisons_show_what_torch_computes_and_react(runs: Path, driver: Any, tmp_path: Path) -> None:
    (tmp_path / "three.yaml").write_text(CHAPTER, encoding="utf-8")
    html, left_out = Course(runs).html([described(tmp_path / "three.yaml")])
    assert not left_out
    opened = OpenedPage(driver, html, tmp_path / "page.html")
    check_scenes(opened, Run(load(runs / "unet")))
    check_planes(opened, Run(load(runs / "others")))
    check_pairs(opened)
    opened.check_sound()


@torch.no_grad()
def check_scenes(opened: OpenedPage, run: Run) -> None:
    assert opened.changes(part(0, "readout"), lambda: opened.enter(part(0, "slider"), 1))
    assert "U-Net" in opened.seen(part(0, "answer-name"))
    scene = opened.js(f"return {SCENES}.scene")
    batch = run.batch("test", run.spread("test", 8)[scene : scene + 1])
    mask, labels = run.network(batch["image"]).argmax(1).flatten(), batch["mask"].flatten()
    assert opened.js(f"return {SCENES}.errors()") == ((mask != labels) & (labels != VOID)).tolist()
    known = labels != VOID
    for k, iou, there, seen in opened.js(f"return {SCENES}.present()"):
        truth, guess = (labels == k) & known, (mask == k) & known
        assert (there, seen) == (truth.any().item(), guess.any().item())
        assert iou == pytest.approx(float((truth & guess).sum() / (truth | guess).sum()))
    assert opened.changes("[data-exhibit=three-0] .wrong", lambda: opened.click(f"{part(0, 'gallery')} button"))
    assert opened.js(f"return {SCENES}.chosen") == 0
    assert opened.changes(part(0, "pixel"), lambda: opened.drag(part(0, "truth"), (0.1, 0.1), (0.6, 0.7)))
    assert opened.changes(part(0, "scene"), lambda: opened.click(f"{part(0, 'thumbs')} [aria-pressed=false]"))


@torch.no_grad()
def check_planes(opened: OpenedPage, run: Run) -> None:
    codes = run.network.encode(run.batch("test", run.spread("test", 1500))["image"])
    image, plane = part(1, "image", "[data-network=others]"), part(1, "plane", "[data-network=codes]")
    assert opened.changes(image, lambda: opened.drag(plane, (0.5, 0.5), (0.75, 0.25)))
    np.testing.assert_allclose(opened.js(f"return {PLANES}.networks.map((n) => [...n.code])"), [[2, 2], [2, 2]])
    own, expected = (
        opened.js(f"return [...{PLANES}.networks[1].decoded([2, 2])]"),
        torch.sigmoid(run.network.decode(torch.full((1, 2), 2.0))).flatten(),
    )
    np.testing.assert_allclose(own, expected, atol=1e-3)
    spacing = opened.js(f"return {PLANES}.networks[1].spacing")
    for at in codes[0] + torch.tensor([[0.5, 0], [0, 2.0], [20, 20]]) * spacing:
        far = float((codes - at).norm(dim=1).min())
        assert opened.js(f"return {PLANES}.networks[1].holed(arguments[0])", at.tolist()) == (far > spacing)
    opened.click("[data-choice=law] [value=fitted]")
    drawn, noise = opened.js(f"return [{PLANES}.drawn(1, 3), {PLANES}.noise[3]]")
    deviation, mean = codes.std(0, correction=0), codes.mean(0)
    assert drawn[0] == pytest.approx(float(mean[0] + deviation[0] * noise[0]), rel=1e-3, abs=1e-4)
    assert opened.changes(part(1, "rows"), lambda: opened.click("[data-do=draw]"))
    assert opened.changes(plane, lambda: opened.click("[data-choice=extent] [value=own]"))


def check_pairs(opened: OpenedPage) -> None:
    states = [
        np.array(opened.js(f"return [...page.live['three-2'].blocks.pairs.arrays['states.{name}']]")).reshape(-1, 256)
        for name in ("", "pcd")
    ]
    pixel = opened.js(f"return {PAIRS}.pixel")
    for number, own in ((0, states[0]), (2, states[1])):
        seen = opened.js(f"const given = {PAIRS}.given({number}, {pixel}); return given && [...given]")
        on = own[own[:, pixel] == 1]
        assert (seen is None) == (len(on) == 0)
        if len(on):
            np.testing.assert_allclose(seen, on.mean(0), atol=1e-6)
    maps = [f"[data-map='{name}'] canvas" for name in ("", "cd", "pcd")]
    assert opened.changes(maps[1], lambda: opened.drag(maps[0], (0.5, 0.5), (0.3, 0.8)))
    assert opened.js(f"return {PAIRS}.pixel") == 12 * 16 + 4
    assert opened.changes(maps[0], lambda: opened.click("[data-exhibit=three-2] [data-choice=view] [value=more]"))
