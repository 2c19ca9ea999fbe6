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
from scalian_exp.networks.parts.efficientnet_lite0 import imagenet_features
from scalian_exp.tasks.capabilities import CodesOfLayers, TrainedByLayers
from scalian_exp.tasks.offers import check_offers, offers

SIDE = 112
"""Side, in pixels, of the ImageNet network's inputs: half of what it was trained on, in a quarter of the time."""
TRANSFERRED = "ImageNet's EfficientNet-Lite0"
FEATURES = 1280


class CompareFeatures(Probe):
    """Linear probe of each layer of a stack, and of the features of an ImageNet network (transfer learning).

    Writes the same table and curve as `Probe`. The ImageNet network is EfficientNet-Lite0, with the features that its
    classifier sees; without its weights, the extra `imagenet`, it is left out.
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
            imagenet = imagenet_features().to(model.task.device)
        except ValueError as error:
            return {**features, TRANSFERRED: str(error)}
        drawn, every = self.drawn(len(train.codes)), np.ones(len(test.codes), dtype=bool)
        transferred = [
            self.transferred(imagenet, model, data, split, chosen)
            for split, chosen in {"train": drawn, "test": every}.items()
        ]
        features[f"{TRANSFERRED} ({transferred[0].shape[1]})"] = (transferred[0], transferred[1])
        return features

    @torch.no_grad()
    def of_layers(self, model: Loaded, data: Any, split: str) -> list[np.ndarray]:
        """Return the codes (N, D) of each layer for all examples of a split."""
        batches = (prepared(model, data, batch) for batch in data.loader(split))
        codes = [model.task.network.layer_codes(batch["image"]) for batch in batches]
        return [torch.cat(parts).float().cpu().numpy() for parts in zip(*codes, strict=True)]

    def drawn(self, size: int) -> np.ndarray:
        """Return which of `size` training examples are in any draw of labelled ones, (size,), bool."""
        drawn = np.zeros(size, dtype=bool)
        most = max((size if n is None else n for n in self.labels if n is None or n <= size), default=0)
        drawn[np.concatenate(self.draws(size, most))] = True
        return drawn

    @torch.no_grad()
    def transferred(self, network: nn.Module, model: Loaded, data: Any, split: str, chosen: np.ndarray) -> np.ndarray:
        """Return the features (N, 1280) of an ImageNet network for the examples of a split that are chosen, (N,), bool.

        Those of the others are NaN: on a processor, a thousand take ten seconds.
        """
        features: list[Tensor] = []
        for batch, rows in zip(data.loader(split), torch.from_numpy(chosen).split(data.batch_size), strict=True):
            photos = as_photos(prepared(model, data, batch)["image"])[rows]
            part = photos.new_full((len(rows), FEATURES), torch.nan)
            if len(photos):
                part[rows] = network(photos).float()
            features.append(part)
        return torch.cat(features).cpu().numpy()


def as_photos(images: Tensor) -> Tensor:
    """Convert images (B, C, H, W) in [0, 1] to the ImageNet network's inputs, (B, 3, 112, 112) in [0, 1]."""
    photos = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    return photos.expand(-1, 3, -1, -1) if photos.shape[1] == 1 else photos[:, :3]
