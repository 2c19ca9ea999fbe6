"""Images completed pixel by pixel: the expected value, the cost in bits and the influences of each pixel."""

import math
from typing import Any

import torch

from scalian_exp.exhibits.pixels.live import facts_of, is_live, put, rows_above, sight
from scalian_exp.exhibits.pixels.made import make
from scalian_exp.exhibits.run import THUMBNAILS, Run
from scalian_exp.exhibits.store import Store
from scalian_exp.networks.parts.pixel_network import PixelNetwork
from scalian_exp.networks.pixel_multiscale import MultiScale
from scalian_exp.tasks.capabilities import SamplesByPixel
from scalian_exp.tasks.offers import has, offers

ORDER = 20
COPIES = 6
LIVE_IMAGES = 12
"""test images whose parts can be erased, where the network runs in the page"""
BYTES = 1_800_000
"""most bytes of completions made beforehand, before compression"""


def offered(run: Run) -> bool:
    """Return whether the network draws images pixel by pixel and predicts the next pixel of a given image."""
    return run.of_images and offers(run.network, SamplesByPixel) and has(run.network, "next_pixel")


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put a network that the page can run into the store, or else completions of some test images."""
    images, live, values = run.images(store), is_live(run.network), math.prod(run.shape)
    count = min(THUMBNAILS, len(run.data.splits["test"]))
    most = LIVE_IMAGES if live else max(1, min(6, BYTES // (20 * COPIES * values)))
    chosen = torch.linspace(0, count - 1, min(most, count)).round().long()
    x = run.batch("test", run.spread("test", THUMBNAILS))["image"][chosen]
    block = store.block("pixels", lambda pack: put(run.network, x[:2], pack) if live else make(run.network, x, pack))
    nll = run.facts["test"].get("nll")
    return {
        "images": images,
        "block": block,
        "live": live,
        "chosen": chosen.tolist(),
        "copies": COPIES,
        "levels": run.network.levels,
        "shape": list(run.shape),
        "ink": bool(store.blocks[images].about["ink"]),
        "stride": run.network.stride if isinstance(run.network, MultiScale) else None,
        "sight": sight(run.network),
        "nll": nll,
        "bits": None if nll is None else nll / math.log(2) / values,
        "above": rows_above(run.network) if isinstance(run.network, PixelNetwork) else None,
        "network": facts_of(run.network) if live else None,
    }
