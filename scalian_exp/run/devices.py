"""Which devices a job gets: their kind and count, and of several GPUs one that no other job has."""

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
"""what trainer.devices says then"""
PAUSE = 0.5
"""seconds between two looks for a free one"""


@contextmanager
def devices_of(trainer: dict[str, Any]) -> Iterator[Any]:
    """trainer.devices as Lightning takes it; `free` is a GPU that is this job's own until it ends."""
    if trainer.get("devices") != FREE:
        yield trainer.get("devices", 1)
        return
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    if not names:  # what has to be said of that is said where the trainer is made
        yield 1
        return
    with one_of(names, Path(tempfile.gettempdir())) as index:
        yield [index]


@contextmanager
def one_of(names: Sequence[str], folder: Path) -> Iterator[int]:
    """The index of a thing that no other process holds; waits until there is one. A process that dies holds nothing."""
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
    """How many processes a trainer's config means, on all machines."""
    if "strategy" not in trainer:
        return 1
    machines, devices = trainer["num_nodes"], trainer["devices"]
    if isinstance(devices, list):
        return machines * len(devices)
    if devices in ("auto", -1):
        return machines * max(1, torch.cuda.device_count())
    return machines * int(devices)


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
