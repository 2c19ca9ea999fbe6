"""The devices of a job: checks that they exist, their number, and locks that give each job a GPU of its own."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from scalian_exp.refusal import Refusal

FREE = "free"
"""value of trainer.devices that asks for a GPU which no other job uses"""
PAUSE = 0.5
"""seconds between two searches for a free GPU"""


@contextmanager
def devices_of(trainer: dict[str, Any]) -> Iterator[Any]:
    """Yield trainer.devices as Lightning takes it; for `free`, the index of a GPU reserved until the block ends."""
    if trainer.get("devices") != FREE:
        yield trainer.get("devices", 1)
        return
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    if not names:  # build_trainer refuses this
        yield 1
        return
    with one_of(names, Path(tempfile.gettempdir())) as index:
        yield [index]


@contextmanager
def one_of(names: Sequence[str], folder: Path) -> Iterator[int]:
    """Wait for a name that no other process has locked, lock it, and yield its index; a dead process holds no lock."""
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"scalian_exp_{name}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield index
            finally:
                lock.release()
            return
        time.sleep(PAUSE)


def world_size(trainer: dict[str, Any]) -> int:
    """Return the number of processes that a trainer's config asks for, on all machines together."""
    if "strategy" not in trainer:
        return 1
    machines, devices = trainer["num_nodes"], trainer["devices"]
    if isinstance(devices, list):
        return machines * len(devices)
    if devices in ("auto", -1):
        return machines * max(1, torch.cuda.device_count())
    return machines * int(devices)


def check_accelerator(trainer: dict[str, Any]) -> None:
    """Refuse a trainer's kind of device if this machine has none."""
    kind = trainer["accelerator"]
    if "strategy" in trainer:
        check_device(kind, f"trainer.accelerator={kind}", "trainer/accelerator=ddp_cpu")
    else:
        check_device(kind, f"trainer/accelerator={kind}")


def check_device(kind: str, override: str, instead: str = "cpu") -> None:
    """Refuse a kind of device that this machine doesn't have, quoting the override that asks for it."""
    there = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, kind in ("auto", "cpu")):
        raise Refusal(f"{override}: torch finds no such device on this machine; use {instead} instead.")


def torch_device(name: str) -> torch.device:
    """Return the device that `gpu`, `cuda:1`, `mps`, `auto` or `cpu` stands for.

    Raises:
        Refusal: if there is no such device.
    """
    kind, colon, index = name.partition(":")
    check_device(kind, f"device={name}")
    if colon and not (index.isdecimal() and int(index) < torch.accelerator.device_count()):
        raise Refusal(f"device={name}: there are {torch.accelerator.device_count()} such devices, counted from 0.")
    current = torch.accelerator.current_accelerator(check_available=True) if kind in ("gpu", "auto") else None
    return torch.device(f"{current.type if current else kind.replace('auto', 'cpu')}{colon}{index}")
