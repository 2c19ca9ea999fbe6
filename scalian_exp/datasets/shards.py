"""Data that doesn't fit in memory, in shards: files of some thousand examples, which scripts/make_shards.py writes.

The shards are litdata's. WebDataset's tar files can only be read from front to back; litdata's examples are found by
their number, and so order, resuming and the division among processes are those of all other data.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import Transform

from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.identity import EXAMPLES, hash_of
from scalian_exp.datasets.images import Images
from scalian_exp.datasets.masks import Masks
from scalian_exp.files import check_regular, read_json
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

FACTS = "shards.json"
"""what make_shards.py says of all splits: the images' shape, and how many classes there are"""
AGAIN = "write the shards again by scripts/make_shards.py"
SPLITS = ("train", "val", "test")


PLAIN = {"tensor", "no_header_tensor", "numpy", "no_header_numpy", "int", "float", "bool", "bytes", "str"}
"""litdata's formats that are numbers and texts; others may be pickles, which can run any code when they are opened"""


def plain_index(file: Path) -> dict[str, Any]:
    """What litdata's index of a split says.

    Raises:
        Refusal: if its examples may be pickles.
    """
    index: dict[str, Any] = read_json(file, dict, AGAIN)
    config = index.get("config") or {}
    if not isinstance(config, dict):
        raise Refusal(f"{file} is damaged: its config is something else; {AGAIN}.")
    formats = [str(name).partition(":")[0] for name in config.get("data_format") or []]
    if wrong := [name for name in formats if name not in PLAIN]:
        raise Refusal(
            f"{file} says that its examples are of the kind {wrong[0]}, which could run code when they are opened; "
            f"{AGAIN}."
        )
    if "__enum__" in str(config.get("data_spec")):
        raise Refusal(f"{file} names code to be imported; {AGAIN}.")
    return index


class ShardedExamples(Batched):
    """A split's examples, read when a batch asks for them.

    Args:
        folder: of one split.
        mixed: so many shards are shuffled together. An epoch goes through the shards in random order, and each is read
            once: disks and buckets like that.
    """

    def __init__(self, folder: Path, mixed: int):
        self.folder, self.mixed, self.sizes = folder, mixed, sizes_of(folder)
        self.identity = {"size": len(self), "hash": hash_of(plain_index(folder / "index.json")["chunks"])}
        self.process = 0
        self.stream: Any = None

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, indices: Tensor) -> Examples:
        if self.process != os.getpid():  # a loader's process must not share open files with the one that made it
            from litdata import StreamingDataset

            logging.getLogger("litdata").setLevel(logging.ERROR)  # it tells how it reads, of each split anew
            self.process, self.stream = os.getpid(), StreamingDataset(str(self.folder))
        examples = [self.stream[index] for index in indices.tolist()]
        return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}

    def order(self, generator: torch.Generator) -> Tensor:
        ends = list(accumulate(self.sizes))
        shards = [torch.arange(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]
        shuffled = [shards[k] for k in torch.randperm(len(shards), generator=generator).tolist()]
        together = [torch.cat(shuffled[k : k + self.mixed]) for k in range(0, len(shuffled), self.mixed)]
        return torch.cat([part[torch.randperm(len(part), generator=generator)] for part in together])


def facts_of(root: str | Path) -> dict[str, Any]:
    """What shards.json says.

    Raises:
        Refusal: if litdata is missing, or the folder holds no shards of ours.
    """
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise Refusal("Shards are read by litdata; install it: pip install 'scalian-exp[shards]'.") from error
    missing = [
        name for name in (FACTS, *[f"{split}/index.json" for split in SPLITS]) if not (Path(root) / name).exists()
    ]
    if missing:
        raise Refusal(f"dataset.root={root} has no {missing[0]}; write shards into it by scripts/make_shards.py.")
    file = Path(root) / FACTS
    match read_json(file, dict, AGAIN):
        case {"image": [int(), int(), int()], "classes": int()} as facts:
            return facts
    raise Refusal(f"{file} is damaged: it doesn't tell the images' shape and the number of classes; {AGAIN}.")


def sizes_of(folder: Path) -> list[int]:
    """How many examples each shard of a split has.

    Raises:
        Refusal: if index.json is damaged, a shard is missing or not whole, or they may be pickles.
    """
    file = folder / "index.json"
    sizes = []
    index = plain_index(file)
    compressed = (index.get("config") or {}).get("compression")
    for shard in index.get("chunks") or [None]:
        match shard:
            case {"chunk_size": int(size), "filename": str(name)} if size > 0:
                if not (folder / name).is_file():
                    raise Refusal(f"{folder} has no {name}, which its index.json names; {AGAIN}.")
                if not (compressed or is_whole(folder / name, size)):
                    raise Refusal(
                        f"{folder / name} is damaged: it doesn't hold {size} examples as its index.json says; copy it "
                        f"again, or {AGAIN}."
                    )
                sizes.append(size)
            case _:
                raise Refusal(f"{file} is damaged: it doesn't tell what each shard holds; {AGAIN}.")
    return sizes


def is_whole(shard: Path, size: int) -> bool:
    """Does a shard begin with this number of examples, and end where its own table of their places says?

    The table is litdata's: little-endian uint32, the number of examples, where each begins, and where the last ends.
    """
    check_regular(shard, AGAIN)
    header = 4 * (size + 2)
    with shard.open("rb") as file:
        start = file.read(header)
    if len(start) < header:
        return False
    count, *places = np.frombuffer(start, "<u4").tolist()
    return count == size and places[0] == header and places == sorted(places) and places[-1] == shard.stat().st_size


class Shards(Images):
    """Images, with labels where the shards have them.

    Args:
        root: the folder that make_shards.py wrote.
        mixed: shards that are shuffled together.

    Raises:
        Refusal: if there are no such shards, or their images are of another shape.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        batch_size: PositiveInt = 128,
        num_workers: NonNegativeInt = 0,
        mixed: PositiveInt = 4,
    ):
        super().__init__(in_channels, image_size, batch_size, num_workers)
        self.root, self.mixed = Path(root), mixed

    @property
    def classes_found(self) -> int:
        return int(facts_of(self.root)["classes"])

    def setup(self, stage: str | None = None) -> None:
        self.check_shape("The shards' images", facts_of(self.root)["image"])
        parts = {name: ShardedExamples(self.root / name, self.mixed) for name in SPLITS}
        self.identity = {EXAMPLES: {name: part.identity for name, part in parts.items()}}
        self.splits = {**parts}


class MaskShards(Masks):
    """Images with masks, as Shards.

    Raises:
        Refusal: as there.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        num_classes: PositiveInt,
        ignore_index: NonNegativeInt | None = None,
        augmentation: Mapping[str, Transform] | None = None,
        batch_size: PositiveInt = 8,
        num_workers: NonNegativeInt = 0,
        mixed: PositiveInt = 4,
    ):
        super().__init__(in_channels, image_size, num_classes, ignore_index, augmentation, batch_size, num_workers)
        self.root, self.mixed = Path(root), mixed

    def read(self) -> Mapping[str, Batched]:
        facts = facts_of(self.root)
        self.check_shape("The shards' images", facts["image"])
        if facts["classes"] > self.num_classes:
            raise Refusal(
                f"The masks in {self.root} have {facts['classes']} classes, but dataset.num_classes is "
                f"{self.num_classes}; correct it."
            )
        parts = {name: ShardedExamples(self.root / name, self.mixed) for name in SPLITS}
        self.identity = {EXAMPLES: {name: part.identity for name, part in parts.items()}}
        return parts
