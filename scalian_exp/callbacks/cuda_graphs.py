"""CUDA graphs, which launch all kernels of a network at once: the callback that `cuda_graphs=true` adds."""

from inspect import signature
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import Tensor, nn

from scalian_exp.refusal import Refusal

RECORDER: Any = torch.cuda.make_graphed_callables
BESIDE_OTHERS = {"capture_error_mode": "thread_local"} if "capture_error_mode" in signature(RECORDER).parameters else {}
"""lets other threads, such as those that pin batches, allocate memory while recording; older torch can't"""


class Replayed:
    """A network's `forward` in training that records the kernels of its first call and replays them in later steps.

    Both the forward and the backward pass are recorded. A replay overwrites the tensors of the one before, so a second
    call within a step is computed normally, as are inputs of another shape and calls without gradients.
    """

    def __init__(self, network: nn.Module):
        self.network, self.eager = network, network.forward
        self.replay: Any = None
        self.kind: list[tuple[torch.Size, torch.dtype, bool]] = []
        self.used = False
        """whether the recording has been replayed in this step"""

    def __call__(self, *inputs: Tensor) -> Any:
        """Return what the network's forward pass returns for these inputs."""
        if self.used or not (self.network.training and torch.is_grad_enabled()):
            return self.eager(*inputs)
        kind = [(x.shape, x.dtype, x.requires_grad) for x in inputs]
        if self.replay is None:
            self.replay, self.kind = self.recorded(inputs), kind
        if kind != self.kind:
            return self.eager(*inputs)
        self.used = True
        return self.replay(*inputs)

    def recorded(self, inputs: tuple[Tensor, ...]) -> Any:
        """Record the network, which runs it several times, and restore its buffers and the random state afterwards."""
        buffers, noise = [buffer.clone() for buffer in self.network.buffers()], torch.cuda.get_rng_state()
        self.network.forward = self.eager
        try:
            samples = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
            RECORDER(self.network, samples, allow_unused_input=True, **BESIDE_OTHERS)
        except (RuntimeError, AssertionError) as error:
            if isinstance(error, RuntimeError) and "captur" not in str(error):
                raise  # it would not have worked without recording either
            raise Refusal(f"cuda_graphs=true: this network can't be recorded ({error}); leave it out here.") from error
        replay, self.network.forward = self.network.forward, self
        for buffer, before in zip(self.network.buffers(), buffers, strict=True):
            buffer.copy_(before)
        torch.cuda.set_rng_state(noise)
        return replay


class CudaGraphs(pl.Callback):
    """Replay the network's passes in training.

    Launching a kernel takes about 5 µs, which limits the speed of steps that consist of thousands of small kernels, as
    in recurrent networks.
    """

    def check(self, task: Any, data: Any) -> None:
        """Refuse data loaders whose threads would disturb the recording.

        Raises:
            Refusal: if they would.
        """
        if data.num_workers and not BESIDE_OTHERS:
            raise Refusal("cuda_graphs=true needs dataset.num_workers=0 with this torch; set it, or leave it out.")

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Replace the network's forward pass by its recording, unless a schedule accumulates gradients later on.

        Raises:
            Refusal: if one does.
        """
        schedules = [each for each in trainer.callbacks if isinstance(each, GradientAccumulationScheduler)]
        refuse_accumulation(any(each.going_to_accumulate_grad_batches() for each in schedules))
        task.network.forward = self.forward = Replayed(task.network)

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        """Allow one replay in the new step.

        Raises:
            Refusal: if a callback has made the trainer accumulate gradients.
        """
        refuse_accumulation(trainer.accumulate_grad_batches != 1)
        self.forward.used = False

    def on_after_backward(self, trainer: Any, task: Any) -> None:
        """Give parameters that share one recorded gradient a copy each, as clipping would otherwise scale it twice."""
        known: set[int] = set()
        for parameter in task.network.parameters():
            if parameter.grad is not None and parameter.grad.data_ptr() in known:
                parameter.grad = parameter.grad.clone()
            if parameter.grad is not None:
                known.add(parameter.grad.data_ptr())

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Refuse a network whose forward pass the training never calls."""
        if self.forward.replay is None:
            raise Refusal("cuda_graphs=true: training doesn't call this network as a whole; leave it out here.")

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """Restore the network's own forward pass and free the memory of the recording."""
        del task.network.forward, self.forward


def refuse_accumulation(accumulates: bool) -> None:
    """Refuse gradients that are accumulated over batches: a replay overwrites those of the batch before.

    Raises:
        Refusal: if they are.
    """
    if accumulates:
        raise Refusal(
            "cuda_graphs=true can't accumulate gradients over batches; leave it out, or the callback that does it."
        )
