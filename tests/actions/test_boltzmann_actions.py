"""Actions on a trained stack of RBMs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import STACK, network_after
from tools import read_csv, tiny

from scalian_exp.actions.action import data_of, examples
from scalian_exp.actions.classify import Classify
from scalian_exp.actions.compare_features import CompareFeatures, as_photos, imagenet_network
from scalian_exp.actions.complete import Complete
from scalian_exp.actions.denoise import Denoise
from scalian_exp.actions.filters import Filters
from scalian_exp.actions.sample import Sample
from scalian_exp.apply import apply
from scalian_exp.batches import called
from scalian_exp.checkpoint import load
from scalian_exp.networks.corruptions import SaltAndPepper
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.vocabulary.options import options


def test_an_unfinished_stack_is_not_sampled(tmp_path: Path) -> None:
    network_after(2, tmp_path / "stack")
    config: dict[str, Any] = {"run": str(tmp_path / "stack"), "device": "cpu", "trust": [], "dataset": {"root": None}}
    for name in ("sample", "complete", "denoise", "embed"):
        with pytest.raises(Refusal, match="upper 2 of this stack's layers"):
            apply({**config, "name": name, "action": options("action")[name]})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "run"
    train(tiny("dbn_labels", "dataset.image_size=[8, 8]", *STACK), folder)
    return folder


def test_a_stack_with_labels_classifies_by_free_energy(stack: Path, tmp_path: Path) -> None:
    model = load(stack)
    files = Classify(count=4).run(model, tmp_path)
    assert [file.name for file in files] == ["classes.csv", "classes.png"]
    x = examples(model, 4)["image"]
    energies = model.task.network.free_energies(model.task.network.means_above(x, 2))
    likeliest = [row["class"] for row in read_csv(files[0]) if row["rank"] == "1"]
    assert likeliest == [called(model.task.class_names, k) for k in energies.argmin(1).tolist()]


def test_actions_write_pictures(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load(stack)
    files = Sample(count=4, frames=3, label=2).run(model, tmp_path)
    with Image.open(files[1]) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    files += Filters(count=5).run(model, tmp_path)
    files += Complete(count=3, region="box").run(model, tmp_path)
    assert "PSNR" not in capsys.readouterr().out  # a good completion may be far from the original
    files += Denoise(SaltAndPepper(0.3), count=3).run(model, tmp_path)
    assert [file.name for file in files] == [
        *("samples.png", "chain.gif", "filters_layer_1.png", "filters_layer_2.png", "filters_layer_3.png"),
        *("completed.png", "denoised.png"),
    ]
    assert all(file.is_file() for file in files)
    with pytest.raises(Refusal, match="labels 0 to 9"):
        Sample(label=10).run(model, tmp_path)


@pytest.mark.parametrize(
    ("region", "missing"),
    [("bottom", 32), ("top", 32), ("left", 32), ("right", 32), ("box", 16)],
)
def test_a_region_is_masked(region: Any, missing: int) -> None:
    known = Complete(region=region).known(torch.zeros(2, 1, 8, 8))
    assert int((~known[0]).sum()) == missing
    if region == "left":
        assert not known[0, 0, 0, 0]
        assert known[0, 0, 0, 7]


def test_features_are_compared_and_unavailable_weights_reported(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: Any) -> None:
        raise ValueError("ImageNet weights can't be had (no network)")

    monkeypatch.setattr("scalian_exp.actions.compare_features.imagenet_weights", unreachable)
    CompareFeatures([None]).run(load(stack), tmp_path)
    rows = read_csv(tmp_path / "probe.csv")
    assert [row["representation"] for row in rows] == [
        "layer 1 (12)",
        "layer 2 (9)",
        "layer 3 (6)",
        "pca (48)",
        "pixels (64)",
    ]
    assert all(0 <= float(row["error"]) <= 1 for row in rows)
    output = capsys.readouterr().out
    assert "unavailable" in output
    assert "ImageNet's ResNet-18: ImageNet weights can't be had (no network)" in output


def test_transferred_features_are_those_of_the_resnet(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(1)
    resnet = resnet18().eval()
    monkeypatch.setattr("scalian_exp.actions.compare_features.imagenet_weights", lambda _: resnet.state_dict())
    action, model = CompareFeatures([None]), load(stack)
    features = action.transferred(imagenet_network(), model, data_of(model), "test")
    images = data_of(model).splits["test"].examples["image"].float() / 255
    with torch.no_grad():
        logits = resnet.fc(torch.from_numpy(np.asarray(features[:4])))
        torch.testing.assert_close(logits, resnet(as_photos(images[:4])), rtol=1e-3, atol=1e-4)
