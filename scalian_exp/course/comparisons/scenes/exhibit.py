"""Several segmentation networks on the same test scenes.

Settings:
    runs: {run: its label}, in the order of the slider.

Facts: `runs`, by name: the scores of each scene in `miou` and `right`, and in `test` the mean IoU of all test images.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.batches import VOID, VOID_BYTE
from scalian_exp.course.comparison import Trained, check_same_data
from scalian_exp.course.facts import both
from scalian_exp.exhibits.class_names import class_names
from scalian_exp.exhibits.masks.exhibit import SIDE, own_colours
from scalian_exp.exhibits.masks.scenes import middles
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.store import Store
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.segmentation import scores
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.segmentation import Segmentation

SCENES = 8


def take(runs: dict[str, Trained], settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Put test scenes and the classes that each network sees in them into the store, and return its scores.

    Raises:
        Refusal: if a run segments no images, or if runs don't read the same ones.
    """
    chosen = {name: runs[name] for name in settings["runs"]}
    for name, (run, _) in chosen.items():
        if not isinstance(run.task, Segmentation):
            raise Refusal(f"{name} ({run.facts['model']}) segments no images, as the comparison scenes needs.")
    check_same_data(chosen)
    run = next(iter(chosen.values())).run
    channels, height, width = run.shape
    if channels not in (1, 3):
        raise Refusal(f"images of {channels} channels can't be shown; 1 (grey) and 3 (colours) can.")
    shrink = math.ceil(max(height, width) / SIDE)
    rows, columns = (middles(size, shrink) for size in (height, width))
    indices = run.spread("test", SCENES)
    batch = run.batch("test", indices)
    labels = batch["mask"].cpu()
    masks = {name: classes(trained.run.task, trained.run.batch("test", indices)) for name, trained in chosen.items()}

    def fill(pack: Pack) -> dict[str, Any]:
        targets = torch.where(labels == VOID, VOID_BYTE, labels)
        pack.add("images", (F.avg_pool2d(batch["image"].cpu(), shrink, ceil_mode=True) * 255).round(), "u1")
        pack.add("targets", targets[:, rows[:, None], columns], "u1")
        pack.add("predicted", torch.stack([mask[:, rows[:, None], columns] for mask in masks.values()]), "u1")
        return {}

    number = run.task.num_classes
    return {
        "block": store.block("scenes", fill),
        "scenes": len(indices),
        "height": len(rows),
        "width": len(columns),
        "shrink": shrink,
        "channels": channels,
        "classes": number,
        "names": class_names(run.task.class_names, number),
        "colours": own_colours(run.task),
        "runs": {
            name: {
                "label": both(settings["runs"][name]),
                "parameters": trained.facts["parameters"],
                "test": trained.facts["test"].get("miou"),
                **each_scene(masks[name], labels, number),
            }
            for name, trained in chosen.items()
        },
    }


def classes(task: Segmentation, batch: dict[str, Tensor]) -> Tensor:
    """Return the class that a network gives each pixel (B, H, W), one image at a time, without a CRF."""
    images = task.inputs(batch)
    return torch.cat([task.logits(image[None]).argmax(1) for image in images]).cpu()


def each_scene(predicted: Tensor, labels: Tensor, num_classes: int) -> dict[str, list[float | None]]:
    """Return the mean IoU and the share of right pixels of each scene; None where all is void.

    Args:
        predicted: classes (B, H, W).
        labels: (B, H, W), −100 where void.
        num_classes: number of classes.
    """
    result: dict[str, list[float | None]] = {"miou": [], "right": []}
    for guess, truth in zip(predicted, labels, strict=True):
        confusion = Confusion(num_classes)
        confusion.update(guess, truth)
        values = scores(confusion.compute())
        for name, key in (("miou", "miou"), ("right", "pixel_accuracy")):
            value = float(values[key])
            result[name].append(value if math.isfinite(value) else None)
    return result
