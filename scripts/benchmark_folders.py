"""Compare the time of an epoch of your own images with what it must at least take.

    python scripts/benchmark_folders.py

400 photographs of 640×480, made of noise and saved as JPEG, are brought to 128×128. The first epoch, in which all cores
decode, is compared with decoding alone by as many processes, by the clock on the wall; the rounds take turns. Later
epochs are compared with those of the same images in memory, shuffled as well, by this process's CPU time.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from ratios import Ratio, table_of
from rich.console import Console
from torch.utils.data import DataLoader

from scalian_exp.datasets.base import Batches, Indexed, identity_collate
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.image_files import read_image
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.order import ShuffledBatches
from scalian_exp.memory import cores
from scalian_exp.run.record import quiet

PHOTOS, BATCH, ROUNDS = 400, 32, 5
SHAPE = (3, 128, 128)


def make_photos(folder: Path) -> None:
    """Save smooth noise as JPEG files."""
    for number in range(PHOTOS):
        coarse = torch.randint(256, (48, 64, 3), dtype=torch.uint8).numpy()
        Image.fromarray(coarse).resize((640, 480)).save(folder / f"{number:03}.jpg", quality=90)


def read(path: Path, shape: tuple[int, int, int] = SHAPE) -> Any:
    """Decode one photograph as the data set does."""
    return read_image(path, shape, "crop")


def seconds(action: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Return the seconds that an action takes."""
    start = clock()
    action()
    return clock() - start


def drain(loader: DataLoader[Any]) -> None:
    """Go through an epoch."""
    for _ in loader:
        pass


def folder_of(root: Path) -> ImageFolder:
    """Return the data set, set up anew."""
    data = ImageFolder(str(root), in_channels=3, image_size=[128, 128], batch_size=BATCH, num_workers=2)
    data.setup()
    return data


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    first, alone, later, memory = [], [], [], []
    with TemporaryDirectory() as name:
        root = Path(name)
        make_photos(root)
        for _ in range(ROUNDS):
            data = folder_of(root)
            files = data.splits["train"].paths  # type: ignore[attr-defined]
            with ProcessPoolExecutor(cores()) as pool:
                alone.append(seconds(partial(list, pool.map(read, files, chunksize=BATCH)), time.perf_counter))
            loader = data.train_dataloader()
            first.append(seconds(partial(drain, loader), time.perf_counter))
            images = torch.cat([batch["image"] for batch in data.loader("train")])
            same = TensorBatches({"image": images, "label": torch.zeros(len(images), dtype=torch.int64)})
            order = ShuffledBatches(same, BATCH)
            plain = Batches(Indexed(same), batch_size=None, collate_fn=identity_collate, sampler=order)
            turns = [[seconds(partial(drain, each), time.process_time) for each in (loader, plain)] for _ in range(9)]
            later.append(median(turn[0] for turn in turns))
            memory.append(median(turn[1] for turn in turns))
    rows = [
        Ratio("first epoch of image_folder / decoding alone", first, alone, "≤ 1.2"),
        Ratio("a later epoch / the same images in memory", later, memory, "≤ 1.1"),
    ]
    Console().print(table_of(rows, f"seconds per epoch of {PHOTOS} photographs"))


if __name__ == "__main__":
    main()
