"""Base class of actions, with the inputs and outputs that they share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
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
from scalian_exp.figures.animation import as_gif
from scalian_exp.figures.grids import to_array
from scalian_exp.figures.png import as_png
from scalian_exp.figures.titles import titled
from scalian_exp.memory import check_images
from scalian_exp.refusal import Refusal
from scalian_exp.stored import check_buildable
from scalian_exp.trust import check_origin

Batch = dict[str, Tensor]


class Action(ABC):
    """Base class of what `scalian-apply` does with a trained model; subclasses implement `run`."""

    @abstractmethod
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Apply the action, write its results into the folder (created if needed), and return their paths."""


def data_of(model: Loaded) -> Any:
    """Build and set up the data module that a model was trained with.

    Its examples may have changed since, but not the meaning of the network's inputs and outputs.

    Raises:
        Refusal: if the data can't be read, or doesn't match the network's inputs and outputs.
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
    """Yield all batches of a split in the data's order, prepared for the network, on its device."""
    data = data_of(model)
    for batch in data.loader(split):
        yield prepared(model, data, batch)


def prepared(model: Loaded, data: Any, batch: Batch) -> Batch:
    """Move a stored batch to the network's device and prepare it for the network."""
    on_device = {name: values.to(model.task.device) for name, values in batch.items()}
    prepared: Batch = data.prepare(on_device)
    return prepared


def examples(model: Loaded, count: int) -> Batch:
    """Return `count` test examples, spread evenly over the split because it may be sorted by class."""
    return spread(model, data_of(model), count)


def spread(model: Loaded, data: Any, count: int) -> Batch:
    """Return `count` evenly spread test examples of a data module that is already set up; all if there are fewer."""
    size = len(data.splits["test"])
    if count > size:
        print(f"count={count}: there are only {size} test examples, and all of them are used.")
        count = size
    return prepared(model, data, data.splits["test"][torch.linspace(0, size - 1, count).round().long()])


def check_room(model: Loaded, count: int) -> None:
    """Check that memory can hold this number of images of the network's size.

    Raises:
        Refusal: if it can't.
    """
    facts = model.config["dataset"]
    check_images(count, (facts["in_channels"], *facts["image_size"]))


def check_channels(channels: int) -> None:
    """Check that image files can have this number of channels.

    Raises:
        Refusal: if they can't.
    """
    if channels not in (1, 3):
        raise Refusal(f"Image files have 1 (grey) or 3 (colours) channels, but this network takes {channels}.")


def image_from(model: Loaded, path: str) -> Tensor:
    """Read an image file (1, C, H, W) in [0, 1], the same way as training images are read.

    Args:
        model: the model, whose config gives the shape and how to fit the image to it.
        path: a file, or `stack.tif#3` for one of its pages, counted from 0.

    Raises:
        Refusal: if the file is not a readable image, or the network has another number of channels than files.
    """
    from scalian_exp.datasets.image_files import WHITE, chosen, read_image

    facts = model.config["dataset"]
    check_channels(facts["in_channels"])
    shape = (facts["in_channels"], *facts["image_size"])
    file, frame = chosen(path)
    image = read_image(file, shape, facts.get("fit") or "crop", facts.get("background") or WHITE, frame)
    return image.unsqueeze(0).to(model.task.device) / 255


def own_input(model: Loaded, image: str | None, text: str | None, data: Any = None) -> Tensor | None:
    """Prepare the user's image file or text for the network, (1, …); None if neither is given.

    Args:
        model: the model that takes the input.
        image: an image file.
        text: a text.
        data: the model's data module, if it is already set up; a text needs it for the vocabulary.

    Raises:
        Refusal: if the model learned from the other kind of input, or if the input can't be used.
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
    """Return the user's image, or `count` test images, (B, C, H, W) in [0, 1]."""
    return image_from(model, image) if image is not None else examples(model, count)["image"]


def save_image(image: Tensor, file: Path) -> Path:
    """Save an image (1, C, H, W) in [0, 1], one pixel per pixel, and return the path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((to_array(image[0]) * 255).round().astype(np.uint8)).save(file)
    return file


def save_figure(figure: Figure, file: Path, model: Loaded) -> Path:
    """Save a figure of a model, with the model's name in its title, creating its folder if needed; return the path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(as_png(titled(figure, model.name), dpi=110))
    return file


def save_animation(pictures: Iterable[tuple[str, Tensor]], file: Path, model: Loaded, title: str, columns: int) -> Path:
    """Save captions and grids of images as an animated GIF (see `as_gif`), and return the path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(as_gif(pictures, f"{model.name}: {title}", columns))
    return file
