"""How far images are from test images, in the features of a classifier."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from scalian_exp.callbacks.sample_quality import Features, covered
from scalian_exp.exhibits.run import Run
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import Encodes
from scalian_exp.tasks.classification import Classification
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import offers

CHUNK = 500
"""images in memory at once"""


class Judge:
    """A classifier that compares images with test images, as callbacks=sample_quality does.

    Args:
        name: of its run.
        run: the run.

    Raises:
        Refusal: if it isn't a classifier.
    """

    def __init__(self, name: str, run: Run):
        self.network: Any = run.network
        if not (isinstance(run.task, Classification) and offers(run.network, Encodes)):
            raise Refusal(f"{name} is a {run.facts['model']}; judge by a run of model=classifier.")
        image = run.batch("test", torch.tensor([0]))["image"]
        features, self.classes = self.network.encode(image).shape[1], self.network(image).shape[1]
        self.metric = FrechetInceptionDistance(Features(self.network, features), reset_real_features=False)

    def expect(self, images: Tensor) -> None:
        """Take the images (N, C, H, W) with which others are compared."""
        for chunk in images.split(CHUNK):
            self.metric.update(chunk.float(), real=True)

    def distance(self, images: Tensor) -> float:
        """Return the Fréchet distance of images (N, C, H, W) in [0, 1]."""
        self.metric.reset()
        for chunk in images.split(CHUNK):
            self.metric.update(chunk.float(), real=False)
        return float(self.metric.compute())

    def judged(self, network: Any, codes: Tensor) -> dict[str, float]:
        """Return the distance of the images that codes (N, D) give, and to which classes they are assigned.

        `classes_covered` is the number of classes with at least a tenth of a fair share, `most` the largest share.
        """
        images = torch.cat([probabilities(network.decode(chunk)) for chunk in codes.split(CHUNK)])
        logits = torch.cat([self.network(chunk) for chunk in images.split(CHUNK)])
        counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
        return {
            "frechet_distance": self.distance(images),
            "classes_covered": int(covered(counts)),
            "most": float(counts.max() / len(images)),
        }
