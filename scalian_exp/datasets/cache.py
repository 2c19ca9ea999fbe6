"""Decoded examples that are kept in memory or on disk, where all processes of a loader see them."""

import mmap
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from math import prod
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from scalian_exp.datasets.base import Examples
from scalian_exp.files import replacing

KNOWN = 1 << 32
"""Flag of an example that is kept, beside its CRC-32."""
LOCK = "scalian_exp_cache.lock"
"""Name of a temporary file that is locked while a cache file is created."""
DECODING = 1
"""Version of the decoding; to be raised when the same file and options give other values."""
Shape = tuple[int, ...]


class Cache:
    """Cache of uint8 examples, each stored once it has been decoded.

    Processes that are forked from this one share it, so each example is decoded by only one of them. So do all
    processes that open the same file; each checks an example's CRC-32 when it first reads it, because a file may have
    been damaged, or cut off by a crash of the machine.

    Args:
        shapes: name → shape of an example.
        count: number of examples.
        file: where to keep them; None keeps them in memory.

    Raises:
        OSError: if the disk has no room for the file, or it can't be written.
    """

    def __init__(self, shapes: Mapping[str, Shape], count: int, file: Path | None = None):
        self.file, self.count = file, count
        self.verified, self.all_verified = np.zeros(count, dtype=bool), False
        size = bytes_of(shapes, count)
        room = np.frombuffer(mmap.mmap(-1, size) if file is None else mapped(file, size), dtype=np.uint8)
        self.flags = room[: 8 * count].view(np.uint64)
        """(N,): 0, or KNOWN and the CRC-32 of an example."""
        self.examples: dict[str, Tensor] = {}
        start = 8 * count
        for name, shape in shapes.items():
            end = start + count * prod(shape)
            self.examples[name] = torch.from_numpy(room[start:end]).view(count, *shape)
            start = end

    @property
    def complete(self) -> bool:
        """Whether all examples are kept."""
        return bool(self.flags.all())

    def unverified(self, indices: Tensor) -> list[int]:
        """Return those of the indices (B,) that this process has neither read nor put here yet."""
        if self.all_verified:  # in every later epoch
            return []
        chosen = indices.numpy()
        pending: list[int] = chosen[~self.verified[chosen]].tolist()
        self.all_verified = not pending and bool(self.verified.all())
        return pending

    def lacks(self, index: int) -> bool:
        """Return whether an example isn't kept, or is damaged."""
        if not self.verified[index] and self.flags[index]:
            self.verified[index] = int(self.flags[index]) == self.checksum(index)
        return not self.verified[index]

    def put(self, index: int, example: Examples) -> None:
        """Keep a decoded example; its flag is set last, so that no process reads a half-written one."""
        for name, values in example.items():
            self.examples[name][index] = values
        self.flags[index] = self.checksum(index)
        self.verified[index] = True

    def checksum(self, index: int) -> int:
        """Return KNOWN and the CRC-32 of an example."""
        total = 0
        for values in self.examples.values():
            total = zlib.crc32(values[index].numpy().tobytes(), total)
        return KNOWN | total

    def __getitem__(self, indices: Tensor) -> Examples:
        return {name: values.index_select(0, indices) for name, values in self.examples.items()}


def bytes_of(shapes: Mapping[str, Shape], count: int) -> int:
    """Return the size of a cache for this many examples of these shapes."""
    return count * (8 + sum(map(prod, shapes.values())))


def mapped(file: Path, size: int) -> mmap.mmap:
    """Map a file of this size to memory, and create it if there is none.

    Of several processes only one creates it: a second would replace the file that the first has mapped.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(Path(tempfile.gettempdir()) / LOCK, mode=0o666):
        if not file.exists() or file.stat().st_size != size:
            with replacing(file) as part, part.open("wb") as empty:
                if hasattr(os, "posix_fallocate"):  # a full disk is noticed here, not by a signal while writing
                    os.posix_fallocate(empty.fileno(), 0, size)
                empty.truncate(size)
        with file.open("r+b") as existing:
            return mmap.mmap(existing.fileno(), size)


def file_for(what: Sequence[object], files: Sequence[tuple[Path, int]]) -> Path:
    """Return the cache file for these files, and delete the one for an earlier state of them, with what lies beside it.

    Args:
        what: everything that determines how files are decoded, and which belong to a split; the folder and split.
        files: the files, and which of their pages.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scalian_exp"
    states = [(str(path), page, path.stat().st_size, path.stat().st_mtime_ns) for path, page in files]
    name = digest([*what, DECODING, version("pillow"), version("torchvision")])
    file = folder / f"{name}-{digest(states)}.decoded"
    for earlier in folder.glob(f"{name}-*"):
        if not earlier.name.startswith(file.stem):
            with suppress(PermissionError):  # on Windows, if a process uses it; elsewhere, that process keeps it
                earlier.unlink(missing_ok=True)
    return file


def digest(values: Sequence[object]) -> str:
    """Return a short hash of values by their representations."""
    return sha256(repr(list(values)).encode()).hexdigest()[:20]
