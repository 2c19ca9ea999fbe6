"""A trainer for a run folder, and training that can be interrupted and resumed."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from scalian_exp import folders, ranks
from scalian_exp.build import build, one_line
from scalian_exp.callbacks.cuda_graphs import CudaGraphs
from scalian_exp.callbacks.curves import ResumableCurves
from scalian_exp.callbacks.divergence import Divergence
from scalian_exp.callbacks.provenance import AtomicCheckpoints, Provenance, folders_of_checkpoints
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.callbacks.step_checkpoints import StepCheckpoints
from scalian_exp.callbacks.timing import Timing
from scalian_exp.processes import processes
from scalian_exp.refusal import Refusal
from scalian_exp.shell import command_to_resume

BY_HAND = {"gradient_clip_val": None, "accumulate_grad_batches": 1}
"""what Lightning does for tasks with one optimizer only → off"""


def build_trainer(
    config: dict[str, Any], task: Any, folder: Path, devices: Any = 1, trust: Sequence[str] = ()
) -> pl.Trainer:
    """Lightning's trainer with the callbacks and loggers of a config, all writing into the run folder, on these
    devices.

    Args:
        trust: packages of others that the judge of samples may name.
    """
    check_accelerator(config["trainer"])
    if isinstance(devices, list) and not torch.accelerator.is_available():
        raise Refusal(f"trainer.devices={devices}: a CPU has no index; leave trainer.devices out.")
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else each optimizer step looks for NVIDIA's library anew: 0.3 ms
    if config["channels_last"]:
        task.network.to(memory_format=torch.channels_last)
    if config["compile"]:
        torch.compiler.reset()  # in a sweep, jobs share the limit of compilations
        for part in task.compiled():
            part.compile()
    by_hand = [name for name, off in BY_HAND.items() if config["trainer"].get(name) not in (None, off)]
    if not task.automatic_optimization and by_hand:
        raise Refusal(f"trainer.{by_hand[0]}: {type(task).__name__} steps its optimizers by itself; leave it out here.")
    if processes(config["trainer"]) > 1 and task.optimizer is None:
        raise Refusal("trainer.devices: this model trains nothing by gradient; use trainer/accelerator=auto.")
    if "FSDP" in str(config["trainer"].get("strategy")) and hasattr(task.network, "start_from"):
        raise Refusal("trainer/accelerator=fsdp: this network starts from the data, before it is split; use ddp.")
    offers = {"folder": folder, "dirpath": str(folder / "checkpoints"), "monitor": task.monitor, "mode": task.mode}
    offers |= {"trust": trust}
    callbacks = {name: build(f"callbacks.{name}", node, **offers) for name, node in chosen(config["callbacks"])}
    loggers = [
        build(f"logger.{name}", node, save_dir=str(folder)) for name, node in (config["logger"] or {}).items() if node
    ]
    refuse_others("callbacks", callbacks.values(), pl.Callback)
    refuse_others("logger", loggers, Logger)
    frame: list[Any] = [SeededEpochs(config["seed"]), Divergence(), Provenance(config, folder, callbacks), Timing()]
    frame += [ResumableCurves()]
    own = [c for c in callbacks.values() if isinstance(c, StepCheckpoints)]
    steps = own[0] if own else StepCheckpoints(folder, None)
    frame += [CudaGraphs()] if config.get("cuda_graphs") else []
    trainer: pl.Trainer = build(
        "trainer",
        {**config["trainer"], "devices": devices},
        callbacks=[*frame, *(c for c in callbacks.values() if c is not steps), steps],
        logger=loggers,
        plugins=[AtomicCheckpoints(*folders_of_checkpoints(folder, callbacks.values()))],
        default_root_dir=str(folder),
    )
    if config.get("cuda_graphs") and trainer.strategy.root_device.type != "cuda":
        raise Refusal("cuda_graphs=true needs an NVIDIA GPU (trainer/accelerator=gpu); leave it out here.")
    return trainer


def refuse_others(group: str, parts: Iterable[Any], kind: type) -> None:
    """
    Raises:
        Refusal: if a part is of another kind than its place wants.
    """
    for part in parts:
        if not isinstance(part, kind):
            raise Refusal(
                f"{group}: a {type(part).__name__} is no {kind.__name__} of Lightning's; name one by _target_."
            )


def check_shares(trainer: dict[str, Any], data: Any) -> None:
    """
    Raises:
        Refusal: if some of the processes would find nothing to do in a split.
    """
    together = processes(trainer)
    if (least := min(len(split) for split in data.splits.values())) < together:
        raise Refusal(f"A split of {least} examples is too small for {together} processes; use fewer.")


def chosen(nodes: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Those that say what they are: an experiment may also set values of callbacks that are left out."""
    return [(name, node) for name, node in nodes.items() if node and "_target_" in node]


def check_accelerator(trainer: dict[str, Any]) -> None:
    """Refuse a trainer's kind of device if it isn't there."""
    kind = trainer["accelerator"]
    if "strategy" in trainer:
        check_device(kind, f"trainer.accelerator={kind}", "trainer/accelerator=ddp_cpu")
    else:
        check_device(kind, f"trainer/accelerator={kind}")


def check_device(kind: str, said: str, instead: str = "cpu") -> None:
    """Refuse a kind of device that isn't there, in the words that the user said."""
    there = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, kind in ("auto", "cpu")):
        raise Refusal(f"{said}: torch finds no such device on this machine; use {instead} instead.")


def torch_device(said: str) -> torch.device:
    """The device that `device=gpu`, `cuda:1`, `mps`, `auto` or `cpu` means.

    Raises:
        Refusal: if there is no such device.
    """
    kind, colon, index = said.partition(":")
    check_device(kind, f"device={said}")
    if colon and not (index.isdecimal() and int(index) < torch.accelerator.device_count()):
        raise Refusal(f"device={said}: there are {torch.accelerator.device_count()} such devices, counted from 0.")
    found = torch.accelerator.current_accelerator(check_available=True) if kind in ("gpu", "auto") else None
    return torch.device(f"{found.type if found else kind.replace('auto', 'cpu')}{colon}{index}")


@contextmanager
def told_plainly() -> Iterator[None]:
    """
    Raises:
        Refusal: instead of torch's and Lightning's errors, where what the config asks for can't be done.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise Refusal(one_line(error)) from error
    except torch.OutOfMemoryError as error:
        raise Refusal(
            "The GPU's memory is too small for this; take a smaller dataset.batch_size or trainer.precision=bf16-mixed."
        ) from error
    except RuntimeError as error:
        if str(error).startswith("Early stopping conditioned on metric"):
            raise Refusal(one_line(error)) from error
        if "does not have a deterministic implementation" not in str(error):
            raise
        raise Refusal(
            f"trainer.deterministic=true: {str(error).partition(',')[0]}; use trainer.deterministic=warn."
        ) from error


@contextmanager
def ending_cleanly(folder: Path) -> Iterator[None]:
    """Exit code 130 after Ctrl-C, as shells expect; Lightning's is 1, and it leaves later Ctrl-Cs ignored. A request to
    terminate ends as cleanly. Once the run has begun, the command that goes on with it is printed."""
    # a cluster's launcher has a handler of its own, which puts a job back into its queue
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:  # before and after Lightning's loops, which handle theirs
        if folders.state(folder) is folders.State.NONE:
            raise
        if ranks.rank() == 0:
            print(f"\nInterrupted. Go on with: {command_to_resume(folder)}", flush=True)
        raise SystemExit(130) from None
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise SystemExit(130) from None
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
