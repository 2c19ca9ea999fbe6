"""Find the largest batch that fits in memory, before a training begins."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng

from scalian_exp.build import build_task
from scalian_exp.memory import amount
from scalian_exp.refusal import Refusal
from scalian_exp.run.devices import world_size
from scalian_exp.run.network_size import Sketch, activations, gradients, on_device, room, weights
from scalian_exp.run.trial import fits

log = logging.getLogger(__name__)

MOST = 8192
"""largest batch that is tried; larger ones rarely train better"""
SHARE = 0.5
"""share of the memory that the estimate may fill on a CPU, which never reports that it is full: an estimate counts only
what a step can't do without"""


def with_batch_size(
    config: dict[str, Any],
    stored: Mapping[str, Any] | None,
    data: Any,
    sketch: Sketch | None,
    devices: Any,
    trust: Sequence[str],
) -> dict[str, Any]:
    """Replace `trainer.find_batch_size=true` in a config by the batch size that is found, and give it to the data.

    The learning rate stays as it is.

    Args:
        config: the resolved config.
        stored: the config of the checkpoint that the run resumes from, whose batch size stays.
        data: the data module, already set up.
        sketch: the task on the meta device; None if the run resumes.
        devices: the devices that the run trains on, as Lightning takes them.
        trust: see `build_trainer`.

    Raises:
        Refusal: with several processes, if not even one example fits, or if the training would refuse.
    """
    trainer = config["trainer"]
    if not trainer.get("find_batch_size"):
        return config
    if world_size(trainer) > 1:
        raise Refusal(
            "trainer.find_batch_size=true tries batches in one process; find the size on one device, then give all of "
            "them together that many each: dataset.batch_size=…"
        )
    if stored is None:
        data.batch_size = found(config, data, sketch, devices, trust)
    else:
        data.batch_size = stored["dataset"]["batch_size"]
        log.info("trainer.find_batch_size: the run goes on with its own dataset.batch_size=%d", data.batch_size)
    return {
        **config,
        "dataset": {**config["dataset"], "batch_size": data.batch_size},
        "trainer": {**trainer, "find_batch_size": False},
    }


def found(config: dict[str, Any], data: Any, sketch: Sketch | None, devices: Any, trust: Sequence[str]) -> int:
    """Return the largest power of two that fits in memory, up to MOST and the number of training examples."""
    trainer, most = config["trainer"], min(MOST, len(data.splits["train"]))
    if trainer.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        size, how = by_trials(config, data, most, devices, trust), "found by training steps on this GPU"
    else:
        with isolate_rng():
            build_task(config).check(data)  # the estimate couldn't say what is wrong
        if sketch is None or sketch.task is None:
            log.info(
                "trainer.find_batch_size: this network's memory can't be estimated without training it, so "
                "dataset.batch_size=%d stays",
                data.batch_size,
            )
            return int(data.batch_size)
        size, how = by_estimate(trainer, data, sketch.task, most)
    if not size:
        raise Refusal("Not even a batch of one example fits in memory; take a smaller network.")
    log.info(
        "trainer.find_batch_size: dataset.batch_size=%d, %s%s; the learning rate stays as it is",
        *(size, how, "" if 2 * size <= most else ", the largest for these examples"),
    )
    return size


def by_trials(config: Mapping[str, Any], data: Any, most: int, devices: Any = 1, trust: Sequence[str] = ()) -> int:
    """Return the largest batch with which the training itself runs for a few steps; 0 if none does."""
    if data.balanced:
        _ = data.class_members  # each trial's copy of the data would read them anew
    return largest(lambda size: fits(config, data, size, devices, trust), most, data.batch_size)


def by_estimate(trainer: dict[str, Any], data: Any, task: Any, most: int) -> tuple[int, str]:
    """Return the largest batch that fills SHARE of the memory, 0 if none does, and how it was found.

    Args:
        trainer: the resolved trainer config.
        data: the data module, already set up.
        task: the task on the meta device.
        most: the largest batch.
    """
    memory = SHARE * room(trainer)[0]

    def needs(size: int) -> float:
        return on_device(weights(task) + gradients(task) + activations(task, data, size), trainer)

    size = largest(lambda size: needs(size) <= memory, most, data.batch_size)
    return size, f"by an estimate of {amount(needs(max(size, 1)))}, where half of this machine's is {amount(memory)}"


def largest(fits: Callable[[int], bool], most: int, start: int = 1) -> int:
    """Return the largest power of two up to `most` that fits, if larger ones never do; 0 if none does.

    Args:
        fits: tells whether a number fits.
        most: the largest number.
        start: a number near which the search begins.
    """
    size = 1 << (min(start, most).bit_length() - 1)
    while size and not fits(size):
        most, size = size - 1, size // 2
    while size and 2 * size <= most and fits(2 * size):
        size *= 2
    return size
