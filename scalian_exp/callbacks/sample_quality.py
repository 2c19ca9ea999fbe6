"""Measure the quality of samples with a classifier that was trained on the same data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from scalian_exp.checkpoint import load
from scalian_exp.precision import widest
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import Encodes, Samples
from scalian_exp.tasks.classification import Classification
from scalian_exp.tasks.offers import offers

CHUNK = 500
"""number of samples drawn at once"""
SEED = 0
"""seed of the samples' noise"""


class Features(nn.Module):
    """A classifier's features in the form that torchmetrics expects."""

    def __init__(self, classifier: Any, num_features: int):
        super().__init__()
        self.classifier, self.num_features = classifier, num_features
        self.sums_on = torch.device("cpu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, num_features), on the device where they are summed."""
        return self.classifier.encode(x).to(self.sums_on)


class SampleQuality(pl.Callback):
    """Compare samples with the test split in the feature space of a classifier, during the test.

    `frechet_distance` is the distance of two Gaussians fitted to the features (Heusel et al. 2017, but with features of
    the judge instead of Inception: comparable only under the same judge). `classes_covered` is the number of classes to
    which the judge assigns at least a tenth of a fair share of the samples. The noise is the same each time.

    Args:
        judge: a run of model=classifier on the same data set.
        samples: number of samples; the distance has a bias that shrinks with it.
        trust: third-party packages that the judge may name.

    Raises:
        Refusal: if there is no such judge, or it isn't a classifier.
    """

    def __init__(self, judge: str, samples: PositiveInt = 10_000, trust: Sequence[str] = ()):
        self.judge, self.samples = judge, samples
        if samples < 2:
            raise Refusal(f"samples={samples}: a covariance needs at least two samples, and a useful one thousands.")
        if not Path(judge).exists():
            raise Refusal(f"There is no judge {judge}; give a run of model=classifier on the same data set.")
        loaded = load(judge, trust=trust)
        self.facts = loaded.config["dataset"]
        if not (isinstance(loaded.task, Classification) and offers(loaded.task.network, Encodes)):
            raise Refusal(f"{judge} is a {type(loaded.task.network).__name__}; judge by a run of model=classifier.")
        self.classifier: Any = loaded.task.network
        example = torch.zeros(1, self.facts["in_channels"], *self.facts["image_size"])
        with torch.no_grad():
            features = self.classifier.encode(example).shape[1]
        self.features = Features(self.classifier, features)
        self.metric = FrechetInceptionDistance(self.features)

    def check(self, task: Any, data: Any) -> None:
        """Refuse networks that can't sample and judges of other data, before the run folder is claimed.

        Raises:
            Refusal: if the network can't sample, or the judge learned from another data set.
        """
        if not offers(task.network, Samples):
            raise Refusal(
                f"callbacks=sample_quality needs a network that samples, and {type(task.network).__name__} doesn't; "
                "use callbacks=default."
            )
        shape, name = (self.facts["in_channels"], *self.facts["image_size"]), self.facts["_target_"].rpartition(".")[2]
        theirs, ours = (name, shape), (type(data).__name__, data.shape)
        if theirs != ours:
            raise Refusal(
                f"{self.judge} classifies images of {name}, {shape}, but these are of {ours[0]}, {ours[1]}; judge by a "
                "run of model=classifier on the same data set."
            )

    def on_test_start(self, trainer: Any, task: Any) -> None:
        """Move the judge to the task's device, and torchmetrics' sums if it has double precision, in which they are."""
        self.features.sums_on = task.device if widest(task.device) == torch.float64 else torch.device("cpu")
        self.metric.to(self.features.sums_on).reset()
        self.classifier.to(task.device)

    def on_test_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        """Add the features of test images."""
        self.metric.update(batch["image"].float(), real=True)

    def on_test_epoch_end(self, trainer: Any, task: Any) -> None:
        """Draw samples and log both metrics."""
        counts: Any = 0
        with isolate_rng():
            torch.manual_seed(SEED)
            for start in range(0, self.samples, CHUNK):
                images = task.network.sample(min(CHUNK, self.samples - start)).float()
                self.metric.update(images, real=False)
                logits = self.classifier(images)
                counts = counts + torch.bincount(logits.argmax(1), minlength=logits.shape[1])
        quality = {"frechet_distance": self.metric.compute().float(), "classes_covered": covered(counts).float()}
        task.log_dict({f"test/{name}": value for name, value in quality.items()})


def covered(counts: Tensor) -> Tensor:
    """Return how many classes have at least a tenth of a fair share of samples, given their counts (K,)."""
    return (counts >= counts.sum() / len(counts) / 10).sum()
