"""A trainer for a run folder, and training that can be interrupted and resumed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from scalian_exp.build import build
from scalian_exp.callbacks.provenance import Provenance
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.callbacks.timing import Timing
from scalian_exp.refusal import Refusal


def build_trainer(config: dict[str, Any], task: Any, folder: Path) -> pl.Trainer:
    """Lightning's trainer with the callbacks and loggers of a config, all writing into the run folder."""
    check_device(config["trainer"]["accelerator"])
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else each optimizer step looks for NVIDIA's library anew: 0.3 ms
    if config["channels_last"]:
        task.network.to(memory_format=torch.channels_last)
    if config["compile"]:
        task.network.compile()
    offers = {"folder": folder, "dirpath": str(folder / "checkpoints"), "monitor": task.monitor, "mode": task.mode}
    callbacks = [build(f"callbacks.{name}", node, **offers) for name, node in config["callbacks"].items() if node]
    loggers = [
        build(f"logger.{name}", node, save_dir=str(folder)) for name, node in (config["logger"] or {}).items() if node
    ]
    frame = [SeededEpochs(config["seed"]), Provenance(config, folder), Timing()]
    return build(
        "trainer", config["trainer"], callbacks=[*frame, *callbacks], logger=loggers, default_root_dir=str(folder)
    )


def check_device(accelerator: str) -> None:
    """Raises:
    Refusal: if the wanted kind of device isn't there.
    """
    there = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(accelerator, True):
        raise Refusal(
            f"trainer/accelerator={accelerator}: torch finds none on this machine; use trainer/accelerator=auto or cpu."
        )


def last_checkpoint(folder: Path) -> Path | None:
    file = folder / "checkpoints" / "last.ckpt"
    return file if file.exists() else None


def best_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint by the monitored metric; the last where nothing was monitored."""
    file = folder / "checkpoints" / "best.ckpt"
    return file if file.exists() else last_checkpoint(folder)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Lightning ends an interrupted training with exit code 1 and a deaf process; shells expect 130 after Ctrl-C."""
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise SystemExit(130) from None
