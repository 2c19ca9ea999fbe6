"""Start the network of a fresh run from published weights, or from the mean of its inputs."""

from itertools import islice
from typing import Any

import torch
from torch import Tensor

from scalian_exp.distributed import ranks
from scalian_exp.precision import at_least_single
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import Pretrained
from scalian_exp.tasks.offers import offers


def load_pretrained(network: Any) -> None:
    """Give a network its published weights, if it is to start from some.

    Raises:
        Refusal: if they can't be had.
    """
    if not offers(network, Pretrained):
        return
    if network.pretrained == "":
        raise Refusal("pretrained= names no file; give one, or pretrained=false.")
    if network.pretrained:
        try:
            network.load_pretrained()
        except ValueError as error:
            raise Refusal(f"model.network: {error}") from error


def mean_of_inputs(task: Any, batches: int = 100) -> Tensor:
    """Average a network's inputs over a number of training batches, of all processes."""
    total, count = torch.zeros((), device=task.device), 0
    for batch in islice(task.trainer.datamodule.train_dataloader(), batches):
        x = task.inputs(task.trainer.strategy.batch_to_device(batch))
        total, count = total + at_least_single(x).sum(0), count + len(x)
    return ranks.all_sum(total) / ranks.all_sum(torch.tensor(count, device=task.device))
