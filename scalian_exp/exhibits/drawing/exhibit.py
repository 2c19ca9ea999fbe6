"""Images drawn in steps: the canvas after each, where the network looks and writes, and what each step costs."""

import math
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import THUMBNAILS, Run
from scalian_exp.exhibits.store import Store
from scalian_exp.networks.recurrent_vae import RecurrentVAE
from scalian_exp.tasks.capabilities import DrawsInSteps, Encodes
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.variational import Variational, kl_by_step

ORDER = 30
BYTES = 1_800_000
"""most bytes of canvases, before compression"""
MOST = 12
"""most test images, and most new ones"""
AVERAGED = 500
"""test images behind the mean KL of the steps"""
DRAWS = 8
"""codes drawn from q(z|x) for the KL of an image's steps"""


def offered(run: Run) -> bool:
    """Return whether the network is a variational one that draws images in steps."""
    variational = isinstance(run.task, Variational)
    return run.of_images and variational and offers(run.network, DrawsInSteps) and offers(run.network, Encodes)


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the canvases, windows and KL of some test images and of as many new ones into the store."""
    images, network = run.images(store), run.network
    available = min(THUMBNAILS, len(run.data.splits["test"]))
    count = max(1, min(MOST, available, BYTES // (2 * network.steps * math.prod(run.shape))))
    chosen = torch.linspace(0, available - 1, count).round().long()
    x = run.batch("test", run.spread("test", THUMBNAILS))["image"][chosen]
    many = run.batch("test", run.spread("test", AVERAGED))["image"]

    def fill(pack: Pack) -> dict[str, Any]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawings = {"copied": network.drawing(network.encode(x)), "invented": network.drawing(network.prior(count))}
            pack.add("kl", torch.stack([kl_of(network, image[None]) for image in x]), "f4")
            pack.add("kl_mean", kl_by_step(network(many)[1], network.steps), "f4")
        for name, drawing in drawings.items():
            canvases = probabilities(drawing.canvases).transpose(0, 1)
            start = probabilities(blank(network, drawing.canvases))[None, None].expand(count, -1, -1, -1, -1)
            pack.add(name, (255 * torch.cat([start, canvases], 1)).round(), "u1")
            for window, boxes in (("read", drawing.read), ("write", drawing.write)):
                if boxes is not None:
                    pack.add(f"{name}.{window}", boxes.transpose(0, 1).clamp(-1e4, 1e4), "f4")
        return {}

    test = run.facts["test"]
    return {
        "images": images,
        "block": store.block("drawing", fill),
        "chosen": chosen.tolist(),
        "ink": bool(store.blocks[images].about["ink"]),
        "steps": network.steps,
        "draws": DRAWS,
        "averaged": len(many),
        "windows": "copied.write" in store.blocks["drawing"].pack.index,
        "latents": network.encode(x[:1]).shape[1] // network.steps,
        "bound": test.get("neg_elbo"),
        "reconstruction": test.get("reconstruction"),
        "kl": test.get("kl"),
    }


def kl_of(network: Any, image: Tensor) -> Tensor:
    """Return the KL (steps,) of each step for an image (1, C, H, W), in nats: the mean over several codes."""
    return kl_by_step(network(image.expand(DRAWS, -1, -1, -1))[1], network.steps)


def blank(network: Any, canvases: Tensor) -> Tensor:
    """Return the logits (C, H, W) at which canvases (T, B, C, H, W) start; zeros unless the network defines them."""
    return network.blank.transpose(0, 1) if isinstance(network, RecurrentVAE) else torch.zeros_like(canvases[0, 0])
