"""Planes of codes of several networks, and the same random codes through all of them.

Settings:
    runs: {run: its label}; their codes have two numbers.
    judge: run of a classifier, by whose features random images are compared with test images.

Facts: `real`, the Fréchet distance between training and test images, and `runs`, by name: `outside`, the share of test
codes beyond −4 … 4; `reconstructed`, the Fréchet distance of the test images' own reconstructions; and `standard` and
`fitted`, for codes drawn from N(0, 1) and from the normal distribution fitted to the test codes: `holes`, the share of
them in holes; `frechet_distance`; `classes_covered`, as callbacks=sample_quality counts them; and `most`, the largest
class's share.
"""

import math
from typing import Any

import torch
from torch import Tensor

from scalian_exp.course.comparison import Trained, check_same_data
from scalian_exp.course.comparisons.planes.holes import share_in_holes, spacing
from scalian_exp.course.comparisons.planes.judge import Judge
from scalian_exp.course.facts import both
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import has

SHOWN = 1500
"""test codes in the plane, from which holes are told, and images of each kind behind a Fréchet distance, whose bias
depends on their number"""
DRAWN = 1000
"""random codes among which those in holes are counted"""
REACH = 4.0
"""end of the axes: N(0, 1) reaches farther once in 16,000 numbers"""


def take(runs: dict[str, Trained], settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Put each network's test codes and its decoder into the store, and return what random codes give.

    Raises:
        Refusal: if a network has no codes of two numbers, or if runs don't read the same images.
    """
    chosen = {name: runs[name] for name in settings["runs"]}
    for name, trained in chosen.items():
        check_codes(name, trained.run)
    check_same_data(chosen | {settings["judge"]: runs[settings["judge"]]})
    run = next(iter(chosen.values())).run
    indices = run.spread("test", SHOWN)
    test = run.batch("test", indices)
    codes = {name: trained.run.network.encode(test["image"]).float() for name, trained in chosen.items()}
    judge = Judge(settings["judge"], runs[settings["judge"]].run)
    judge.expect(test["image"])

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("labels", test.get("label", torch.full((len(indices),), -1)), "i4")
        for name, own in codes.items():
            pack.add(name, own, "f4")
        return {}

    return {
        "block": store.block("planes", fill),
        "shape": list(run.shape),
        "ink": run.on_paper,
        "names": run.class_names(run.classes),
        "classes": judge.classes,
        "shown": len(indices),
        "drawn": DRAWN,
        "reach": REACH,
        "real": judge.distance(run.batch("train", run.spread("train", len(indices)))["image"]),
        "runs": {
            name: {
                "label": both(settings["runs"][name]),
                "decode": decoder(name, trained.run, codes[name], store),
                **of_codes(trained.run.network, codes[name], judge),
            }
            for name, trained in chosen.items()
        },
    }


def check_codes(name: str, run: Run) -> None:
    """Check that a run's network encodes images to codes of two numbers, and decodes these.

    Raises:
        Refusal: if not.
    """
    if not (run.of_images and run.encodes and has(run.network, "decode")):
        raise Refusal(f"{name} ({run.facts['model']}) has no codes to decode, as the comparison planes needs.")
    size = math.prod(run.network.encode(run.batch("test", torch.tensor([0]))["image"]).shape[1:])
    if size != 2:
        raise Refusal(f"{name} has codes of {size} numbers; a plane needs 2 (model.network.latent_dim=2).")


def decoder(name: str, run: Run, codes: Tensor, store: Store) -> str:
    """Put a run's decoder into the store as a program, and return its block's name."""
    return store.program(f"{name}.decode", run.network, lambda net, z: probabilities(net.decode(z)), codes[:1])


def of_codes(network: Any, codes: Tensor, judge: Judge) -> dict[str, Any]:
    """Return what is known about a network's test codes (N, 2), and about random ones of both kinds."""
    mean, covariance = codes.double().mean(0), torch.cov(codes.double().T, correction=0)
    smallest = (1e-9 + 1e-6 * covariance.diagonal().mean()) * torch.eye(2).double()
    spread, far = torch.linalg.cholesky(covariance + smallest), spacing(codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noise = torch.randn(len(codes), 2)  # the same for all networks
    kinds = {"standard": noise, "fitted": (mean + noise.double() @ spread.T).float()}
    return {
        "mean": mean.tolist(),
        "spread": spread.tolist(),
        "spacing": far,
        "outside": float((codes.abs() > REACH).any(1).double().mean()),
        "reconstructed": judge.distance(probabilities(network.decode(codes))),
        **{
            kind: {"holes": share_in_holes(drawn[:DRAWN], codes, far), **judge.judged(network, drawn)}
            for kind, drawn in kinds.items()
        },
    }
