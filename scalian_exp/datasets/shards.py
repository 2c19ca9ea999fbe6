"""Data larger than memory, in shards: files of several thousand examples, written by scripts/make_shards.py.

The shards have litdata's format. WebDataset's tar files can only be read sequentially; litdata reads examples by index,
so order, resuming and sharing among processes work as for all other data.
"""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalian_exp.datasets.base import Batched, Examples
from scalian_exp.datasets.folder_splits import print_summary
from scalian_exp.datasets.identity import EXAMPLES, hash_of
from scalian_exp.datasets.images import Images
from scalian_exp.datasets.masks import Masks
from scalian_exp.files import check_regular, read_json
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal

PACKAGES = {"litdata": "shards"}
"""see vocabulary/packages.py"""
FACTS = "shards.json"
"""File in which make_shards.py records the images' shape and the number of classes."""
AGAIN = "write the shards again with scripts/make_shards.py"
SPLITS = ("train", "val", "test")


PLAIN = {"tensor", "no_header_tensor", "numpy", "no_header_numpy", "int", "float", "bool", "bytes", "str"}
"""litdata's formats of numbers and texts; others may be pickles, which can run arbitrary code when opened."""


def plain_index(file: Path) -> dict[str, Any]:
    """Read litdata's index of a split.

    Raises:
        Refusal: if the index is damaged, or its examples may be pickles.
    """
    index: dict[str, Any] = read_json(file, dict, AGAIN)
    config = index.get("config") or {}
    if not isinstance(config, dict):
        raise Refusal(f"{file} is damaged: its config is not a mapping; {AGAIN}.")
    formats = [str(name).partition(":")[0] for name in config.get("data_format") or []]
    if wrong := [name for name in formats if name not in PLAIN]:
        raise Refusal(
            f"{file} says that its examples have the format {wrong[0]}, which could run code when they are opened; "
            f"{AGAIN}."
        )
    if "__enum__" in str(config.get("data_spec")):
        raise Refusal(f"{file} names code to import; {AGAIN}.")
    return index


