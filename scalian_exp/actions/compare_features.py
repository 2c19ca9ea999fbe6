"""Compare the features of each layer with raw pixels, principal components and an ImageNet network."""

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
from scalian_exp.tasks.capabilities import CodesOfLayers, TrainedByLayers
from scalian_exp.tasks.offers import check_offers, offers

SIDE = 64
"""Side, in pixels, of the ImageNet network's inputs; larger images would take hours on a CPU."""


class CompareFeatures(Probe):
    """Linear probe of each layer of a stack, and of the features of an ImageNet network (transfer learning).

    Writes the same table and curve as `Probe`. The ImageNet network is torchvision's ResNet-18; without its weights it
    is left out.
    """

    def representations(self, model: Loaded, data: Any, train: Split, test: Split) -> dict[str, tuple[Any, Any] | str]:
        """Return the (training, test) features of layers, components, pixels and ImageNet's network, by name."""
        check_offers(model.task.network, CodesOfLayers, "model.network", "action=compare_features")
        parts = [self.of_layers(model, data, split) for split in ("train", "test")]
        network = model.task.network
        trained = len(parts[0]) - (network.layers_untrained if offers(network, TrainedByLayers) else 0)
        features: dict[str, tuple[Any, Any] | str] = {
            f"layer {layer} ({train.shape[1]}{'' if layer <= trained else ', untrained'})": (train, test)
            for layer, (train, test) in enumerate(zip(*parts, strict=True), start=1)
        }
        reduced = components(train.inputs, [test.inputs], min(50, train.inputs.shape[1]))
        features[f"pca ({reduced[0].shape[1]})"] = (reduced[0], reduced[1])
        features[f"pixels ({train.inputs.shape[1]})"] = (train.inputs, test.inputs)
        try:
            imagenet = imagenet_network().to(model.task.device)
        except ValueError as error:
            return {**features, "ImageNet's ResNet-18": str(error)}
        transferred = [self.transferred(imagenet, model, data, split) for split in ("train", "test")]
        features[f"ImageNet's ResNet-18 ({transferred[0].shape[1]})"] = (transferred[0], transferred[1])
        return features

    @torch.no_grad()
    def of_layers(self, model: Loaded, data: Any, split: str) -> list[np.ndarray]:
        """Return the codes (N, D) of each layer for all examples of a split."""
        batches = (prepared(model, data, batch) for batch in data.loader(split))
        codes = [model.task.network.layer_codes(batch["image"]) for batch in batches]
        return [torch.cat(parts).float().cpu().numpy() for parts in zip(*codes, strict=True)]

    @torch.no_grad()
    def transferred(self, network: nn.Module, model: Loaded, data: Any, split: str) -> np.ndarray:
        """Return the features (N, 512) of an ImageNet network for all examples of a split."""
        features = [network(as_photos(prepared(model, data, batch)["image"])) for batch in data.loader(split)]
        return torch.cat(features).float().cpu().numpy()


def imagenet_network() -> nn.Module:
    """Load torchvision's ResNet-18 without its last layer: photos (B, 3, H, W) → features (B, 512).

    Raises:
        ValueError: if its weights are not available.
    """
    from torchvision.models import ResNet18_Weights, resnet18

    network = resnet18()
    network.load_state_dict(imagenet_weights(ResNet18_Weights.IMAGENET1K_V1))
    network.fc = nn.Identity()
    return network.eval()


def as_photos(images: Tensor) -> Tensor:
    """Convert images (B, C, H, W) in [0, 1] to ImageNet inputs (B, 3, 64, 64), standardised per channel."""
    photos = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    photos = photos.expand(-1, 3, -1, -1) if photos.shape[1] == 1 else photos[:, :3]
    mean, deviation = (images.new_tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (photos - mean) / deviation
