"""Find the largest batch that fits in memory, before a training begins."""

import copy
import gc
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.memory import is_oom_error
from pytorch_lightning.utilities.seed import isolate_rng

from scalian_exp.build import build_task
from scalian_exp.memory import amount
from scalian_exp.refusal import Refusal
from scalian_exp.run.devices import devices_of, world_size
from scalian_exp.run.network_size import Sketch, activations, gradients, on_device, room, weights

log = logging.getLogger(__name__)

MOST = 8192
"""largest batch that is tried; larger ones rarely train better"""
SHARE = 0.5
"""share of the memory that the estimate may fill on a CPU, which never reports that it is full: an estimate counts only
what a step can't do without"""
STEPS = 4
"""steps that are tried on a GPU: the second of a network has the optimizer's state beside the gradients, and those of a
GAN take turns"""
OF_TRIALS = ("accelerator", "precision", "gradient_clip_val", "accumulate_grad_batches", "deterministic")
"""arguments of the trainer that a trial uses too"""
QUIET: dict[str, Any] = {
    **{"limit_val_batches": 0, "use_distributed_sampler": False, "logger": False},
    **{"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False},
}
"""what a trial leaves out"""


def with_batch_size(
    config: dict[str, Any], stored: Mapping[str, Any] | None, data: Any, sketch: Sketch | None
) -> dict[str, Any]:
    """Replace `trainer.find_batch_size=true` in a config by the batch size that is found, and give it to the data.

    The learning rate stays as it is.

    Args:
        config: the resolved config.
        stored: the config of the checkpoint that the run resumes from, whose batch size stays.
        data: the data module, already set up.
        sketch: the task on the meta device; None if the run resumes.

    Raises:
        Refusal: with several processes, or if not even one example fits.
    """
    trainer = config["trainer"]
    if not trainer.get("find_batch_size"):
        return config
    if world_size(trainer) > 1:
        raise Refusal(
            "trainer.find_batch_size=true tries batches in one process; find the size on one device, then give all of "
            "them together that many each: dataset.batch_size=…"
        )
    data.batch_size = stored["dataset"]["batch_size"] if stored is not None else found(config, data, sketch)
    return {
        **config,
        "dataset": {**config["dataset"], "batch_size": data.batch_size},
        "trainer": {**trainer, "find_batch_size": False},
    }


def found(config: Mapping[str, Any], data: Any, sketch: Sketch | None) -> int:
    """Return the largest power of two that fits in memory, up to MOST and the number of training examples."""
    trainer, most = config["trainer"], min(MOST, len(data.splits["train"]))
    on_gpu = trainer.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if not on_gpu and (sketch is None or sketch.task is None):
        log.info(
            "trainer.find_batch_size: this network's memory can't be estimated without training it, so "
            "dataset.batch_size=%d stays",
            data.batch_size,
        )
        return int(data.batch_size)
    if on_gpu:
        size, how = largest(lambda size: trains(config, data, size), most), "found by training steps on this GPU"
    else:
        assert sketch is not None
        task, memory = sketch.task, SHARE * room(trainer)[0]

        def needs(size: int) -> float:
            return on_device(weights(task) + gradients(task) + activations(task, data, size), trainer)

        size = largest(lambda size: needs(size) <= memory, most)
        how = f"by an estimate of {amount(needs(max(size, 1)))}, where half of this machine's is {amount(memory)}"
    if not size:
        raise Refusal("Not even a batch of one example fits in memory; take a smaller network.")
    log.info(
        "trainer.find_batch_size: dataset.batch_size=%d, %s%s; the learning rate stays as it is",
        *(size, how, "" if 2 * size <= most else ", the largest for these examples"),
    )
    return size


def largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest power of two up to `most` that fits, if larger ones never do; 0 if none does."""
    size = 0
    while max(1, 2 * size) <= most and fits(max(1, 2 * size)):
        size = max(1, 2 * size)
    return size


def trains(config: Mapping[str, Any], data: Any, size: int) -> bool:
    """Return whether a copy of the task trains a few steps, by Lightning's own loop, on batches of a size.

    Neither the data nor the random state is changed.
    """
    options: dict[str, Any] = {name: value for name in OF_TRIALS if (value := config["trainer"].get(name)) is not None}
    epochs = config["trainer"].get("max_epochs")  # which schedules and layers in turn ask for
    if epochs not in (None, -1):
        epochs = max(epochs, STEPS * options.get("accumulate_grad_batches", 1))
    trial = copy.copy(data)
    trial.batch_size = size
    try:
        with isolate_rng(), devices_of(config["trainer"]) as devices:
            task = build_task({**config})
            task.check(trial)
            pl.Trainer(**options, **QUIET, devices=devices, max_epochs=epochs, max_steps=STEPS).fit(task, trial)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True
