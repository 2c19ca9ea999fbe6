"""Codes of images and their decodings, beside as many principal components."""

import math
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.figures.latent import principal_plane
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import has
from scalian_exp.tasks.variational import Variational

ORDER = 10
SHOWN = 1500
"""test codes shown in the plane, and test images behind the errors"""
MOST_VALUES = 40_000_000
"""most pixels in memory at once, of all images"""
MOST_OF_COMPONENTS = 2_000_000
"""most numbers in the principal components, which are left out beyond it"""
MOST_CORRELATED = 128
"""longest code whose covariance is on the page; of longer ones the numbers are drawn independently"""
FITTED = 6000
"""training images behind the principal components"""


def offered(run: Run) -> bool:
    """Return whether the network encodes images to codes and decodes codes."""
    return run.of_images and run.encodes and has(run.network, "decode")


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the encoder, the decoder and the plane of the codes into the store.

    Raises:
        Refusal: if the page can't compute the network's codes.
    """
    run.check_live()
    images = run.images(store)
    pixels_each = math.prod(run.shape)
    test = run.batch("test", run.spread("test", min(SHOWN, MOST_VALUES // pixels_each)))
    x = test["image"]
    codes = run.network.encode(x)
    encode = store.program("encode", run.network, lambda network, image: network.encode(image), x[:1])
    decode = store.program("decode", run.network, lambda network, z: probabilities(network.decode(z)), codes[:1])
    train = run.batch("train", run.spread("train", min(FITTED, MOST_VALUES // pixels_each)))["image"].flatten(1)
    fits = codes.shape[1] * pixels_each <= MOST_OF_COMPONENTS
    mean, components = principal_components(train, codes.shape[1] if fits else 0)
    pixels = x.flatten(1)
    of_pca = mean + (pixels - mean) @ components.T @ components
    own = probabilities(run.network.decode(codes)).flatten(1)
    middle, (_, axes) = codes.mean(0), principal_plane(codes)
    correlated = 1 < codes.shape[1] <= MOST_CORRELATED

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("points", (codes - middle) @ axes.T, "f4")
        pack.add("labels", test.get("label", torch.full((len(x),), -1)), "i4")
        pack.add("middle", middle, "f4")
        pack.add("axes", axes, "f4")
        pack.add("mean", codes.mean(0), "f4")
        pack.add("deviation", codes.std(0, correction=0), "f4")
        if correlated:
            covariance = torch.cov(codes.T.double(), correction=0)
            smallest = (1e-9 + 1e-6 * covariance.diagonal().mean()) * torch.eye(len(covariance)).double()
            pack.weights("spread", torch.linalg.cholesky(covariance + smallest))
        pack.add("pca_mean", mean, "f4")
        if len(components):
            pack.weights("pca", components)
        return {}

    return {
        "images": images,
        "encode": encode,
        "decode": decode,
        "plane": store.block("plane", fill),
        "size": codes.shape[1],
        "steps": run.steps,
        "pixels": pixels.shape[1],
        "components": len(components),
        "shown": len(x),
        "correlated": correlated,
        "prior": isinstance(run.task, Variational) and run.config["loss"].get("beta", 1) > 0,
        "error": float((own - pixels).square().sum(1).mean()),
        "pca_error": float((of_pca - pixels).square().sum(1).mean()),
    }


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the first `count` principal components (count, D) of rows (N, D); fewer if D is less."""
    mean = rows.mean(0)
    count = min(count, *rows.shape)
    if count == 0:
        return mean, rows[:0]
    components = torch.svd_lowrank(rows - mean, q=min(count + 10, *rows.shape), niter=4)[2][:, :count].T
    return mean, components
