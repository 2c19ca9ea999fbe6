"""Masks refined by the run's fully connected CRF with several weights and numbers of iterations."""

from collections.abc import Callable, Iterator
from copy import copy
from itertools import product
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.masks.scenes import middles
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.store import Store
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.segmentation import ious
from scalian_exp.networks.crf import DenseCRF, Filter
from scalian_exp.tasks.segmentation import Segmentation

PIXELS = 160_000
"""most pixels of all refined images together, unless one image alone has more"""
SCENES = 4
FACTORS = (0.0, 1 / 3, 1.0, 3.0)
"""factors by which the CRF's weights are multiplied"""

Example = tuple[Tensor, Tensor, Tensor]
"""image (1, C, H, W), labels (1, H, W) and logits (1, K, H, W)"""


def add_crf(task: Segmentation, examples: list[Example], store: Store, shrink: int) -> dict[str, Any]:
    """Store the masks refined at each point of a grid with their scores, and describe the grid.

    A CRF other than the package's has a grid of one point: itself.
    """
    crf: Any = task.crf
    pixels = examples[0][1].numel()
    examples = examples[: max(1, min(SCENES, PIXELS // pixels))]
    known = isinstance(crf, DenseCRF)
    weights = [crf.appearance_weight, crf.smoothness_weight] if known else []
    appearance, smoothness = [sorted({f * weight for f in FACTORS}) for weight in weights] or ([1.0], [1.0])
    steps = sorted({1, 2, 5, crf.iterations} - {0}) if known else [1]
    masks, scores, before = [], [], []
    for image, labels, logits in examples:
        rows, columns = (middles(size, shrink) for size in labels.shape[1:])
        before.append(score(task, logits.argmax(1), labels))
        for refined in (
            refinements(crf, image, logits, appearance, smoothness, steps) if known else [crf(logits, image)]
        ):
            predicted = refined.argmax(1)
            masks.append(predicted[0][rows[:, None], columns].cpu())
            scores.append(score(task, predicted, labels))
    grid = [len(examples), len(appearance), len(smoothness), len(steps)]

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("masks", torch.stack(masks), "u1")  # (scene, appearance, smoothness, step, row, column), flattened
        pack.add("ious", torch.stack(scores).nan_to_num(-1), "f4")
        pack.add("before", torch.stack(before).nan_to_num(-1), "f4")
        return {}

    return {
        "block": store.block("crf", fill),
        "known": known,
        "grid": grid,
        "appearance": appearance,
        "smoothness": smoothness,
        "steps": steps,
        "own": [values.index(own) for values, own in zip((appearance, smoothness), weights, strict=False)] or [0, 0],
        "extents": [crf.appearance_pixels, crf.appearance_colours, crf.smoothness_pixels] if known else None,
    }


def refinements(
    crf: DenseCRF, image: Tensor, logits: Tensor, appearance: list[float], smoothness: list[float], steps: list[int]
) -> Iterator[Tensor]:
    """Yield the marginals (1, K, H, W) at each point of the grid, the number of iterations varying fastest."""
    trial, filters = copy(crf), dict[int, Filter]()
    build: Callable[[Tensor], Filter] = crf.gaussian

    def kept(features: Tensor) -> Filter:
        """Build each of the two filters of this image once: they differ in their number of features."""
        size = features.shape[1]
        return filters[size] if size in filters else filters.setdefault(size, build(features))

    trial.gaussian = kept
    for trial.appearance_weight, trial.smoothness_weight, trial.iterations in product(appearance, smoothness, steps):
        yield trial(logits, image)


def score(task: Segmentation, predicted: Tensor, labels: Tensor) -> Tensor:
    """Return the IoU of each class (K,) on one image; NaN for classes that neither occur nor are predicted."""
    confusion = Confusion(task.num_classes)
    confusion.update(predicted, labels)
    return ious(confusion.compute()).cpu()