class ShardedExamples(Batched):
    """The examples of a split, read from its shards when a batch asks for them.

    Args:
        folder: the split's folder.
        mixed: number of shards shuffled together. An epoch visits the shards in random order and reads each once,
            which suits disks and object stores.
    """

    def __init__(self, folder: Path, mixed: int):
        self.folder, self.mixed, self.sizes = folder, mixed, sizes_of(folder)
        self.identity = {"size": len(self), "hash": hash_of(plain_index(folder / "index.json")["chunks"])}
        self.process = 0
        self.stream: Any = None

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, indices: Tensor) -> Examples:
        if self.process != os.getpid():  # a worker process must not share open files with its parent
            from litdata import StreamingDataset

            logging.getLogger("litdata").setLevel(logging.ERROR)  # it logs how it reads, once per split
            self.process, self.stream = os.getpid(), StreamingDataset(str(self.folder))
        examples = [self.stream[index] for index in indices.tolist()]
        return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}

    def order(self, generator: torch.Generator) -> Tensor:
        """Return all indices (N,): shards in random order, examples shuffled within groups of `mixed` shards."""
        ends = list(accumulate(self.sizes))
        shards = [torch.arange(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]
        shuffled = [shards[k] for k in torch.randperm(len(shards), generator=generator).tolist()]
        together = [torch.cat(shuffled[k : k + self.mixed]) for k in range(0, len(shuffled), self.mixed)]
        return torch.cat([part[torch.randperm(len(part), generator=generator)] for part in together])


def facts_of(root: str | Path) -> dict[str, Any]:
    """Read the images' shape and the number of classes from shards.json.

    Raises:
        Refusal: if litdata is missing, or the folder has no shards or a damaged file.
    """
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise Refusal("Reading shards needs litdata; install it: pip install 'scalian-exp[shards]'.") from error
    missing = [
        name for name in (FACTS, *[f"{split}/index.json" for split in SPLITS]) if not (Path(root) / name).exists()
    ]
    if missing:
        raise Refusal(f"dataset.root={root} has no {missing[0]}; write shards into it with scripts/make_shards.py.")
    file = Path(root) / FACTS
    match read_json(file, dict, AGAIN):
        case {"image": [int(), int(), int()], "classes": int()} as facts:
            return facts
    raise Refusal(f"{file} is damaged: it lacks the images' shape or the number of classes; {AGAIN}.")


def sizes_of(folder: Path) -> list[int]:
    """Return the number of examples in each shard of a split.

    Raises:
        Refusal: if index.json is damaged, a shard is missing or incomplete, or examples may be pickles.
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
                if not (compressed or is_complete(folder / name, size)):
                    raise Refusal(
                        f"{folder / name} is damaged: it doesn't have the {size} examples of its index.json; copy it "
                        f"again, or {AGAIN}."
                    )
                sizes.append(size)
            case _:
                raise Refusal(f"{file} is damaged: it doesn't say what each shard contains; {AGAIN}.")
    return sizes


def is_complete(shard: Path, size: int) -> bool:
    """Return whether a shard's header gives this number of examples and matches the length of the file.

    The header is litdata's: little-endian uint32, the number of examples, where each begins, and where the last ends.
    """
    check_regular(shard, AGAIN)
    header = 4 * (size + 2)
    with shard.open("rb") as file:
        start = file.read(header)
    if len(start) < header:
        return False
    count, *places = np.frombuffer(start, "<u4").tolist()
    return count == size and places[0] == header and places == sorted(places) and places[-1] == shard.stat().st_size


def refuse_balance(balanced: bool) -> None:
    """Refuse to balance classes.

    Raises:
        Refusal: if it is wanted.
    """
    if balanced:
        raise Refusal(
            "dataset.balanced=true draws single examples from anywhere, but shards are read one after the other; leave "
            "it out, or write shards in which the classes are as frequent as you want."
        )


class Shards(Images):
    """Images in shards, with labels if the shards have them.

    Args:
        root: the folder that make_shards.py wrote.
        mixed: number of shards shuffled together.
        kwargs: the arguments of `Images`.

    Raises:
        Refusal: if there are no shards, or their images have another shape.
    """

    def __init__(self, root: str, *args: Any, mixed: PositiveInt = 4, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.root, self.mixed = Path(root), mixed
        refuse_balance(self.balanced)

    @property
    def classes_in_labels(self) -> int:
        """Number of classes, as make_shards.py recorded it."""
        return int(facts_of(self.root)["classes"])

    def setup(self, stage: str | None = None) -> None:
        """Read the shards' indices; examples are read when a batch asks for them.

        Raises:
            Refusal: if there are no shards, or they are damaged or have another shape.
        """
        self.check_shape("The shards' images", facts_of(self.root)["image"])
        if self.splits:
            return
        parts = {name: ShardedExamples(self.root / name, self.mixed) for name in SPLITS}
        self.identity = {EXAMPLES: {name: part.identity for name, part in parts.items()}}
        self.splits = {**parts}
        print_summary(self.root, "images in shards", parts, Counter())


class MaskShards(Masks):
    """Images with masks in shards.

    Args:
        root: the folder that make_shards.py wrote.
        mixed: number of shards shuffled together.
        kwargs: the arguments of `Masks`.

    Raises:
        Refusal: if there are no shards, or their images have another shape.
    """

    def __init__(self, root: str, *args: Any, mixed: PositiveInt = 4, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.root, self.mixed = Path(root), mixed
        refuse_balance(self.balanced)

    def read(self) -> Mapping[str, Batched]:
        """Read the shards' indices; examples are read when a batch asks for them.

        Raises:
            Refusal: if the shards are damaged, have another shape, or too many classes.
        """
        facts = facts_of(self.root)
        self.check_shape("The shards' images", facts["image"])
        if facts["classes"] > self.num_classes:
            raise Refusal(
                f"The masks in {self.root} have {facts['classes']} classes, but dataset.num_classes is "
                f"{self.num_classes}; correct it."
            )
        parts = {name: ShardedExamples(self.root / name, self.mixed) for name in SPLITS}
        self.identity = {EXAMPLES: {name: part.identity for name, part in parts.items()}}
        print_summary(self.root, "images and masks in shards", parts, Counter())
        return parts
