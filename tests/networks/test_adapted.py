"""Segmentation networks of other libraries train, load with trust, and are applied to images of any size."""

from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import segmentation_models_pytorch
import torch
from tools import OF_OTHER_LIBRARIES, ONE_STEP, composed, names, tiny
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from scalian_exp.build import build
from scalian_exp.checkpoint import load
from scalian_exp.networks.adapted import Adapted
from scalian_exp.networks.parts.exported import class_logits
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

PACKAGES = {"smp_unet": "segmentation_models_pytorch", "torchvision_deeplab": "torchvision.models"}


class Pooling(nn.Module):
    """Says which sizes it was given, and refuses those that 4 doesn't divide."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.norm = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        assert all(side % 4 == 0 for side in x.shape[-2:])
        logits = self.classes(x)
        return {"out": logits, "aux": logits + self.norm(logits.mean((2, 3), keepdim=True))}


def test_an_adapted_network_sees_standardised_images_of_suitable_sizes() -> None:
    inner = Pooling()
    network = Adapted(inner, 2, total_stride=4)
    x = torch.rand(1, 2, 5, 10)
    outputs = network(x)  # a single image in training, whose batch norm sees one value
    assert {name: tuple(logits.shape) for name, logits in outputs.items()} == {
        "out": (1, 3, 5, 10),
        "aux": (1, 3, 5, 10),
    }
    expected = inner.classes((x - 0.45) / 0.225)
    assert torch.allclose(class_logits(network.eval(), x), expected, atol=1e-5)


def test_batches_of_one_image_leave_the_statistics_of_pooled_values_alone() -> None:
    """A single value has no variance: averaged in, it would shrink the running one at each step."""
    inner = Pooling()
    network = Adapted(inner, 2, total_stride=4)
    for _ in range(3):
        network(torch.rand(1, 2, 8, 8))
    assert torch.equal(inner.norm.running_var, torch.ones(3))
    x = torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(network(x)["aux"], network.eval()(x)["aux"])  # type: ignore[index]


def test_torchvisions_network_computes_the_same_in_its_adapter() -> None:
    node = composed("model=torchvision_deeplab", "dataset=fake_masks").model.network
    torch.manual_seed(0)
    network = build("model.network", {**node, "network": {**node.network, "num_classes": 4}, "in_channels": 3}).eval()
    torch.manual_seed(0)
    theirs = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    x = torch.rand(1, 3, 64, 96)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(class_logits(network, x), theirs((x - mean) / std)["out"], atol=1e-5)
        assert class_logits(network, torch.rand(2, 3, 33, 47)).shape == (2, 4, 33, 47)


def test_an_adapted_network_may_have_statistics_of_its_own() -> None:
    inner, x = Pooling(), torch.rand(1, 2, 4, 4)
    outputs = Adapted(inner, 2, 4, mean=[0.5, 0.25], std=[1.0, 0.5])(x)
    expected = inner.classes((x - torch.tensor([0.5, 0.25]).view(2, 1, 1)) / torch.tensor([1.0, 0.5]).view(2, 1, 1))
    torch.testing.assert_close(outputs["out"], expected)  # type: ignore[index]
    with pytest.raises(ValueError, match="mean has 4 numbers for 2 channels"):
        Adapted(inner, 2, mean=[0.5] * 4)
    with pytest.raises(ValueError, match="mean has 3 numbers for 1 channels"):  # ImageNet's alone are averaged
        Adapted(inner, 1, mean=[0.13] * 3)
    with pytest.raises(ValueError, match="deviations are positive"):
        Adapted(inner, 2, std=[1.0, 0.0])


class Fetching(Pooling):
    """Fetches weights when it is built, and counts how often."""

    fetched = 0

    def __init__(self, encoder_weights: str | None = "imagenet") -> None:
        super().__init__()
        if encoder_weights is None:
            return
        if encoder_weights != "imagenet":
            raise OSError("no route to the hub.\nmore")
        Fetching.fetched += 1
        nn.init.constant_(self.classes.weight, 7.0)


def test_published_weights_are_fetched_only_to_start_a_training(tmp_path: Path) -> None:
    def started(weights: str) -> Any:
        config = tiny("smp_unet", *ONE_STEP)
        inner = {"_target_": f"{__name__}.{Fetching.__name__}", "_partial_": True, "encoder_weights": weights}
        config["model"] |= {"num_classes": 3, "optimizer": {**config["model"]["optimizer"], "lr": 1e-9}}
        config["model"]["network"] |= {"network": inner, "in_channels": 2}
        config["dataset"] |= {"num_classes": 3, "in_channels": 2}
        return config

    config = started("imagenet")
    train(config, tmp_path / "run")
    assert Fetching.fetched == 1
    assert float(load(tmp_path / "run", trust=__name__).network.network.classes.weight[0, 0]) == pytest.approx(7)
    config["trainer"]["max_epochs"] = 2
    train(config, tmp_path / "run")  # resumed
    assert Fetching.fetched == 1
    with pytest.raises(Refusal, match=r"encoder_weights can't be had \(no route to the hub\); fetch them where"):
        train(started("unreachable"), tmp_path / "refused")


def test_weights_that_a_library_fetches_by_default_wait_for_a_training_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fetching, "fetched", 0)
    network = Adapted(Fetching, 2)
    assert (network.pretrained, Fetching.fetched) == (True, 0)
    network.load_pretrained()
    assert Fetching.fetched == 1
    assert float(network.network.classes.weight[0, 0]) == 7  # type: ignore[union-attr, index]
    assert not Adapted(partial(Fetching, encoder_weights=None), 2).pretrained
    assert not Adapted(Pooling, 2).pretrained


def test_torchvisions_backbone_is_not_fetched_to_load_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    network = Adapted(partial(deeplabv3_mobilenet_v3_large, num_classes=4), 3)
    with pytest.raises(ValueError, match=r"weights_backbone can't be had \(.*no network.*fetch them where there is a"):
        network.load_pretrained()


@pytest.mark.parametrize(
    ("weights", "reason"),
    [("COCO_WITH_VOC_LABELS_V1", r"ValueError: The parameter 'num_classes' expected value 21"), ("COCO", "KeyError: ")],
)
def test_weights_that_do_not_suit_a_network_are_not_worth_fetching(weights: str, reason: str) -> None:
    network = Adapted(partial(deeplabv3_mobilenet_v3_large, num_classes=4, weights=weights), 3)
    with pytest.raises(ValueError, match=rf"network\.weights.* are refused by the library \({reason}") as caught:
        network.load_pretrained()
    assert "fetch them" not in str(caught.value)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (partial(segmentation_models_pytorch.Unet, "resnet1"), "KeyError: .*Wrong encoder name `resnet1`"),
        (partial(deeplabv3_mobilenet_v3_large, weights_backbone=None, num_classes=-1), "RuntimeError: .*negative"),
        (partial(segmentation_models_pytorch.Unet, activation="softmax2d"), "activation=softmax2d makes probabilities"),
    ],
)
def test_arguments_that_a_library_refuses_end_in_a_sentence(build: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Adapted(build, 3)


@pytest.mark.parametrize(
    ("network", "got"),
    [
        (partial(segmentation_models_pytorch.Unet, encoder_weights=None, aux_params={"classes": 2}), "returns a tuple"),
        (nn.Conv2d(3, 2, 4, stride=4), r"returns \(2, 2, 16, 16\) as out of images \(2, 3, 64, 64\)"),
    ],
)
def test_networks_that_return_something_else_than_maps_are_refused(network: Any, got: str) -> None:
    with pytest.raises(Refusal, match=got):
        Adapted(network, 3)(torch.rand(2, 3, 64, 64))


def test_arguments_that_a_network_lacks_are_named() -> None:
    def needing(classes: int) -> nn.Module:
        raise AssertionError(classes)

    with pytest.raises(ValueError, match="needing can't be called like this: missing a required argument: 'classes'"):
        Adapted(needing, 3)


def test_every_network_of_another_library_is_tested_here() -> None:
    wrapped = {name for name in names("model") if "networks.adapted" in str(composed(f"model={name}").model)}
    assert wrapped == OF_OTHER_LIBRARIES == PACKAGES.keys()


@pytest.mark.parametrize("model", sorted(PACKAGES))
def test_it_trains_and_loads_with_trust(model: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[model], reason=f"another library's network: {PACKAGES[model]}")
    steps = [f"trainer.limit_{split}_batches=1" for split in ("train", "val", "test")]
    metrics = train(tiny(model, *steps), tmp_path / "run")
    assert 0 <= metrics["test/miou"] <= 1
    with pytest.raises(Refusal, match=f"add trust={PACKAGES[model]} "):
        load(tmp_path / "run")
    network = load(tmp_path / "run", trust=PACKAGES[model]).network
    classes = class_logits(network, torch.rand(1, 3, 32, 32)).shape[1]
    assert class_logits(network, torch.rand(1, 3, 45, 70)).shape == (1, classes, 45, 70)
