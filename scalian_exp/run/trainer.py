"""Build Lightning's trainer for a run folder, with the callbacks that make a run resumable."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from scalian_exp.build import build
from scalian_exp.callbacks.cuda_graphs import CudaGraphs
from scalian_exp.callbacks.curves import ResumableCurves
from scalian_exp.callbacks.divergence import Divergence
from scalian_exp.callbacks.inference import FastTest
from scalian_exp.callbacks.provenance import AtomicCheckpoints, Provenance, folders_of_checkpoints
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.callbacks.step_checkpoints import StepCheckpoints
from scalian_exp.callbacks.timing import Timing
from scalian_exp.folders import CHECKPOINTS
from scalian_exp.precision import widest
from scalian_exp.refusal import Refusal
from scalian_exp.run.devices import check_accelerator, world_size
from scalian_exp.run.objective import Objective, mode_of
from scalian_exp.run.record import announce_interruption
from scalian_exp.tasks.capabilities import StartsFromData
from scalian_exp.tasks.offers import offers

BY_HAND = {"gradient_clip_val": None, "accumulate_grad_batches": 1}
"""options that Lightning offers only for tasks with automatic optimization → the value that turns them off"""


def build_trainer(
    config: dict[str, Any], task: Any, folder: Path, devices: Any = 1, trust: Sequence[str] = ()
) -> pl.Trainer:
    """Build Lightning's trainer with a config's callbacks and loggers, all of which write into the run folder.

    Args:
        config: the resolved config.
        task: the task to train.
        folder: the run folder.
        devices: as Lightning takes them.
        trust: third-party packages that the judge of samples may name.

    Raises:
        Refusal: if the config asks for a device, strategy, callback or logger that can't be used here.
    """
    check_accelerator(config["trainer"])
    if isinstance(devices, list) and not torch.accelerator.is_available():
        raise Refusal(f"trainer.devices={devices}: a CPU has no index; leave trainer.devices out.")
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or each optimizer step looks for NVIDIA's library again: 0.3 ms
    if config["channels_last"]:
        task.network.to(memory_format=torch.channels_last)
    if config["compile"]:
        torch.compiler.reset()  # the jobs of a sweep would share one limit on compilations
        for part in task.compiled():
            part.compile()
    by_hand = [name for name, off in BY_HAND.items() if config["trainer"].get(name) not in (None, off)]
    if not task.automatic_optimization and by_hand:
        raise Refusal(f"trainer.{by_hand[0]}: {type(task).__name__} steps its optimizers by itself; leave it out here.")
    if world_size(config["trainer"]) > 1 and task.optimizer is None:
        raise Refusal("trainer.devices: this model trains nothing by gradient; use trainer/accelerator=auto.")
    if "FSDP" in str(config["trainer"].get("strategy")) and offers(task.network, StartsFromData):
        raise Refusal("trainer/accelerator=fsdp: this network starts from the data, before it is split; use ddp.")
    own = Objective(task.monitor, task.mode)
    given = {"folder": folder, "dirpath": str(folder / CHECKPOINTS), "monitor": own.monitor}
    given |= {"trust": trust, "announce": announce_interruption}
    callbacks = {
        name: build(f"callbacks.{name}", node, **given, mode=mode_of(name, node, own))
        for name, node in chosen(config["callbacks"])
    }
    nodes = chosen(config["logger"] or {})
    loggers = [build(f"logger.{name}", node, save_dir=str(folder)) for name, node in nodes]
    refuse_others("callbacks", callbacks.values(), pl.Callback)
    refuse_others("logger", loggers, Logger)
    check_backbone(callbacks, task)
    frame: list[Any] = [SeededEpochs(config["seed"]), Divergence(), Provenance(config, folder, callbacks), Timing()]
    frame += [ResumableCurves()]
    stepwise = [c for c in callbacks.values() if isinstance(c, StepCheckpoints)]
    steps = stepwise[0] if stepwise else StepCheckpoints(folder, announce_interruption, None)
    frame += [] if config["compile"] else [FastTest()]  # a copy would not be compiled
    frame += [CudaGraphs()] if config.get("cuda_graphs") else []
    trainer: pl.Trainer = build(
        "trainer",
        {**config["trainer"], "devices": devices},
        callbacks=[*frame, *(c for c in callbacks.values() if c is not steps), steps],
        logger=loggers,
        plugins=[AtomicCheckpoints(*folders_of_checkpoints(folder, callbacks.values()))],
        default_root_dir=str(folder),
    )
    if trainer.precision == "64-true" and widest(trainer.strategy.root_device) != torch.float64:
        raise Refusal("trainer.precision=64-true: Apple's GPUs have no double precision; use trainer/accelerator=cpu.")
    if config.get("cuda_graphs") and trainer.strategy.root_device.type != "cuda":
        raise Refusal("cuda_graphs=true needs an NVIDIA GPU (trainer/accelerator=gpu); leave it out here.")
    return trainer


def refuse_others(group: str, parts: Iterable[Any], kind: type) -> None:
    """Refuse callbacks or loggers that don't derive from Lightning's base class.

    Raises:
        Refusal: if one doesn't.
    """
    for part in parts:
        if not isinstance(part, kind):
            raise Refusal(f"{group}: {type(part).__name__} is not a Lightning {kind.__name__}; name one by _target_.")


def check_backbone(callbacks: dict[str, Any], task: Any) -> None:
    """Refuse Lightning's BackboneFinetuning for a task that lacks the part that it freezes.

    Raises:
        Refusal: if it would end in an AttributeError.
    """
    for name, callback in callbacks.items():
        if isinstance(callback, pl.callbacks.BackboneFinetuning) and not hasattr(task, "backbone"):
            raise Refusal(
                f"callbacks.{name}: BackboneFinetuning freezes a task's `backbone`, but {type(task).__name__} has no "
                "part called backbone; use a callback of your own, derived from BaseFinetuning."
            )


def check_shares(trainer: dict[str, Any], data: Any) -> None:
    """Refuse data with a split that has fewer examples than there are processes.

    Raises:
        Refusal: if there is such a split.
    """
    together = world_size(trainer)
    if (least := min(len(split) for split in data.splits.values())) < together:
        raise Refusal(f"A split of {least} examples is too small for {together} processes; use fewer.")


def chosen(nodes: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the nodes with a _target_; the others are values that an experiment sets for parts that it leaves out."""
    return [(name, node) for name, node in nodes.items() if node and "_target_" in node]
