"""Weights from files: of torchvision, timm and this package, and what is refused."""

import logging
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from harm import Evil
from tools import tiny

from scalian_exp.checkpoint import load
from scalian_exp.networks.deeplab import DeepLabV3
from scalian_exp.networks.parts.backbones import ResNet
from scalian_exp.networks.parts.weights import read_weights
from scalian_exp.networks.unet import UNet
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

timm = pytest.importorskip("timm", reason="pip install 'scalian-exp[timm]'")

from timm.models import load_state_dict  # noqa: E402

from scalian_exp.networks.parts.timm_encoder import TimmEncoder  # noqa: E402


def standardised(encoder: Any, x: torch.Tensor) -> torch.Tensor:
    return (x - encoder.standardise.mean) / encoder.standardise.std


@pytest.mark.parametrize(
    ("name", "suffix"), [("test_efficientnet", ".pth"), ("test_convnext", ".safetensors"), ("test_vit", ".pth")]
)
def test_an_encoder_from_a_file_computes_what_timms_model_with_these_weights_does(
    name: str, suffix: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    theirs = timm.create_model(name).eval()
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}, "epoch": 3}, file)
    else:
        pytest.importorskip("safetensors.torch").save_file(theirs.state_dict(), file)
    torch.manual_seed(2)
    encoder = TimmEncoder(3, name=name, pretrained=str(file)).eval()
    x = torch.rand(1, 3, 160, 160)
    deepest = theirs.forward_intermediates(standardised(encoder, x), intermediates_only=True)
    assert not torch.allclose(encoder(x)[-1], deepest[-1], atol=1e-3)
    encoder.load_pretrained()
    with torch.no_grad():
        assert torch.allclose(encoder(x)[-1], deepest[-1], atol=1e-4)


