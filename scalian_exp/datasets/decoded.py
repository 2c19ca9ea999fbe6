"""Data that is decoded once, and then cached for later epochs."""

import multiprocessing
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from scalian_exp.datasets.base import Batched, Batches, Data, Examples, Indexed, identity_collate
from scalian_exp.datasets.cache import Cache, Shape, bytes_of, file_for
from scalian_exp.memory import amount, cores, total

MOST_PROCESSES = 16
"""Maximum number of processes that decode at once."""
MANY = 2000
"""Number of examples from which on decoding them takes long enough to be announced."""
Kept = Literal["memory", "disk"]


class Decoded(Batched):
    """Examples in files, decoded when a batch asks for them, and only once if there is a cache."""

    cache: Cache | None = None

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """Name → shape of one example, uint8."""

    @property
    @abstractmethod
    def sources(self) -> list[tuple[Path, int]]:
        """All files with their page numbers, which together with the options determine the examples."""

    @abstractmethod
    def decode(self, index: int) -> Examples:
        """Decode one example.

        Raises:
            Refusal: if its file can't be read.
        """

    def decoded(self, indices: Tensor) -> Examples:
        """Return the examples at these indices (B,), decoding those that aren't kept."""
        if self.cache is None:
            examples = [self.decode(index) for index in indices.tolist()]
            return {name: torch.stack([example[name] for example in examples]) for name in self.shapes}
        for index in self.cache.unverified(indices):
            self.fill(self.cache, index)
        return self.cache[indices]

    def fill(self, cache: Cache, index: int) -> None:
        """Decode an example that the cache lacks."""
        if cache.lacks(index):
            cache.put(index, self.decode(index))

    @property
    def complete(self) -> bool:
        """Whether nothing is left to decode."""
        return self.cache is not None and self.cache.complete

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cache out, which can't be pickled: processes that aren't forked decode by themselves."""
        return {**vars(self), "cache": None}


class OnceLoader(Batches):
    """A loader whose processes end with the epoch in which they have decoded the last example."""

    def __iter__(self) -> Any:
        if self.num_workers and self.dataset.data.complete:  # type: ignore[attr-defined]
            self.num_workers, self._iterator = 0, None
        return super().__iter__()


class DecodesOnce(Data):
    """Mixin of data modules whose splits are `Decoded`."""

    def keep(self, splits: Mapping[str, Decoded], where: Kept, most_gb: float, what: Sequence[object]) -> None:
        """Give the splits caches, if they fit.

        Args:
            splits: the splits.
            where: in memory, or in a file below $XDG_CACHE_HOME or ~/.cache, which later runs use too.
            most_gb: size of all caches in the memory of this machine, whose processes have one each, in gigabytes; 0
                keeps nothing there.
            what: everything that determines how files are decoded, and which belong to a split.

        Raises:
            OSError: if the file can't be written.
        """
        if where == "disk":
            for name, data in splits.items():
                data.cache = Cache(data.shapes, len(data), file_for([*what, name], data.sources))
            return
        size = processes() * sum(bytes_of(data.shapes, len(data)) for data in splits.values())
        if size <= min(most_gb * 1e9, total() / 2):
            for data in splits.values():
                data.cache = Cache(data.shapes, len(data))
        elif most_gb > 0:
            owners = f" in {processes()} processes" if processes() > 1 else ""
            print(
                f"Once decoded, the {self.noun} would take {amount(size)}{owners}, more than "
                f"dataset.cache_gb={most_gb:g} or half of what this machine has, so they are decoded again in every "
                "epoch; dataset.cache=disk keeps them in a file."
            )

    def decode_ahead(self, splits: Sequence[str], process: tuple[int, int] = (0, 1)) -> None:
        """Decode what these splits' caches lack, so that a broken file is found before a long training.

        Splits without a cache are left to be read as they are met, because they would be decoded again.

        Args:
            splits: names of the splits.
            process: this process's number, and the number of processes, each of which decodes its share.

        Raises:
            Refusal: if a file can't be read.
        """
        for name in splits:
            data = self.splits[name]
            if not isinstance(data, Decoded) or data.cache is None or data.complete:
                continue
            if len(data) >= MANY and process[0] == 0:
                print(f"Decoding the {len(data)} {self.noun} for {name}, once for all epochs.", flush=True)
            # threads, because Pillow decodes without Python's lock, and processes that refuse end slowly
            with ThreadPoolExecutor(max(1, min(MOST_PROCESSES, cores() // processes()))) as pool:
                list(pool.map(partial(data.fill, data.cache), range(process[0], len(data), process[1])))

    def loader_of(self, split: str, batches: Sampler[Any]) -> DataLoader[Examples]:
        """Return a loader of the batches of a split whose indices a sampler yields.

        All cores decode what isn't kept yet; what is kept needs no processes.
        """
        data = self.splits[split]
        forks = "fork" in multiprocessing.get_all_start_methods()
        if not isinstance(data, Decoded) or data.cache is None or not forks:
            return super().loader_of(split, batches)
        most = min(MOST_PROCESSES, cores() // processes())
        workers = 0 if data.complete or not self.num_workers else max(self.num_workers, most)
        return OnceLoader(
            Indexed(data),
            batch_size=None,
            collate_fn=identity_collate,
            sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.epoch),
            multiprocessing_context="fork" if workers else None,
        )


def processes() -> int:
    """Return how many processes torch's launcher has started on this machine to train together; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
