"""Facts that users of an exported network must know, as plain values by name."""

from typing import Any

from torch import Tensor

from scalian_exp import __version__
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.datasets.image_files import WHITE
from scalian_exp.figures.segmentation import colours
from scalian_exp.stored import model_and_data

INPUT, OUTPUT = "image", "logits"
"""names of an exported network's input and output"""


def facts_of(model: Loaded) -> dict[str, Any]:
    """Return what is known of any model: its name, its data, and who exported it."""
    name, data = model_and_data(model.folder, model.config)
    return {"model": name, "dataset": data, "producer": f"scalian_exp {__version__}"}


def facts_of_outputs(model: Loaded, output: Tensor, any_size: bool) -> dict[str, Any]:
    """Return what must be known of a function of images.

    Args:
        model: the model.
        output: the function's for some images.
        any_size: whether it takes images of any height and width.

    Returns:
        kind: segment, classify or reconstruct.
        input_layout, input_channels, input_range, input_size: of the input; input_size is height, width.
        any_size: whether input_size is only that of the training images.
        fit, background: how image files are brought to input_size, and the colour behind transparent pixels.
        output_layout, activation: of the output, logits that the activation turns into probabilities.
        class_names, palette: of the classes in their order; colours as red, green, blue.
        threshold: of the probability of class 1, or of a pixel to be white, where there are two of either.
    """
    data, task = model.config["dataset"], model.task
    channels = {1: ["grey"], 3: ["red", "green", "blue"]}.get(data["in_channels"], [])
    facts: dict[str, Any] = {
        "input_layout": "NCHW",
        "input_channels": channels or [f"channel {number}" for number in range(data["in_channels"])],
        "input_range": [0.0, 1.0],
        "input_size": [*data["image_size"]],
        "any_size": any_size,
        "fit": data.get("fit") or "crop",
        "background": [*(data.get("background") or WHITE)],
    }
    if hasattr(task, "reconstruct"):
        levels = {"threshold": 0.5} if "binary" in data["provides"] else {}
        return {"kind": "reconstruct", **facts, "output_layout": "NCHW", "activation": "sigmoid", **levels}
    count = output.shape[1]
    facts |= {"class_names": [called(task.class_names, number) for number in range(count)], "activation": "softmax"}
    facts |= {"threshold": 0.5} if count == 2 else {}
    if output.dim() == 2:
        return {"kind": "classify", **facts, "output_layout": "NK"}
    palette = (colours(count, task.palette) * 255).round().astype(int).tolist()
    return {"kind": "segment", **facts, "output_layout": "NKHW", "palette": palette}
