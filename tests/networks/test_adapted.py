"""Segmentation networks of other libraries train, load with trust, and are applied to images of any size."""

from pathlib import Path

import pytest
import torch
from tools import OF_OTHER_LIBRARIES, composed, names, tiny
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
