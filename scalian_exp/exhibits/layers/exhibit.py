"""Images encoded and decoded by each layer of a stack, and the learning curve of each layer."""

import csv
import math
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.gibbs.stack import Step, pixels, program, steps
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.folders import CURVES
from scalian_exp.tasks.capabilities import CodesOfLayers
from scalian_exp.tasks.offers import has, offers

ORDER = 65
MEASURED = 500
"""test images behind the errors"""
LIVE = 2_400_000
"""most weights on the page; a larger stack is run beforehand on some images instead"""
STORED = 8
"""images on which a larger stack is run"""
NOISE = (0.0, 0.1, 0.2, 0.3, 0.5)
"""fractions of pixels that are replaced by noise"""
HALVES = ("none", "upper", "lower", "left", "right")
"""parts that can be erased"""


def offered(run: Run) -> bool:
    """Return whether the network is a stack of layers that lead up to codes and down to images."""
    return run.of_images and offers(run.network, CodesOfLayers) and bool(steps(run.network))


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the stack, or its codes and outputs for some images, into the store."""
    network, layers = run.network, steps(run.network)
    images = run.images(store)
    ground = 0.0 if store.blocks[images].about["ink"] else 0.5
    live = sum(parameter.numel() for parameter in network.parameters()) <= LIVE
    image = run.batch("test", run.spread("test", MEASURED))["image"]
    codes, made = journey(network, layers, image)
    blank = pixels(network, torch.zeros(1, *run.shape))[0]
    scale = 1 / (pixels(network, torch.ones(1, *run.shape))[0] - blank)

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("pixel_scale", scale, "f4")
        pack.add("pixel_mean", -blank * scale, "f4")
        if not live:
            stored(pack, network, layers, run.batch("test", run.spread("test", 24)[:STORED])["image"], ground)
        return {}

    curves = stages(run.model.folder / CURVES)
    _, height, width = run.shape
    return {
        "images": images,
        "stack": program(run, store) if live else None,
        "journey": store.block("journey", fill),
        "live": live,
        "count": STORED,
        "weights": sum(parameter.numel() for parameter in network.parameters()),
        "noise": NOISE,
        "ground": ground,
        "height": height,
        "width": width,
        "pixels": math.prod(run.shape),
        "layers": [code.shape[1] for code in codes],
        "within": [bool(code.min() >= 0) and bool(code.max() <= 1) for code in codes],
        "largest": [float(code.abs().max()) for code in codes],
        "measured": len(image),
        "errors": [float((output - image).square().flatten(1).sum(1).mean()) for output in made],
        "stages": curves,
    }


def journey(network: Any, layers: list[Step], image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the code (B, D) of each layer, and the image (B, C, H, W) decoded from it."""
    blank, white = (pixels(network, torch.full_like(image[:1], value))[0] for value in (0.0, 1.0))
    states, codes, made = pixels(network, image), [], []
    for number, step in enumerate(layers, start=1):
        if number == len(layers) and has(network, "seen_by_top"):
            states = network.seen_by_top(states)
        states = step.up(states)[-1]
        codes.append(states)
        down = states
        for layer in reversed(range(number)):
            down = layers[layer].down(down)[-1][:, : codes[layer - 1].shape[1] if layer else len(blank)]
        made.append(((down - blank) / (white - blank)).clamp(0, 1).view_as(image))
    return codes, made


def stored(pack: Pack, network: Any, layers: list[Step], image: Tensor, ground: float) -> None:
    """Add the journeys of some images, damaged in each way: `damaged`, `codes` and `outputs`, 0 … 255."""
    random = torch.Generator().manual_seed(0)
    share, noise = (torch.rand(image.shape, generator=random) for _ in range(2))
    damaged = [erased(torch.where(share < p, noise.round(), image), half, ground) for p in NOISE for half in HALVES]
    ways = [journey(network, layers, x) for x in damaged]
    largest = [max(float(codes[k].abs().max()) for codes, _ in ways) for k in range(len(layers))]
    units = [torch.cat([code / most for code, most in zip(codes, largest, strict=True)], 1) for codes, _ in ways]
    pack.add("damaged", (torch.stack(damaged).flatten(2) * 255).round(), "u1")
    pack.add("codes", (torch.stack(units) * 127).round(), "i1")
    outputs = torch.stack([torch.cat([x.flatten(1) for x in made], 1) for _, made in ways])
    pack.add("outputs", (outputs * 255).round(), "u1")
    pack.add("largest", torch.tensor(largest), "f4")


def erased(image: Tensor, half: str, ground: float) -> Tensor:
    """Return images (B, C, H, W) with one half erased."""
    result, (height, width) = image.clone(), image.shape[2:]
    rows = {"upper": slice(0, height // 2), "lower": slice(height // 2, height)}.get(half)
    columns = {"left": slice(0, width // 2), "right": slice(width // 2, width)}.get(half)
    if rows or columns:
        result[:, :, rows or slice(None), columns or slice(None)] = ground
    return result


def stages(file: Path) -> dict[str, Any] | None:
    """Read a validation metric over each layer's training; None if no layer was validated twice."""
    if not file.is_file():
        return None
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = ("val/reconstruction_error", "val/loss")
    name = next((name for name in names if any(row.get(name) for row in rows)), None)
    turns = {int(row["epoch"]): int(float(row["train/layer"])) for row in rows if row.get("train/layer")}
    if name is None or not turns:
        return None
    values = {int(row["epoch"]): float(row[name]) for row in rows if row[name]}
    points = [(turns[epoch], epoch + 1, value) for epoch, value in sorted(values.items()) if epoch in turns]
    curves = [
        [[epoch, value] for _, epoch, value in group if math.isfinite(value)]
        for _, group in groupby(points, key=lambda point: point[0])
    ]
    return {"metric": name.removeprefix("val/"), "points": curves} if any(len(curve) > 1 for curve in curves) else None
