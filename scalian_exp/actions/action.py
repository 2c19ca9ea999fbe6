"""What all actions share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from scalian_exp.build import build
from scalian_exp.checkpoint import Loaded
from scalian_exp.datasets.identity import EXAMPLES
from scalian_exp.figures.grids import to_array
from scalian_exp.memory import check_images
from scalian_exp.refusal import Refusal
from scalian_exp.stored import check_buildable
from scalian_exp.trust import check_origin

Batch = dict[str, Tensor]


class Action(ABC):
    """Something to do with a trained model."""

    @abstractmethod
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Do it, write the results into the folder (made when needed), and return their paths."""


def data_of(model: Loaded) -> Any:
    """The data module that a model was trained with, set up. Its examples may be others now, their meaning may not.

    Raises:
        Refusal: if the data can't be read, or isn't what the network's inputs and outputs stand for.
    """
    check_origin(model.config, model.file, model.trust, ("dataset",))
    check_buildable(model.config, model.file, "dataset")
    data = build("dataset", model.config["dataset"])
    data.prepare_data()
    data.setup("test")
    if state := {name: value for name, value in model.data_state.items() if name != EXAMPLES}:
        data.load_state_dict(state)
    model.task.name_classes(data)
    return data


def batches(model: Loaded, split: str) -> Iterator[Batch]:
    """All batches of a split in the data's order, as the network takes them, on its device."""
    data = data_of(model)
    for batch in data.loader(split):
        yield prepared(model, data, batch)


def prepared(model: Loaded, data: Any, batch: Batch) -> Batch:
    on_device = {name: values.to(model.task.device) for name, values in batch.items()}
    prepared: Batch = data.prepare(on_device)
    return prepared


def examples(model: Loaded, count: int) -> Batch:
    """Test examples spread evenly over the split, which may be sorted by class."""
    return spread(model, data_of(model), count)


def spread(model: Loaded, data: Any, count: int) -> Batch:
    """The same, of a data module that is set up already."""
    size = len(data.splits["test"])
    if count > size:
        print(f"count={count}: there are {size} test examples, which are all taken.")
        count = size
    return prepared(model, data, data.splits["test"][torch.linspace(0, size - 1, count).round().long()])


def check_room(model: Loaded, count: int) -> None:
    """
    Raises:
        Refusal: if so many images of the network's size are more than the memory holds.
    """
    facts = model.config["dataset"]
    check_images(count, (facts["in_channels"], *facts["image_size"]))


def image_from(model: Loaded, path: str) -> Tensor:
    """A user's image file, read as the training's images were: (1, C, H, W) in [0, 1].

    Args:
        path: a file, or `stack.tif#3` for one of its pages, counted from 0.

    Raises:
        Refusal: if the file is no readable image.
    """
    from scalian_exp.datasets.image_files import WHITE, chosen, read_image

    facts = model.config["dataset"]
    shape = (facts["in_channels"], *facts["image_size"])
    file, frame = chosen(path)
    image = read_image(file, shape, facts.get("fit") or "crop", facts.get("background") or WHITE, frame)
    return image.unsqueeze(0).to(model.task.device) / 255


def own_input(model: Loaded, image: str | None, text: str | None, data: Any = None) -> Tensor | None:
    """A user's image file or text as the network takes it, (1, …); None without one.

    Args:
        data: the model's, where it is set up already; a text needs it for its vocabulary.

    Raises:
        Refusal: if the model learned from the other kind, or the input can't be used.
    """
    texts = "texts" in model.config["dataset"]["provides"]
    if text is not None:
        if not texts:
            raise Refusal("This run learned from images, not from texts: give image=….")
        vector: Tensor = (data or data_of(model)).vector(text)
        return vector.to(model.task.device)
    if image is not None:
        if texts:
            raise Refusal("This run learned from texts, not from images: give text=….")
        return image_from(model, image)
    return None


def inputs(model: Loaded, image: str | None, count: int) -> Tensor:
    """A user's image, or test images."""
    return image_from(model, image) if image is not None else examples(model, count)["image"]


def save_image(image: Tensor, file: Path) -> Path:
    """An image (1, C, H, W) in [0, 1] as a file of its own size."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((to_array(image[0]) * 255).round().astype(np.uint8)).save(file)
    return file


def save_figure(figure: Figure, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    return file
