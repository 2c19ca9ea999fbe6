"""Whether training a network fits in memory, found out without using any: on torch's meta device."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_buffer_registration_hook as on_buffer
from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

from scalian_exp.build import build
from scalian_exp.memory import check_fits, total
from scalian_exp.processes import processes
from scalian_exp.refusal import Refusal

WIDTHS = ("hidden", "channels", "latent_dim", "width", "depth", "layers", "features", "lstm_units", "glimpses")
"""arguments that make a network large"""
ACTIVATIONS_MATTER = 2000
"""activations are measured where so many times the batch would fill the memory"""


class Sketch(NamedTuple):
    """A task whose network was built without memory."""

    task: Any
    """None where it can't be built so"""
    weights: float
    """bytes of them, their gradients, and the optimizer's state"""
    advice: str
    """what makes it smaller"""


def sketched(config: dict[str, Any]) -> Sketch:
    """Build the network of a resolved config without memory, on torch's meta device, and add up its weights.

    Raises:
        Refusal: if weights, their gradients and the optimizer's state are more than all memory, or a part refuses its
            arguments. A network that can't be built without memory is not judged.
    """
    node, most = config["model"], total()
    copies = 4 if node.get("optimizer") else 1  # weights, gradients, and Adam's two means
    weights = 0.0

    def count(module: Any, name: str, tensor: Tensor | None) -> None:
        nonlocal weights
        for change, registered in ((-1, getattr(module, name, None)), (1, tensor)):  # it may replace another one
            if registered is not None:
                copied = copies if isinstance(registered, nn.Parameter) else 1
                weights += change * copied * registered.numel() * registered.element_size()
        if weights > most:
            raise MemoryError

    task, hooks = None, (on_parameter(count), on_buffer(count))
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            task = build("model", node, loss=build("loss", config["loss"]))
    except MemoryError:
        pass
    except (Refusal, RuntimeError, TypeError, ValueError) as error:
        if "overflow" in str(error).lower():  # more elements than 64 bits can count
            weights = 2.0**64
        elif isinstance(error, Refusal):  # others may come from the want of memory
            raise
    finally:
        for hook in hooks:
            hook.remove()
    knobs = [f"model.network.{name}" for name in WIDTHS if name in node.get("network", {})]
    advice = f"take a smaller {' or '.join(knobs)}" if knobs else "take a smaller network"
    if task is not None:  # some of what was counted may have been replaced
        weights = copies * sum(map(size_of, task.parameters())) + sum(map(size_of, task.buffers()))
    check_fits(weights, "This network's weights, their gradients and the optimizer's state", advice)
    return Sketch(task, weights, advice)


def check_batch(config: dict[str, Any], data: Any, sketch: Sketch) -> None:
    """Check that data, set up already, suits a sketched network in size, and what a batch takes in training.

    Raises:
        Refusal: if images are too small for it, or a batch's activations are more than all memory.
    """
    if sketch.task is None:
        return
    sketch.task.check_size(data)
    batch = min(data.batch_size, len(data.splits["train"])) // processes(config["trainer"])
    size = sketch.weights + activations(sketch.task, data, batch)
    check_fits(size, f"This network on batches of {batch}", f"{sketch.advice} or dataset.batch_size")


def size_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def activations(task: Any, data: Any, batch_size: int) -> int:
    """Estimate the bytes that a batch's forward pass keeps for the backward pass, from one example without memory.

    Where they are few, or the network computes something that needs values, those of the batch alone.

    Args:
        task: built on the meta device.
        data: the data module, set up.
    """
    x = task.inputs(data.on_after_batch_transfer(data.splits["train"][torch.zeros(1, dtype=torch.long)], 0))
    size = batch_size * x.numel() * x.element_size()
    if size * ACTIVATIONS_MATTER < total() or size > total():
        return size
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    weights = {parameter.untyped_storage()._cdata for parameter in task.parameters()}
    try:
        with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            task.eval().network(x.to("meta"))
    except (RuntimeError, TypeError, ValueError):
        return size
    of_one = sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in weights)
    return batch_size * of_one
