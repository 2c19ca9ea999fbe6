"""Decide by a few timed steps whether a network trains faster with its weights laid out as NHWC."""

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from scalian_exp.run.devices import world_size

AUTO = "auto"
ROUNDS = 3
"""timed steps of each layout, after one to warm up"""
GAIN = 0.95
"""share of the other layout's time below which NHWC is taken"""


def with_layout(config: dict[str, Any], stored: Mapping[str, Any] | None, task: Any, data: Any) -> dict[str, Any]:
    """Replace `channels_last=auto` in a config by true or false.

    Args:
        config: the resolved config.
        stored: the config of the checkpoint that the run resumes from, whose decision stays, so that the weights do.
        task: the task to train, which isn't changed.
        data: its data, already set up.
    """
    if config["channels_last"] != AUTO:
        return config
    decision = stored.get("channels_last") is True if stored is not None else pays(config, task, data)
    return {**config, "channels_last": decision}


def pays(config: Mapping[str, Any], task: Any, data: Any, clock: Callable[[], float] = time.process_time) -> bool:
    """Return whether training steps on the first batch are faster with NHWC; false if that can't be tried.

    It is tried for convolutions on this machine's processor in one process, by copies of the task that take turns.
    """
    trainer = config["trainer"]
    on_cpu = trainer.get("accelerator") == "cpu" or not torch.accelerator.is_available()
    convolutional = any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in task.network.modules())
    by_gradient = task.automatic_optimization and task.optimizer is not None
    if not (on_cpu and convolutional and by_gradient) or world_size(trainer) > 1 or config["compile"]:
        return False
    split = data.splits["train"]
    with isolate_rng():
        batch = data.prepare(split[torch.arange(min(len(split), data.batch_size))])
        plain, channels_last = copy.deepcopy(task).train(), copy.deepcopy(task).train()
        channels_last.network.to(memory_format=torch.channels_last)
        spent = {id(plain): 0.0, id(channels_last): 0.0}
        for turn in range(ROUNDS + 1):
            for each in (plain, channels_last):
                start = clock()
                each.step(batch).loss.backward()
                spent[id(each)] += (clock() - start) * (turn > 0)
                each.zero_grad(set_to_none=True)
    return spent[id(channels_last)] < GAIN * spent[id(plain)]
