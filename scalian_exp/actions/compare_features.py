"""What the features of each layer are good for, beside raw pixels, principal components and an ImageNet network."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.actions.action import prepared
from scalian_exp.actions.probe import Probe
from scalian_exp.actions.representations import Split, components
from scalian_exp.checkpoint import Loaded
from scalian_exp.networks.parts.backbones import imagenet_weights
from scalian_exp.tasks.capabilities import TrainedByLayers
from scalian_exp.tasks.offers import offers

SIDE = 64
"""pixels of the images that the ImageNet network sees: larger ones would take hours on a CPU"""


class CompareFeatures(Probe):
    """The probe's table and curve with more rows: each layer of the stack, and the features of an ImageNet network of
    torchvision (transfer learning), where its weights can be had."""

    def representations(self, model: Loaded, data: Any, train: Split, test: Split) -> dict[str, tuple[Any, Any] | str]:
        parts = [self.of_layers(model, data, split) for split in ("train", "test")]
        network = model.task.network
        trained = len(parts[0]) - (network.layers_untrained if offers(network, TrainedByLayers) else 0)
        found: dict[str, tuple[Any, Any] | str] = {
            f"layer {layer} ({train.shape[1]}{'' if layer <= trained else ', at random'})": (train, test)
            for layer, (train, test) in enumerate(zip(*parts, strict=True), start=1)
        }
        reduced = components(train.inputs, [test.inputs], min(50, train.inputs.shape[1]))
        found[f"pca ({reduced[0].shape[1]})"] = (reduced[0], reduced[1])
        found[f"pixels ({train.inputs.shape[1]})"] = (train.inputs, test.inputs)
        try:
            imagenet = imagenet_network().to(model.task.device)
        except ValueError as error:
            return {**found, "ImageNet's ResNet-18": str(error)}
        transferred = [self.transferred(imagenet, model, data, split) for split in ("train", "test")]
        found[f"ImageNet's ResNet-18 ({transferred[0].shape[1]})"] = (transferred[0], transferred[1])
        return found

    @torch.no_grad()
    def of_layers(self, model: Loaded, data: Any, split: str) -> list[np.ndarray]:
        """Codes (N, D) of each layer."""
        batches = (prepared(model, data, batch) for batch in data.loader(split))
        codes = [model.task.network.layer_codes(batch["image"]) for batch in batches]
        return [torch.cat(parts).float().cpu().numpy() for parts in zip(*codes, strict=True)]

    @torch.no_grad()
    def transferred(self, network: nn.Module, model: Loaded, data: Any, split: str) -> np.ndarray:
        """Features (N, 512) of an ImageNet network."""
        features = [network(as_photos(prepared(model, data, batch)["image"])) for batch in data.loader(split)]
        return torch.cat(features).float().cpu().numpy()


def imagenet_network() -> nn.Module:
    """torchvision's ResNet-18 up to its features.

    Raises:
        ValueError: if its weights can't be had.
    """
    from torchvision.models import ResNet18_Weights, resnet18

    network = resnet18()
    network.load_state_dict(imagenet_weights(ResNet18_Weights.IMAGENET1K_V1))
    network.fc = nn.Identity()
    return network.eval()


def as_photos(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] as ImageNet networks take them."""
    photos = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    photos = photos.expand(-1, 3, -1, -1) if photos.shape[1] == 1 else photos[:, :3]
    mean, deviation = (images.new_tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (photos - mean) / deviation
