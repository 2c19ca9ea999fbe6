"""Pixels that are often on together: data against the models of Boltzmann machines.

Settings:
    runs: {run: its label}, machines over the same images.

Facts: `runs`, by name, each with how well the frequencies of pairs of pixels in the machine's own samples agree with
those in test images: `difference`, `correlation` and `covariance_correlation`; and `reference`, the same of training
images: what is left between two samples of the data.
"""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.course.comparison import Trained, check_same_data
from scalian_exp.course.comparisons.pairs.agreement import agreement, density, frequencies, highest, telling
from scalian_exp.course.facts import both
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import BoltzmannNetwork

IMAGES = 1000
"""test images, training images, and chains of each machine"""
STEPS = 500
"""Gibbs steps of each chain, from independent pixels"""


def take(runs: dict[str, Trained], settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Put test images and samples of each machine into the store, and return how their pairs of pixels agree.

    Raises:
        Refusal: if a run is no machine of binary grey images, or if runs don't read the same ones.
    """
    chosen = {name: runs[name].run for name in settings["runs"]}
    for name, run in chosen.items():
        if not (run.of_images and offers(run.network, BoltzmannNetwork)) or run.network.standardised:
            raise Refusal(f"{name} ({run.facts['model']}) is no Boltzmann machine of binary pixels, as pairs needs.")
        if run.shape[0] != 1:
            raise Refusal(f"images of {run.shape[0]} channels have no single pixels to pair; grey ones have.")
    check_same_data({name: runs[name] for name in chosen})
    first = next(iter(chosen.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        test, train = (drawn(first.batch(split, first.spread(split, IMAGES))["image"]) for split in ("test", "train"))
        samples = {name: drawn(run.network.sample(len(test), STEPS)) for name, run in chosen.items()}
    data = frequencies(test)
    of_machines = {name: frequencies(states) for name, states in samples.items()}
    most = highest([data, *of_machines.values()])

    def fill(pack: Pack) -> dict[str, Any]:
        for name, states in ({"": test} | samples).items():
            pack.add(f"states.{name}", states, "u1")
        for name, model in of_machines.items():
            pack.add(f"density.{name}", density(data, model, most), "u1")
        return {}

    return {
        "block": store.block("pairs", fill),
        "height": first.shape[1],
        "width": first.shape[2],
        "images": len(test),
        "steps": STEPS,
        "most": most,
        "start": telling(data),
        "reference": agreement(data, frequencies(train)),
        "runs": {
            name: {"label": both(settings["runs"][name]), **agreement(data, model)}
            for name, model in of_machines.items()
        },
    }


def drawn(images: Tensor) -> Tensor:
    """Return states (N, H·W), 0 or 1, of images (N, 1, H, W) whose pixels are states or probabilities."""
    return torch.bernoulli(images.flatten(1).clamp(0, 1))