def test_torchvisions_weights_fit_its_resnet_and_timms(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from torchvision.models import resnet50

    torch.save(resnet50().state_dict(), tmp_path / "resnet50.pth")
    with caplog.at_level(logging.INFO):
        ours = DeepLabV3(3, 5, pretrained=str(tmp_path / "resnet50.pth"))
        ours.load_pretrained()
        other = DeepLabV3(
            3, 5, backbone=partial(TimmEncoder, name="resnet50", pretrained=str(tmp_path / "resnet50.pth"))
        )
        other.load_pretrained()
    first, second = caplog.messages
    assert "318 of 318 tensors of ResNet matched; not in the file: none; unused: fc.weight, fc.bias" in first
    assert "318 of 318 tensors of FeatureListNet matched" in second
    assert torch.equal(ours.backbone.layer4[2].conv3.weight, other.backbone.body.layer4[2].conv3.weight)


def test_a_checkpoint_of_this_package_starts_another_network(tmp_path: Path) -> None:
    build = partial(TimmEncoder, name="test_efficientnet")
    trained = UNet(3, 5, 1 / 16, padded=True, backbone=build)
    state = {f"network.{name}": value for name, value in trained.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "best.ckpt")
    other = DeepLabV3(3, 7, width=1 / 16, backbone=partial(build, pretrained=str(tmp_path / "best.ckpt")))
    other.load_pretrained()
    x = torch.rand(1, 3, 64, 64)
    theirs = dict(trained.eval().backbone.body.state_dict())
    assert all(torch.equal(value, theirs[name]) for name, value in other.backbone.body.state_dict().items())
    assert other(x.repeat(2, 1, 1, 1)).shape == (2, 7, 64, 64)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def refused(contents: Any, message: str, width: float = 1 / 32) -> None:
        torch.save(contents, tmp_path / "file.pth")
        network = ResNet(3, 50, width, pretrained=str(tmp_path / "file.pth"))
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with pytest.raises(ValueError, match=message) as caught:
            network.load_pretrained()
        assert "\n" not in str(caught.value)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    refused({"x.weight": torch.ones(2, 2)}, r"nothing in .*file.pth has the name .*there: x.weight; here: conv1.weight")
    refused({"bn1.weight": torch.ones(2)}, "nothing in")  # a scale alone is no encoder
    refused(ResNet(3, 50, 1 / 16).state_dict(), re.escape("conv1.weight is 4×3×7×7 there and 2×3×7×7 here"))
    refused({"epoch": 1}, "holds no tensors")
    refused([1, 2], "holds no tensors")
    refused({"a": Evil(tmp_path / "harm")}, "holds more than tensors")
    assert not (tmp_path / "harm").exists()


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name, content in (
        ("cut.pth", b"nothing of the kind"),
        ("text.pth", b"hello"),
        ("empty.pth", b""),
        ("cut.safetensors", b"nothing of the kind"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"gone.pth, which pretrained=… names, is not a file"):
        read_weights(tmp_path / "gone.pth")


@pytest.mark.parametrize("average", ["state_dict_ema", "model_ema"])
def test_averaged_weights_are_taken_as_timm_takes_them(average: str, tmp_path: Path) -> None:
    for plain in ("state_dict", "model"):
        torch.save({plain: {"a": torch.zeros(1)}, average: {"a": torch.ones(1)}}, tmp_path / "both.pth")
        assert read_weights(tmp_path / "both.pth") == load_state_dict(tmp_path / "both.pth") == {"a": torch.ones(1)}


def test_without_a_network_the_hubs_weights_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(*arguments: Any, **named: Any) -> Any:
        if named.get("pretrained"):
            raise FileNotFoundError("no route to the hub.\nmore")
        return create(*arguments, **named)

    monkeypatch.setattr(timm, "create_model", offline)
    encoder = TimmEncoder(3, name="resnet18", pretrained=True)
    with pytest.raises(ValueError, match=r"resnet18 can't be downloaded \(no route to the hub\).*pretrained=<file>"):
        encoder.load_pretrained()


def test_weights_from_the_hub_are_those_that_timm_fits_to_the_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = timm.create_model, []

    def downloaded(*arguments: Any, **named: Any) -> Any:
        made.append(create(*arguments, **{**named, "pretrained": False}))
        return made[-1]

    encoder = TimmEncoder(1, name="test_efficientnet", pretrained=True)
    monkeypatch.setattr(timm, "create_model", downloaded)
    encoder.load_pretrained()
    assert torch.equal(encoder.body.conv_stem.weight, made[0].conv_stem.weight)
    assert made[0].conv_stem.weight.shape[1] == 1


def test_a_run_loads_and_resumes_without_the_file_that_it_started_from(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    chosen = ["model/network/backbone=timm", "model.network.backbone.name=test_efficientnet"]
    steps = [f"trainer.limit_{split}_batches=1" for split in ("train", "val", "test")]
    config = tiny("unet", *chosen, f"model.network.backbone.pretrained={file}", *steps, "model.optimizer.lr=1e-9")
    with pytest.raises(Refusal, match=r"model.network: .*weights.pth, which pretrained=… names, is not a file"):
        train(config, tmp_path / "refused")
    with pytest.raises(Refusal, match="pretrained= names no file"):  # as after an unset variable of the shell
        train(tiny("unet", *chosen, "model.network.backbone.pretrained=", *steps), tmp_path / "refused")
    theirs = timm.create_model("test_efficientnet").state_dict()
    torch.save(theirs, file)
    train(config, tmp_path / "run")
    file.unlink()
    config["trainer"]["max_epochs"] = 2
    assert train(config, tmp_path / "run")["epochs"] == 2
    stem = load(tmp_path / "run").network.backbone.body.conv_stem.weight
    assert torch.allclose(stem, theirs["conv_stem.weight"], atol=1e-6)


def test_without_timm_its_encoders_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"pip install 'scalian-exp\[timm\]'"):
        TimmEncoder(3, name="resnet18")
