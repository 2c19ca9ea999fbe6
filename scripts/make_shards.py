"""Write a data set as shards, which are loaded on demand, for data that don't fit in memory.

    python scripts/make_shards.py shards dataset=image_folder dataset.root=photos dataset.image_size=[64,64]
    scalian-train model=conv_vae dataset=shards dataset.root=shards

The first argument is the folder to write; the others are overrides that choose the data set, as for scalian-train.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from litdata import optimize

from scalian_exp.build import build
from scalian_exp.commandline import app
from scalian_exp.commandline.shell import word
from scalian_exp.datasets.base import Batched
from scalian_exp.datasets.shards import FACTS, SPLITS
from scalian_exp.files import write_text
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.checks import resolved
from scalian_exp.vocabulary.config_folders import CONFIGS

BLOCK = 256
"""number of examples that are read at once"""
SHARD_BYTES = "32MB"
"""maximum size of a shard; several are open at once"""


def examples(data: Batched, start: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the examples of a block of a split."""
    batch = data[torch.arange(start, min(start + BLOCK, len(data)))]
    for position in range(len(batch["image"])):
        yield {name: values[position] for name, values in batch.items()}


def write(folder: Path, overrides: list[str]) -> None:
    """Write all splits of a data set as shards.

    Args:
        folder: where to write.
        overrides: choose the data set, as for scalian-train.

    Raises:
        Refusal: if the folder isn't empty, or the data set has no images.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Refusal(f"{folder} isn't empty; choose another folder.")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = resolved(compose("train", overrides=overrides))
    data: Any = build("dataset", config["dataset"])
    data.prepare_data()
    data.setup("fit")
    first = data.splits["train"][torch.arange(1)]
    if "image" not in first:
        raise Refusal("Shards are for images: choose a dataset that provides them.")
    for name in SPLITS:
        blocks = list(range(0, len(data.splits[name]), BLOCK))
        one_by_one = partial(examples, data.splits[name])
        print(f"{name:6} {len(data.splits[name])} examples", flush=True)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # litdata prints a lot
            optimize(one_by_one, blocks, str(folder / name), chunk_bytes=SHARD_BYTES, num_workers=1)
    classes = data.num_classes if "mask" in first else data.classes_in_labels
    channels, height, width = first["image"].shape[1:]
    write_text(folder / FACTS, json.dumps({"image": [channels, height, width], "classes": classes}) + "\n")
    kind = "mask_shards" if "mask" in first else "shards"
    print(
        f"To train on them: scalian-train model=… dataset={kind} {word('dataset.root', folder)} "
        f"dataset.in_channels={channels} 'dataset.image_size=[{height},{width}]'"
        + (f" dataset.num_classes={classes}" if classes else "")
    )


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder to write")
    parser.add_argument("overrides", nargs="+", help="choose the data set, as for scalian-train")
    arguments = parser.parse_args()
    app.with_sentences(lambda: write(arguments.folder, arguments.overrides))


if __name__ == "__main__":
    main()
