"""A trained run as exhibits read it: network, data, metrics and examples."""

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from scalian_exp.actions.action import data_of, prepared
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.shell import command_to_repeat
from scalian_exp.exhibits.class_names import class_names
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.store import Store
from scalian_exp.folders import State, state
from scalian_exp.refusal import Refusal
from scalian_exp.stored import metrics_of, model_and_data
from scalian_exp.tasks.capabilities import DrawsInSteps, Encodes
from scalian_exp.tasks.offers import offers

THUMBNAILS = 24
"""test images that a reader can choose from"""
MOST_STEPS = 16
"""steps of a network that draws in several, of which a page computes codes while a reader draws"""
EMPTY = 0.1
"""grey images with a median pixel below this are shown as ink on paper"""


class Run:
    """A trained model with its data and its record.

    Args:
        model: as loaded.
        data: of a run with the same data set, which are read already; None reads them.

    Raises:
        Refusal: if the data can't be read.
    """

    def __init__(self, model: Loaded, data: Any = None):
        self.model, self.task, self.network = model, model.task, model.network
        self.config, self.data = model.config, data or data_of(model)

    @property
    def of_images(self) -> bool:
        """Whether the network's inputs are images."""
        return "images" in self.config["dataset"]["provides"]

    @property
    def encodes(self) -> bool:
        """Whether the network computes codes of its inputs."""
        return offers(self.network, Encodes)

    @property
    def steps(self) -> int:
        """In how many steps the network draws an image; 0 if at once."""
        return int(self.network.steps) if offers(self.network, DrawsInSteps) else 0

    def check_live(self) -> None:
        """Check that a page can compute codes while a reader draws.

        Raises:
            Refusal: if the network draws in too many steps.
        """
        if self.steps > MOST_STEPS:
            raise Refusal(
                f"{type(self.network).__name__} draws in {self.steps} steps; a page computes codes of networks of at "
                f"most {MOST_STEPS} steps."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        facts = self.config["dataset"]
        return (facts["in_channels"], *facts["image_size"])

    @cached_property
    def on_paper(self) -> bool:
        """Whether images are drawn as ink on paper: grey ones that are mostly black."""
        images = self.batch("test", self.spread("test", THUMBNAILS))["image"]
        return self.shape[0] == 1 and float(images.float().median()) < EMPTY

    def batch(self, split: str, indices: Tensor) -> dict[str, Tensor]:
        """Return examples of a split (B,) as the network takes them."""
        return prepared(self.model, self.data, self.data.splits[split][indices])

    def spread(self, split: str, count: int) -> Tensor:
        """Return the indices of `count` examples of a split, evenly spread; of all if there are fewer."""
        size = len(self.data.splits[split])
        return torch.linspace(0, size - 1, min(count, size)).round().long()

    @property
    def classes(self) -> int:
        """Number of classes in the labels; 0 without labels, or if all examples are of one class."""
        count = int(self.data.classes_in_labels)
        return count if count > 1 else 0

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts about the run that every exhibit may show."""
        model, dataset = model_and_data(self.model.folder, self.config)
        metrics = metrics_of(self.model.folder) if state(self.model.folder) is not State.NONE else {}
        epochs, seconds = metrics.get("epochs"), metrics.get("seconds_per_epoch")
        return {
            "model": model,
            "dataset": dataset,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "epochs": epochs,
            "seconds": None if epochs is None or seconds is None else epochs * seconds,
            "test": {
                key.removeprefix("test/"): value
                for key, value in metrics.items()
                if key.startswith("test/") and isinstance(value, int | float) and math.isfinite(value)
            },
            "classes": list(self.task.class_names or []),
        }

    @property
    def command(self) -> str | None:
        """Return the command that trains the run again; None for a checkpoint without its run."""
        return None if state(self.model.folder) is State.NONE else command_to_repeat(self.model.folder)

    def class_names(self, classes: int) -> dict[str, list[str]]:
        """Return the names of the first classes by language; their indices if the data set has no names."""
        return class_names([called(self.task.class_names, label) for label in range(classes)], classes)

    def images(self, store: Store) -> str:
        """Use the block of test images that a reader can choose from, and return its name.

        Arrays: `images` (N, C, H, W), 0 … 255, and `labels` (N,), −1 without one.
        """

        def fill(pack: Pack) -> dict[str, Any]:
            indices = self.spread("test", THUMBNAILS)
            add_images(pack, self.batch("test", indices))
            names = self.class_names(self.classes)
            return {"shape": list(self.shape), "count": len(indices), "ink": self.on_paper, "names": names}

        return store.block("images", fill)


def add_images(pack: Pack, batch: dict[str, Tensor]) -> None:
    """Add `images` (N, C, H, W) as 0 … 255, and `labels` (N,), −1 without one, to a pack."""
    image = batch["image"]
    pack.add("images", (image.clamp(0, 1) * 255).round(), "u1")
    labels = batch.get("label")
    single = labels is not None and labels.dim() == 1
    pack.add("labels", labels if single else torch.full((len(image),), -1), "i4")
