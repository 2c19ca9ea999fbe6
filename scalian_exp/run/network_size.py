"""Whether training a network fits in memory, found out without using any: on torch's meta device.

What is refused would certainly fail: only what a step cannot do without is counted.
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
"""activations are measured where so many times the batch would fill the memory"""
UNSUITED = (RuntimeError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""what code raises that needs the values of tensors that have none"""


class Sketch(NamedTuple):
    """A task whose network was built without memory."""

    task: Any
    """None where it can't be built so"""
    advice: str
    """what makes it smaller"""


def sketched(config: dict[str, Any]) -> Sketch:
    """Build the network of a resolved config without memory, on torch's meta device, and add up its weights.

    Raises:
        Refusal: if the weights are more than this machine's memory, or they and their gradients more than the memory
            in which they are trained; or if a part lacks what another needs of it. A network that can't be built
            without memory is not judged.
    """
    node = config["model"]
    knobs = [f"model.network.{name}" for name in WIDTHS if name in node.get("network", {})]
    advice = f"take a smaller {' or '.join(knobs)}" if knobs else "take a smaller network"
    try:
        with without_traces(), torch.device("meta"):
            task = build("model", node, loss=build("loss", config["loss"]))
    except (Refusal, *UNSUITED) as error:
        if isinstance(error.__cause__, Refusal):  # else the want of values may be to blame: the real one will tell
            raise
        if isinstance(error, RuntimeError) and "overflow" in str(error):  # more elements than 64 bits can count
            check_fits(2.0**64, "This network's weights", advice)
        return Sketch(None, advice)
    check_fits(weights(task), "This network's weights", advice)
    size = on_device(weights(task) + gradients(task), config["trainer"])
    check_fits(size, "This network's weights and their gradients", advice, room(config["trainer"]))
    return Sketch(task, advice)


def check_batch(config: dict[str, Any], data: Any, sketch: Sketch) -> None:
    """Check that data, set up already, suits a sketched network in size, and what a batch takes in training.

    Raises:
        Refusal: if images are too small for it, or its weights and a batch's activations are more than the memory in
            which it is trained.
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
    """What is tried inside warns of nothing and leaves all random generators as they were."""
    with isolate_rng(include_cuda=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def size_of(tensor: Tensor) -> int:
    """Bytes; of a parameter whose shape its first batch will tell, none."""
    return 0 if is_lazy(tensor) else tensor.numel() * tensor.element_size()


def weights(task: Any) -> int:
    """Bytes of parameters and buffers, each counted once."""
    return sum(map(size_of, task.parameters())) + sum(map(size_of, task.buffers()))


def gradients(task: Any) -> int:
    """Bytes of the gradients that are there at once for certain: not where parts of a network take turns."""
    if task.optimizer is None or not task.automatic_optimization or task.takes_turns:
        return 0
    tables = [module for module in task.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    sparse = {id(module.weight) for module in tables if module.sparse}
    return sum(size_of(parameter) for _, parameter in task.trained_parameters() if id(parameter) not in sparse)


def on_device(size: float, trainer: dict[str, Any]) -> float:
    """At least so many of these bytes are needed in the precision of training: some may stay in 32 bits."""
    return size / 2 if "16" in str(trainer.get("precision")) else size


def room(trainer: dict[str, Any]) -> tuple[float, str]:
    """Bytes of the memory in which a network is trained, and whose it is; infinity where a strategy may shard it."""
    if "DDP" not in str(trainer.get("strategy", "DDP")):
        return math.inf, "this machine"
    if trainer.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        return max(gpu.total_memory for gpu in gpus), "this machine's GPU"
    return total(), "this machine"


def activations(task: Any, data: Any, batch_size: int) -> int:
    """Estimate the bytes that a batch's forward pass in training keeps for the backward pass, without memory.

    Where they are few, or the network computes something that needs values, those of the batch alone.

    Args:
        task: built on the meta device.
        data: the data module, set up; where it crops training images, its training_size says how.
    """
    with without_traces():
        x = task.inputs(data.prepare(data.splits["train"][torch.zeros(1, dtype=torch.long)]))
    shape = (*x.shape[1:2], *data.training_size) if x.dim() == 4 and offers(data, Images) else x.shape[1:]
    size = batch_size * math.prod(shape) * x.element_size()
    if size * ACTIVATIONS_MATTER < total() or size > total() or task.takes_turns:
        return size
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
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
    return sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in known)


def storages(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.untyped_storage()._cdata for tensor in tensors if not is_lazy(tensor)}
