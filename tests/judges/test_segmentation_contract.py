"""What the tests of segmentation-models-pytorch ask of each of its networks, asked of ours.

Its tests/models/base.py: logits of the image's size for inputs of any number of channels, gradients in every parameter,
weights that load into a second network with equal results, and an export that computes the same.
"""

from typing import Any

import pytest
import torch
from tools import fits, own_models, tiny
from torch import Tensor

from scalian_exp.build import build_task

MODELS = [model for model in own_models() if fits(model)["task"] == "segmentation"]


def network_of(model: str) -> Any:
    """Return a tiny network of five classes."""
    return build_task(tiny(model, "dataset.image_size=[64,64]", "dataset.num_classes=5")).network


@pytest.mark.parametrize("model", MODELS)
def test_the_contract(model: str) -> None:
    network, x = network_of(model), torch.rand(2, 3, 64, 64)
    network.train()
    outputs = network(x)
    outputs = {"out": outputs} if isinstance(outputs, Tensor) else outputs  # FastFCN has other heads too
    assert outputs["out"].shape == (2, 5, 64, 64)
    sum(output.square().mean() for output in outputs.values()).backward()
    without = [name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not without
    network.eval()
    other = network_of(model)
    other.eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(other(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize("model", [pytest.param(m, marks=[] if m == "unet" else [pytest.mark.slow]) for m in MODELS])
def test_the_export_computes_the_same(model: str) -> None:
    network, x = network_of(model), torch.rand(2, 3, 64, 64)
    network.eval()
    with torch.no_grad():
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)
