"""The learned examples nearest to an image, by code and by pixels."""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run, add_images
from scalian_exp.exhibits.store import Store

ORDER = 30
MOST, MOST_BYTES = 3000, 2_000_000
"""training examples on the page, and bytes of their pixels, or of their codes"""
QUERIES, NEIGHBOURS = 1000, 10


def offered(run: Run) -> bool:
    """Return whether the network encodes images."""
    return run.of_images and run.encodes


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the encoder and the codes of some training examples into the store; measure the precision among these.

    Raises:
        Refusal: if the page can't compute the network's codes.
    """
    run.check_live()
    images = run.images(store)
    test = run.batch("test", run.spread("test", QUERIES))
    asked = run.network.encode(test["image"]).flatten(1)
    each = max(math.prod(run.shape), 2 * asked.shape[1])  # bytes of its pixels or of its code
    train = run.batch("train", run.spread("train", min(MOST, MOST_BYTES // each)))
    learned = run.network.encode(train["image"]).flatten(1)

    def fill(pack: Pack) -> dict[str, Any]:
        add_images(pack, train)
        pack.weights("codes", learned)
        return {"count": len(learned)}

    precision = None
    if run.classes and "label" in train:
        shares = {
            "code": precision_at(learned, asked, train["label"], test["label"]),
            "pixels": precision_at(train["image"].flatten(1), test["image"].flatten(1), train["label"], test["label"]),
        }
        precision = {**shares, "chance": by_chance(train["label"], test["label"])}
    x = test["image"][:1]
    return {
        "images": images,
        "encode": store.program("encode", run.network, lambda network, image: network.encode(image), x),
        "learned": store.block("learned", fill),
        "count": len(learned),
        "trained": len(run.data.splits["train"]),
        "queries": len(asked),
        "size": learned.shape[1],
        "neighbours": NEIGHBOURS,
        "precision": precision,
    }


def precision_at(learned: Tensor, asked: Tensor, labels: Tensor, wanted: Tensor) -> float:
    """Return the share of each query's nearest examples, by cosine, that are of its class, in [0, 1]."""
    cosines = F.normalize(asked.float()) @ F.normalize(learned.float()).T
    nearest = cosines.topk(min(NEIGHBOURS, len(learned))).indices
    return float((labels[nearest] == wanted.unsqueeze(1)).float().mean())


def by_chance(labels: Tensor, wanted: Tensor) -> float:
    """Return the share of pairs of a learned and a test example that are of the same class."""
    return float((labels.unsqueeze(0) == wanted.unsqueeze(1)).float().mean())
