"""New images from random codes of a generator, and the images between two codes."""

from typing import Any

import torch

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.tasks.offers import has

ORDER = 40


def offered(run: Run) -> bool:
    """Return whether the network has a generator of images from noise."""
    return run.of_images and has(run.network, "generator") and has(run.network, "noise")


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the generator, and a discriminator if there is one, into the store."""
    images = run.images(store)
    z = run.network.noise(1)
    judge = None
    if has(run.network, "discriminator"):
        x = run.batch("test", run.spread("test", 1))["image"]
        judge = store.program(
            "discriminator", run.network, lambda network, image: torch.sigmoid(network.discriminator(image)), x
        )
    return {
        "images": images,
        "generate": store.program("generator", run.network, lambda network, noise: network.generator(noise), z),
        "judge": judge,
        "size": z.shape[1],
    }
