"""The probabilities and the loss of a segmentation at each pixel, with the classes and boxes that follow."""

import math
from typing import Any

import torch

from scalian_exp.exhibits.class_names import class_names
from scalian_exp.exhibits.masks.crf import add_crf
from scalian_exp.exhibits.masks.losses import training_loss
from scalian_exp.exhibits.masks.scenes import Scene, exact_levels, levels
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.figures.segmentation import colours
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.segmentation import Segmentation

ORDER = 60
SIDE = 192
"""most cells along an image's longer side; larger images are shrunk by an integer factor"""
ALL, TOP = 12, 6
"""up to ALL classes, the page holds every probability of a pixel, otherwise the TOP largest"""
BYTES = 2_400_000
"""most bytes of all scenes, before compression"""
SCENES = 8
MOST = 16.0
"""nats: a class less probable than e^-16 is shown as e^-16"""
OWN_COLOURS = 11
"""number of classes that have colours in the style sheet"""


def offered(run: Run) -> bool:
    """Return whether the run segments images."""
    return isinstance(run.task, Segmentation)


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put scenes with their probabilities and losses into the store, and the CRF's masks, if the run has one."""
    task, (channels, height, width) = run.task, run.shape
    if channels not in (1, 3):
        raise Refusal(f"images of {channels} channels can't be shown as masks; 1 (grey) and 3 (colours) can.")
    classes = task.num_classes
    top = classes if classes <= ALL else TOP
    shrink = math.ceil(max(height, width) / SIDE)
    cells = math.ceil(height / shrink) * math.ceil(width / shrink)
    count = min(SCENES, max(3, BYTES // (cells * (top + 8))))
    indices = run.spread("test", count)
    scenes, own, crf = [], [], []
    for index in indices:
        batch = run.batch("test", index[None])
        logits = task.logits(task.inputs(batch)).float()
        scenes.append(Scene(batch["image"][0], batch["mask"][0], logits[0], shrink, top))
        own.append(training_loss(task, logits, batch["mask"]))
        if task.crf is not None:
            crf.append((batch["image"], batch["mask"], logits))
    most = max(MOST, *(float(scene.losses.max()) for scene in scenes))

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("images", torch.stack([scene.image for scene in scenes]), "u1")
        pack.add("targets", torch.stack([scene.targets for scene in scenes]), "u1")
        pack.add("predicted", torch.stack([scene.predicted for scene in scenes]), "u1")
        pack.add("counted", torch.stack([scene.counted for scene in scenes]), "u2" if shrink > 15 else "u1")
        pack.add("cells", torch.stack([exact_levels(scene.cells, scene.counted, most) for scene in scenes]), "u1")
        pack.add("classes", torch.stack([levels(scene.classes, most) for scene in scenes]), "u1")
        if top < classes:
            pack.add("ranks", torch.stack([scene.ranks for scene in scenes]), "u1")
        if shrink > 1 or top < classes:
            pack.add("own", torch.stack([levels(scene.own, most) for scene in scenes]), "u1")
        return {}

    pixels = [scene.pixels for scene in scenes]
    losses = [scene.loss for scene in scenes]
    return {
        "masks": store.block("masks", fill),
        "crf": add_crf(task, crf, store, shrink) if crf else None,
        "scenes": len(scenes),
        "classes": classes,
        "shown": top,
        "height": math.ceil(height / shrink),
        "width": math.ceil(width / shrink),
        "full": [height, width],
        "shrink": shrink,
        "channels": channels,
        "most": most,
        "losses": losses,
        "pixels": pixels,
        "loss": sum(a * b for a, b in zip(losses, pixels, strict=True)) / max(sum(pixels), 1),
        "right": sum(scene.right for scene in scenes) / max(sum(pixels), 1),
        "void": 1 - sum(pixels) / (len(scenes) * height * width),
        "chance": math.log(classes),
        "own": own_loss(own, losses, pixels),
        "names": class_names(task.class_names, classes),
        "colours": own_colours(task),
    }


def own_loss(values: list[dict[str, Any]], losses: list[float], pixels: list[int]) -> dict[str, Any]:
    """Compare the loss that the run was trained with to the mean of −log p, both computed on the scenes.

    `plain` is whether both are equal on each scene; `value` is the run's loss, averaged over labelled pixels.
    """
    own = [value["value"] for value in values]
    total = max(sum(pixels), 1)
    return {
        **values[0],
        "value": sum(a * b for a, b in zip(own, pixels, strict=True)) / total,
        "parts": [
            {**part, "value": sum(v["parts"][n]["value"] * p for v, p in zip(values, pixels, strict=True)) / total}
            for n, part in enumerate(values[0]["parts"])
        ],
        "plain": all(abs(a - b) < 1e-4 * max(1, abs(b)) for a, b in zip(own, losses, strict=True)),
    }


def own_colours(task: Segmentation) -> list[str] | None:
    """Return the colours of a task's classes as #rrggbb; None if the page has colours of its own for so few."""
    if task.num_classes <= OWN_COLOURS:
        return None
    palette = colours(task.num_classes, task.palette)
    return ["#" + bytes(round(255 * float(value)) for value in row).hex() for row in palette]
