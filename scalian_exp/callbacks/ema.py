"""Average the weights over the steps of a training; the average is validated, saved and tested."""

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from scalian_exp.callbacks.provenance import agree_on_statistics, batch_statistics
from scalian_exp.distributed import ranks
from scalian_exp.ranges import FractionBelowOne
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import KeepsRunningMeans
from scalian_exp.tasks.offers import offers

KEY = "ema"
"""entry of a checkpoint's `scalian_exp` for what resuming needs besides the average"""


class EMA(pl.Callback):
    """Keep an exponential moving average of the weights, and validate, test and save it in place of the last weights.

    After each optimizer step the average moves towards the weights, ā ← d ā + (1 − d) w, where d after t steps is the
    smaller of `decay` and (1 + t) / (10 + t), so that the random weights of the start are soon forgotten. Averaging
    the steps of gradient descent is Polyak & Juditsky's (1992, doi:10.1137/0330046); the warm-up is TensorFlow's and
    timm's. Training goes on with the weights themselves, which checkpoints hold beside the average.

    - Running means, such as batch norm's statistics and the offsets of a centred RBM, are averaged with the weights
      that they belong to. All other buffers are the training's own.
    - Where parts are trained in turn, the average begins anew with each: a layer learns from the layers below as they
      were trained, not from their average.

    Args:
        decay: share of the average that a step keeps; about the last 1 / (1 − decay) steps count.
    """

    # Lightning's WeightAveraging averages all buffers, so a layer's number or a Markov chain as well, and gives the
    # weights back before a task computes the metrics of a whole validation.

    def __init__(self, decay: FractionBelowOne = 0.999):
        self.decay = decay
        self.averages: dict[str, Tensor] = {}
        """name → average, in at least 32 bits; empty before the first step"""
        self.followed: dict[str, Tensor] = {}
        """name → the tensor that is averaged"""
        self.kept: list[Tensor] = []
        """the weights themselves, while the average is in their place"""
        self.updates = 0
        """steps that the average has seen in this turn"""
        self.steps = 0
        """steps of the training when the average was last updated"""
        self.turn = 0
        """the part that was being trained then"""

    def setup(self, trainer: Any, task: Any, stage: str) -> None:
        """Refuse strategies that divide the weights among processes.

        Raises:
            Refusal: if this one does.
        """
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise Refusal(
                f"callbacks=ema averages whole weights, which {type(trainer.strategy).__name__} divides among "
                "processes; use trainer/accelerator=ddp, or leave it out here."
            )

    def on_fit_start(self, trainer: Any, task: Any) -> None:
        """Find again what a resumed average follows: since it was loaded, the task has got its precision and device."""
        if self.averages:
            self.followed = followed(task)
            current = {name: in_32_bits(tensor) for name, tensor in self.followed.items()}
            self.averages = {name: self.averages[name].to(tensor) for name, tensor in current.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the average, unless gradients are still being accumulated."""
        if trainer.global_step == self.steps:
            return
        if not self.averages or task.turn != self.turn:
            self.followed, self.updates, self.turn = followed(task), 0, task.turn
            self.averages = {name: in_32_bits(tensor).clone() for name, tensor in self.followed.items()}
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = [in_32_bits(tensor) for tensor in self.followed.values()]
        get_ema_multi_avg_fn(decay)([*self.averages.values()], current, self.updates)
        self.updates, self.steps = self.updates + 1, trainer.global_step

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        """Put the average in the weights' place, the same in all processes."""
        if self.averages:
            self.kept = [tensor.detach().clone() for tensor in self.followed.values()]
            self.put([*self.averages.values()])
            agree_on_statistics(task)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Give the training its weights back."""
        if self.kept:
            self.put(self.kept)
            self.kept = []

    def on_fit_end(self, trainer: Any, task: Any) -> None:
        """Leave the average in the weights' place."""
        self.put([*self.averages.values()])
        self.averages, self.followed = {}, {}

    @torch.no_grad()
    def put(self, values: list[Tensor]) -> None:
        """Overwrite the tensors that are averaged."""
        for tensor, value in zip(self.followed.values(), values, strict=True):
            tensor.copy_(value)

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Store the average where the weights are looked for, and the weights beside it."""
        if trainer.state.fn != TrainerFn.FITTING or not self.averages:
            return
        own = batch_statistics(task) if ranks.size() > 1 else {}  # of which each process averages its own
        rows = {name: ranks.gather_rows(self.averages[name][None]) for name in own}
        averages = self.averages | {name: row.mean(0) for name, row in rows.items()}
        names = {id(tensor): name for name, tensor in self.followed.items()}  # several names may share a tensor
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = copy.copy(weights)
        for name, tensor in task.state_dict(keep_vars=True).items():
            if id(tensor) in names:
                checkpoint["state_dict"][name] = averages[names[id(tensor)]]
        checkpoint["scalian_exp"][KEY] = {
            "weights": weights,
            "statistics": {name: row.cpu() for name, row in rows.items()},
            **{"updates": self.updates, "steps": self.steps, "turn": self.turn},
        }

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Take up the average and the weights to train, unless a checkpoint is loaded to be tested."""
        state = checkpoint["scalian_exp"].get(KEY)
        if trainer.state.fn != TrainerFn.FITTING or state is None:
            return
        self.updates, self.steps, self.turn = state["updates"], state["steps"], state["turn"]
        for name in followed(task):
            stored = checkpoint["state_dict"][name]
            rows = state["statistics"].get(name, stored)
            self.averages[name] = in_32_bits(ranks.own_row(rows, stored.dim())).clone()
        task.load_state_dict(state["weights"])


def followed(task: Any) -> dict[str, Tensor]:
    """Return all that is averaged, by name: parameters, and buffers that are running means."""
    means = {
        f"{path}.{name}": task.get_buffer(f"{path}.{name}")
        for path, module in task.named_modules()
        if offers(module, KeepsRunningMeans)
        for name in module.running_means
    }
    return {**dict(task.named_parameters()), **batch_statistics(task), **means}


def in_32_bits(tensor: Tensor) -> Tensor:
    """Return a tensor in at least 32 bits: in 16, small steps of an average would be rounded away."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
