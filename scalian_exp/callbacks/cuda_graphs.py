"""A network's kernels launched all at once: CUDA graphs, what `cuda_graphs=true` adds to a training."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from scalian_exp.refusal import Refusal


class Replayed:
    """A network's `forward` while it trains. The first call records the kernels of the forward and of the backward
    pass; each step after it replays them.

    A replay overwrites the tensors of the one before, so a second call within a step computes anew, like an input of
    another shape and whatever is called without gradients.
    """

    def __init__(self, network: nn.Module):
        self.network, self.plain = network, network.forward
        self.replay: Any = None
        self.shapes: list[torch.Size] = []
        self.used = False
        """in this step"""

    def __call__(self, *inputs: Tensor) -> Any:
        if self.used or not (self.network.training and torch.is_grad_enabled()):
            return self.plain(*inputs)
        shapes = [x.shape for x in inputs]
        if self.replay is None:
            self.replay, self.shapes = self.recorded(inputs), shapes
        if shapes != self.shapes:
            return self.plain(*inputs)
        self.used = True
        return self.replay(*inputs)

    def recorded(self, inputs: tuple[Tensor, ...]) -> Any:
        """Recording runs the network several times; its statistics and the noise to come stay what they were."""
        buffers, noise = [buffer.clone() for buffer in self.network.buffers()], torch.cuda.get_rng_state()
        self.network.forward = self.plain
        try:
            samples = tuple(x.detach().clone() for x in inputs)
            torch.cuda.make_graphed_callables(self.network, samples, allow_unused_input=True)
        except RuntimeError as error:
            raise Refusal(f"cuda_graphs=true: this network can't be recorded ({error}); leave it out here.") from error
        replay, self.network.forward = self.network.forward, self
        for buffer, before in zip(self.network.buffers(), buffers, strict=True):
            buffer.copy_(before)
        torch.cuda.set_rng_state(noise)
        return replay


class CudaGraphs(pl.Callback):
    """Replays the network's passes in training. Launching a kernel takes some 5 µs, which bounds the speed of a step of
    thousands of small ones, as those of recurrent networks are."""

    def on_train_start(self, trainer: Any, task: Any) -> None:
        task.network.forward = self.forward = Replayed(task.network)

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        self.forward.used = False

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.forward.replay is None:
            raise Refusal("cuda_graphs=true: training doesn't call this network as a whole; leave it out here.")

    def on_train_end(self, trainer: Any, task: Any) -> None:
        del task.network.forward, self.forward  # its class's is back, and the recorded memory free
