"""Evaluation and segmentation at several scales and with mirror images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny
from torch import nn

from scalian_exp.actions.action import data_of, prepared
from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.actions.scales import at_scales
from scalian_exp.actions.segment import Segment
from scalian_exp.checkpoint import load
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.segmentation import scores
from scalian_exp.networks.adapted import Adapted
from scalian_exp.networks.deeplab import DeepLabV3
from scalian_exp.networks.scales import MultiScale
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(tiny("unet", "trainer.max_epochs=2", "model/crf=default", "model.crf.iterations=1"), folder)
    return folder


def evaluated(run: Path, folder: Path, **arguments: Any) -> dict[str, Any]:
    (file,) = Evaluate(**arguments).run(load(run), folder)
    values: dict[str, Any] = json.loads(file.read_text())
    return values


def test_scale_1_alone_evaluates_as_at_the_end_of_training(run: Path, tmp_path: Path) -> None:
    tested = {k: v for k, v in json.loads((run / "metrics.json").read_text()).items() if k.startswith("test/")}
    assert evaluated(run, tmp_path) == evaluated(run, tmp_path, scales=[1.0]) == tested  # to the bit


def test_scores_are_those_of_averaged_probabilities(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = evaluated(run, tmp_path, scales=[0.5, 1, 1.5], flip=True)
    assert "averaged over scales 0.5, 1, 1.5 and mirror images" in " ".join(capsys.readouterr().out.split())
    assert (values["scales"], values["flip"]) == ([0.5, 1, 1.5], True)
    model = load(run)
    data, counted, refined = data_of(model), Confusion(4), Confusion(4)
    averaged = MultiScale(model.task.network, [0.5, 1, 1.5], flip=True).eval()
    with torch.no_grad():
        for batch in data.loader("test"):
            batch = prepared(model, data, batch)
            logs = averaged(batch["image"])
            counted.update(logs.argmax(1), batch["mask"])
            refined.update(model.task.crf(logs, batch["image"]).argmax(1), batch["mask"])
    assert values["test/miou"] == pytest.approx(float(scores(counted.compute(), None)["miou"]))
    assert values["test/crf_miou"] == pytest.approx(float(scores(refined.compute(), None)["miou"]))
    assert values["test/loss"] != evaluated(run, tmp_path)["test/loss"]


def test_the_network_is_left_as_it_was(run: Path, tmp_path: Path) -> None:
    model = load(run)
    network = model.task.network
    Evaluate(scales=[0.5], flip=True).run(model, tmp_path)
    Segment(scales=[0.5], flip=True).run(model, tmp_path)
    assert model.task.network is network


def test_networks_that_never_average_over_mirror_images_are_mirrored(run: Path) -> None:
    model = load(run)
    for network in (Adapted(nn.Conv2d(3, 4, 1), 3), DeepLabV3(3, 4, 50, 1 / 32)):
        model.task.network = network
        with at_scales(model, [1], flip=True, size=(40, 48)):
            assert isinstance(model.task.network, MultiScale)


def test_an_image_is_segmented_by_averaged_probabilities(run: Path, tmp_path: Path) -> None:
    model = load(run)
    data = data_of(model)
    x = prepared(model, data, data.splits["test"][torch.tensor([3])])["image"]
    model.task.crf = None
    mask, *_ = Segment(index=3, scales=[0.5, 1, 1.5], flip=True).run(model, tmp_path)
    with torch.no_grad(), Image.open(mask) as image:
        expected = MultiScale(model.task.network, [0.5, 1, 1.5], flip=True).eval()(x)[0].argmax(0)
        assert (torch.from_numpy(np.array(image)) == expected).all()


def test_tiles_are_each_seen_at_all_scales(run: Path, tmp_path: Path) -> None:
    """An image that is larger than a tile has bands of averaged probabilities."""
    model = load(run)
    model.task.crf = None
    Image.fromarray(np.random.default_rng(0).integers(255, size=(90, 140, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    action = Segment(image=str(tmp_path / "a.png"), scale=1.0, tile_size=48, scales=[0.5, 1.25], flip=True)
    mask, *_ = action.run(model, tmp_path / "out")
    x = torch.from_numpy(np.array(Image.open(tmp_path / "a.png"))).permute(2, 0, 1)[None] / 255
    model.task.network = MultiScale(model.task.network, [0.5, 1.25], flip=True).eval()
    with torch.no_grad(), Image.open(mask) as image:
        expected = torch.cat([*Segment(tile_size=48).probabilities(model, x)], 2)[0].argmax(0)
        assert (torch.from_numpy(np.array(image)) == expected).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scales": []}, r"scales=\[\] leaves nothing to look at"),
        ({"scales": [0.4, 1]}, r"At scale 0\.4 images have 16×19 pixels, too few for UNet.* stride of 16; leave"),
        ({"scales": [1, 1e5]}, r"The logits at scale 100000 would take at least"),
    ],
)
def test_unsuitable_scales_are_refused(run: Path, tmp_path: Path, arguments: dict[str, Any], sentence: str) -> None:
    for action in (Evaluate(**arguments), Segment(**arguments)):
        with pytest.raises(Refusal, match=sentence):
            action.run(load(run), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(Refusal, match="this action has 500 MB"):
        Segment(scales=[200.0]).run(load(run), tmp_path / "out")


def test_other_networks_have_neither_scales_nor_mirror_images(tmp_path: Path) -> None:
    train(tiny("autoencoder"), tmp_path / "run")
    for arguments in ({"scales": [0.5, 1]}, {"flip": True}):
        with pytest.raises(Refusal, match="for segmentation networks, and this run's network is DenseAutoencoder"):
            Evaluate(**arguments).run(load(tmp_path / "run"), tmp_path / "out")


def test_mirror_images_are_not_averaged_over_twice(run: Path, tmp_path: Path) -> None:
    model = load(run)
    model.task.network.average_flipped = True
    with pytest.raises(Refusal, match="averages over mirror images itself"):
        Evaluate(flip=True).run(model, tmp_path / "out")
