"""Probabilities of the classes of an image that is drawn or chosen."""

from typing import Any

import torch

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.tasks.capabilities import Classifies
from scalian_exp.tasks.classification import Classification
from scalian_exp.tasks.offers import offers

ORDER = 50


def offered(run: Run) -> bool:
    """Return whether the network classifies images."""
    return run.of_images and (isinstance(run.task, Classification) or offers(run.network, Classifies))


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the classifier, image → probabilities of the classes, into the store."""
    images = run.images(store)
    classify = run.network.classify if offers(run.network, Classifies) else run.network
    x = run.batch("test", run.spread("test", 1))["image"]
    return {
        "images": images,
        "classify": store.program("classify", run.network, lambda _, image: torch.softmax(classify(image), 1), x),
        "names": run.class_names(run.network.num_classes),
        "error": run.facts["test"].get("error"),
    }
