"""Check on torch's meta device, without using memory, whether training a network fits in memory.

Only what a training step can't do without is counted, so whatever is refused would certainly fail.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from scalian_exp.build import build
from scalian_exp.memory import check_fits, total
from scalian_exp.refusal import Refusal
from scalian_exp.run.devices import world_size
from scalian_exp.tasks.data_protocols import Images
from scalian_exp.tasks.offers import offers

WIDTHS = ("hidden", "channels", "latent_dim", "width", "depth", "layers", "features", "lstm_units", "glimpses")
"""arguments that make a network large"""
ACTIVATIONS_MATTER = 2000
"""activations are estimated only if this many times the batch would fill the memory"""
UNSUITED = (RuntimeError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""exceptions of code that needs the values of meta tensors, which have none"""


class Sketch(NamedTuple):
    """A task whose network was built without memory, on the meta device."""

    task: Any
    """the task, or None if it can't be built without memory"""
    advice: str
    """what to change to make the network smaller"""


def sketched(config: dict[str, Any]) -> Sketch:
    """Build the network of a resolved config on torch's meta device and check the size of its weights.

    A network that can't be built without memory is not checked.

    Raises:
        Refusal: if the weights don't fit in this machine's memory, or they and their gradients in that of the device
            that trains them; or if the parts of the config don't fit together.
    """
    node = config["model"]
    knobs = [f"model.network.{name}" for name in WIDTHS if name in node.get("network", {})]
    advice = f"take a smaller {' or '.join(knobs)}" if knobs else "take a smaller network"
    try:
        with without_traces(), torch.device("meta"):
            task = build("model", node, loss=build("loss", config["loss"]))
    except (Refusal, *UNSUITED) as error:
        if isinstance(error.__cause__, Refusal):  # otherwise meta tensors may be the cause
            raise
        if isinstance(error, RuntimeError) and "overflow" in str(error):  # more elements than 64 bits can count
            check_fits(2.0**64, "This network's weights", advice)
        return Sketch(None, advice)
    check_fits(weights(task), "This network's weights", advice)
    size = on_device(weights(task) + gradients(task), config["trainer"])
    check_fits(size, "This network's weights and their gradients", advice, room(config["trainer"]))
    return Sketch(task, advice)


def check_batch(config: dict[str, Any], data: Any, sketch: Sketch) -> None:
    """Check that a sketched network suits the size of the data's images, and that training on a batch fits in memory.

    Args:
        config: the resolved config.
        data: the data module, already set up.
        sketch: what `sketched` returned.

    Raises:
        Refusal: if images are too small for the network, or its weights and a batch's activations don't fit in the
            memory of the device that trains it.
    """
    task, trainer = sketch.task, config["trainer"]
    if task is None:
        return
    task.check_size(data)
    batch = min(data.batch_size, len(data.splits["train"])) // world_size(trainer)
    size = on_device(weights(task) + activations(task, data, batch), trainer)
    check_fits(size, f"This network on batches of {batch}", f"{sketch.advice} or dataset.batch_size", room(trainer))


@contextmanager
def without_traces() -> Iterator[None]:
    """Suppress warnings during a block and restore all random generators afterwards."""
    with isolate_rng(include_cuda=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def size_of(tensor: Tensor) -> int:
    """Return the bytes of a tensor; 0 for a lazy parameter, whose shape isn't known before the first batch."""
    return 0 if is_lazy(tensor) else tensor.numel() * tensor.element_size()


def weights(task: Any) -> int:
    """Return the bytes of all parameters and buffers, each counted once."""
    return sum(map(size_of, task.parameters())) + sum(map(size_of, task.buffers()))


def gradients(task: Any) -> int:
    """Return the bytes of gradients that certainly exist at once; 0 if the parts of a network are trained in turns."""
    if task.optimizer is None or not task.automatic_optimization or task.takes_turns:
        return 0
    tables = [module for module in task.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    sparse = {id(module.weight) for module in tables if module.sparse}
    return sum(size_of(parameter) for _, parameter in task.trained_parameters() if id(parameter) not in sparse)


def on_device(size: float, trainer: dict[str, Any]) -> float:
    """Return a lower bound on the bytes needed in the precision of training, in which some may stay at 32 bits."""
    return size / 2 if "16" in str(trainer.get("precision")) else size


def room(trainer: dict[str, Any]) -> tuple[float, str]:
    """Return the bytes of memory for training and the name of their owner; infinite if the strategy may shard."""
    if "DDP" not in str(trainer.get("strategy", "DDP")):
        return math.inf, "this machine"
    if trainer.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        return max(gpu.total_memory for gpu in gpus), "this machine's GPU"
    return total(), "this machine"


def activations(task: Any, data: Any, batch_size: int) -> int:
    """Estimate the bytes that the forward pass of a training batch keeps for the backward pass.

    It is only the size of the batch itself if that is small, or if the network needs values that meta tensors lack.

    Args:
        task: the task, built on the meta device.
        data: the data module, already set up; if it crops training images, its `training_size` is their size.
        batch_size: number of examples.
    """
    with without_traces():
        x = task.inputs(data.prepare(data.splits["train"][torch.zeros(1, dtype=torch.long)]))
    shape = (*x.shape[1:2], *data.training_size) if x.dim() == 4 and offers(data, Images) else x.shape[1:]
    size = batch_size * math.prod(shape) * x.element_size()
    if size * ACTIVATIONS_MATTER < total() or size > total() or task.takes_turns:
        return size
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    known = storages([*task.parameters(), *task.buffers()])
    try:
        with (
            without_traces(),
            torch.device("meta"),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            task.train().network(torch.empty(batch_size, *shape, dtype=x.dtype))
    except UNSUITED:
        return size
    return sum(tensor.untyped_storage().nbytes() for key, tensor in saved.items() if key not in known)


def storages(tensors: Iterable[Tensor]) -> set[int]:
    """Return the identities of the tensors' storages."""
    return {tensor.untyped_storage()._cdata for tensor in tensors if not is_lazy(tensor)}
