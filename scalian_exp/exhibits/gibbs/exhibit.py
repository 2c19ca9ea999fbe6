"""Gibbs sampling in a Boltzmann machine or in the top one of a stack, perhaps with labels, followed by images."""

import math
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.gibbs.stack import pixels, program
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.networks.units import Bernoulli, Gaussian, Joined, Softmax, Units
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import BoltzmannNetwork

ORDER = 60
SHOWN = 484
"""hidden units that the page shows: a grid of 22 by 22"""
MEASURED = 2000
"""test images behind activities and free energies"""
POOL = 400
"""test images among which those that activate each unit most are searched"""
BYTES = 500_000
"""most bytes of these images on the page, before compression"""
BEST = 6
"""most activating images that are shown for each unit"""


def offered(run: Run) -> bool:
    """Return whether the network is a Boltzmann machine over images, or a stack of them."""
    return run.of_images and offers(run.network, BoltzmannNetwork)


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the machine, its filters, and its units' activity on test images into the store.

    Raises:
        Refusal: if the page doesn't know its units.
    """
    network, top = run.network, run.network.rbms[-1].uncentred()
    visible, hidden = kinds(top.visible, top.weight.shape[1]), kinds(top.hidden, top.weight.shape[0])
    lowest = kinds(network.rbms[0].visible, network.rbms[0].weight.shape[1])
    labels = visible[-1]["size"] if visible[-1]["kind"] == "softmax" else 0
    test = run.batch("test", run.spread("test", MEASURED))
    pool = run.batch("test", run.spread("test", max(BEST, min(POOL, BYTES // math.prod(run.shape)))))["image"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        states = seen(network, test, labels)
        noise = top.free_energy(top.visible.sample(torch.zeros(500, top.weight.shape[1]))).mean()
    energies, means = top.free_energy(states), network.encode(test["image"])
    activity = means.mean(0)
    filters = network.filters(len(network.rbms) - 1).flatten(1)
    kept = filters.norm(dim=1).argsort(descending=True)[:SHOWN]
    kept = kept[activity[kept].argsort(descending=True)]  # the busiest first
    blank = pixels(network, torch.zeros(1, *run.shape))[0]
    scale = 1 / (pixels(network, torch.ones(1, *run.shape))[0] - blank)

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("kept", kept, "i4")
        pack.add("filters", levels(filters[kept]), "i1")
        pack.add("activity", activity, "f4")
        pack.add("best", network.encode(pool)[:, kept].topk(min(BEST, len(pool)), 0).indices.T, "u2")
        pack.add("pool", (pool.clamp(0, 1) * 255).round(), "u1")
        pack.add("visible_bias", top.visible_bias, "f4")
        pack.add("label_weight", top.weight[:, len(top.visible_bias) - labels :], "f4")
        pack.add("pixel_scale", scale, "f4")
        pack.add("pixel_mean", -blank * scale, "f4")
        pack.add("states", states[:4], "f4")
        pack.add("energies", energies[:4], "f4")
        return {}

    low, middle, high = torch.quantile(energies, torch.tensor([0.05, 0.5, 0.95])).tolist()
    named = [name for name in run.facts["test"] if name.startswith("log_likelihood")]
    likelihood = next((name for name in named if not name.endswith(("low", "high"))), None)
    images = run.images(store)
    channels, height, width = run.shape
    return {
        "images": images,
        "ink": store.blocks[images].about["ink"],
        "channels": channels,
        "height": height,
        "width": width,
        "stack": program(run, store),
        "machine": store.block("machine", fill),
        "layers": [rbm.weight.shape[0] for rbm in network.rbms],
        "pixels": math.prod(run.shape),
        "units": {"lowest": lowest, "visible": visible, "hidden": hidden[0]["kind"]},
        "labels": labels,
        "shown": len(kept),
        "grid": math.ceil(math.sqrt(len(kept))),
        "best": min(BEST, len(pool)),
        "pool": len(pool),
        "measured": len(states),
        "active": float(means.sum(1).mean()),
        "energy": {"low": low, "middle": middle, "high": high, "noise": float(noise)},
        "likelihood": run.facts["test"].get(likelihood),
        "bound": "bound" in (likelihood or ""),
        "estimated": "ais" in (likelihood or ""),
        "density": network.standardised,
    }


def kinds(units: Units, size: int) -> list[dict[str, Any]]:
    """Return the page's names for the kinds of a layer's units, with the number of units of each kind.

    Raises:
        Refusal: if a kind can't run on the page.
    """
    if isinstance(units, Joined):
        return [*kinds(units.first, units.size), *kinds(units.second, size - units.size)]
    known = {Bernoulli: "bernoulli", Gaussian: "gaussian", Softmax: "softmax"}
    if type(units) not in known or (isinstance(units, Softmax) and units.classes != size):
        raise Refusal(
            f"{type(units).__name__} units can't run on a page, which draws binary, Gaussian and label units."
        )
    return [{"kind": known[type(units)], "size": size}]


def seen(network: Any, batch: dict[str, Tensor], labels: int) -> Tensor:
    """Return states of the top machine's visible units for examples, drawn where they are probabilities."""
    states = pixels(network, batch["image"])
    states = states if network.standardised else torch.bernoulli(states)
    for rbm in network.rbms[:-1]:
        states = rbm.hidden_sample(states)
    seen_by_top: Tensor = network.seen_by_top(states, batch["label"] if labels else None)
    return seen_by_top


def levels(filters: Tensor) -> Tensor:
    """Return filters (units, D) as integers −127 … 127; each unit's largest 1 % are clipped."""
    most = filters.abs().quantile(0.99, dim=1, keepdim=True).clamp_min(1e-9)
    return (filters / most).clamp(-1, 1).mul(127).round()
