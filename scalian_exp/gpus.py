"""Several GPUs as a queue: each job of a sweep takes one that no other job of this machine has."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

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
    import torch

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
