"""Measure the framework's overhead over a plain training loop, as ratios measured in one run.

    make benchmark

The steps of both are interleaved, on the same tensors with the same optimizer, so that a machine that slows down slows
both. Their times are CPU times of this process, with all its threads, which other programs change little; a ratio is
the median over epochs, beside the lowest and the highest. The framework runs with everything that a user sees in every
epoch: progress bar, TensorBoard, CSV, validation and checkpoints, but without figures, which are drawn every fifth
epoch. Only the usual pipeline of PIL images, which is several times slower, runs separately, after a warm-up pass, with
torch's default environment and by the clock on the wall. The images are random, because the time doesn't depend on what
they show.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from beside import train_beside
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from ratios import Ratio, table_of
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from scalian_exp.build import build, build_task
from scalian_exp.run.record import quiet
from scalian_exp.vocabulary.config_folders import CONFIGS

BATCH = 128
IMAGES = 60_000
TURN = 5
"""number of steps that one loop runs before the other takes its turn"""


def resolved(model: str, images: int) -> dict[str, Any]:
    """Return the config of `scalian-train model=… dataset=fake_images`."""
    data = f"dataset=fake_images dataset.image_size=[28,28] dataset.batch_size={BATCH} dataset.test_size=1".split()
    sizes = [f"dataset.train_size={images + BATCH}", f"dataset.val_size={BATCH}"]  # one batch of validation
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[f"model={model}", *data, *sizes, "~callbacks.summary", "~sweep"])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def torch_loss(logits: Tensor, kl: Tensor, x: Tensor) -> Tensor:
    """Compute the negative ELBO by hand, with torch's own cross-entropy."""
    return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl.sum()) / len(x)


def plain_steps(network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, batches: Iterable[Tensor]) -> None:
    """Train with a hand-written loop."""
    network.train()
    for x in batches:
        logits, kl = network(x)
        optimizer.zero_grad()
        loss(logits, kl, x).backward()
        optimizer.step()


def in_memory(images: Tensor) -> Iterator[Tensor]:
    """Yield batches without end, reshuffled for each pass."""
    while True:
        for indices in torch.randperm(len(images)).split(BATCH):
            yield images.index_select(0, indices).div(255)


class SideBySide(pl.Callback):
    """Run steps of plain loops, one for each loss, between Lightning's steps, and add up the times of each per epoch.

    All train the same network with the same optimizer: of two identical networks, one may lie better in memory, which
    changes times by 5 %. The framework's time is the rest of an epoch, from its start to the start of the next,
    including validation and checkpoints.
    """

    def __init__(self, batches: Iterator[Tensor], losses: list[Loss]):
        self.batches, self.losses = batches, losses
        self.epochs: list[list[float]] = []
        """seconds of each epoch: the framework, then the plain loop with each loss"""
        self.start, self.plain = 0.0, [0.0 for _ in losses]

    def end_epoch(self) -> None:
        """Record the times of the epoch that ends, if one has begun."""
        if self.start:
            self.epochs.append([time.process_time() - self.start - sum(self.plain), *self.plain])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the previous epoch and restart the clocks."""
        self.end_epoch()
        self.start, self.plain = time.process_time(), [0.0 for _ in self.losses]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Run and time a turn of each plain loop."""
        if batch_idx % TURN == 0:
            for i, loss in enumerate(self.losses):
                batches = islice(self.batches, min(TURN, trainer.num_training_batches - batch_idx))
                start = time.process_time()
                plain_steps(pl_module.network, loss, trainer.optimizers[0], batches)
                self.plain[i] += time.process_time() - start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the last epoch."""
        self.end_epoch()


def drain(batches: Iterable[Any]) -> None:
    """Consume all batches and keep none, as training does."""
    for _ in batches:
        pass


def seconds(action: Callable[[], Any]) -> float:
    """Return the seconds of wall-clock time that an action takes, with those of its worker processes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def frame(model: str, images: int, epochs: int) -> list[tuple[float, ...]]:
    """Return the seconds of each epoch: the framework, a plain loop with torch's loss, one with this package's loss."""
    config = resolved(model, images)
    config["trainer"]["max_epochs"] = epochs
    del config["callbacks"]["figures"]  # drawn only every fifth epoch
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup()
    pixels = data.splits["train"].examples["image"]
    side = SideBySide(in_memory(pixels), [torch_loss, lambda *args: task.loss(*args).loss])
    train_beside(config, task, data, side)
    return list(zip(*side.epochs[1:], strict=True))


def write_idx(folder: Path, images: int) -> None:
    """Write random images in MNIST's file format, for torchvision's own class."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", images), ("t10k", 10)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = np.array([0x00000803, count, 28, 28], ">u4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = np.array([0x00000801, count], ">u4").tobytes()
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(count))


def usual_pipeline(images: int, workers: int) -> tuple[float, float, float]:
    """Return seconds per epoch: the usual pipeline without training and with it, and this package's data alone."""
    config = resolved("vae", images)
    twin, data = build_task(config), build("dataset", config["dataset"])
    data.setup()
    optimizer = twin.optimizer(twin.network.parameters())
    with tempfile.TemporaryDirectory() as folder:
        write_idx(Path(folder) / "MNIST/raw", images)
        loader = DataLoader(MNIST(folder, transform=ToTensor()), BATCH, shuffle=True, num_workers=workers)
        drain(loader)
        alone = seconds(lambda: drain(x for x, _ in loader))
        with patch.dict(os.environ):
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # as in a plain script
            trained = seconds(lambda: plain_steps(twin.network, torch_loss, optimizer, (x for x, _ in loader)))
    ours = median(seconds(lambda: drain(data.prepare(batch) for batch in data.train_dataloader())) for _ in range(5))
    return alone, trained, ours


def start_up() -> float:
    """Return the median seconds of `scalian-train --cfg job`."""
    command = [sys.executable, "-m", "scalian_exp.train", "--cfg", "job"]
    return median(seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(5))


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    vae, vae_plain, vae_same_loss = frame("vae", IMAGES, epochs=8)
    conv, conv_plain, conv_same_loss = frame("conv_vae", IMAGES, epochs=4)
    alone, trained, ours = usual_pipeline(IMAGES, workers=0)
    alone_2, trained_2, _ = usual_pipeline(IMAGES, workers=2)
    epoch = [median(vae)]
    rows = [
        Ratio("VAE 784-400-20: ours / plain loop with torch's loss", vae, vae_plain),
        Ratio("VAE 784-400-20: ours / plain loop with our loss", vae, vae_same_loss, "≤ 1.05"),
        Ratio("conv_vae: ours / plain loop with torch's loss", conv, conv_plain),
        Ratio("conv_vae: ours / plain loop with our loss", conv, conv_same_loss, "≤ 1.03"),
        Ratio("VAE: ours / usual pipeline", epoch, [trained], "≤ 0.4"),
        Ratio("VAE: plain loop over images in memory / usual pipeline", [median(vae_plain)], [trained]),
        Ratio("VAE: ours / usual pipeline, 2 workers", epoch, [trained_2]),
        Ratio("data alone: usual pipeline / ours", [alone], [ours], "≥ 50"),
        Ratio("data alone: usual pipeline, 2 workers / ours", [alone_2], [ours]),
    ]
    Console().print(table_of(rows, "seconds per epoch"))
    print(f"start-up of --cfg job: {start_up():.2f} s, wanted < 1.5")
    if "--json" in sys.argv:
        print(json.dumps({each.what: median(each.ratios) for each in rows}))


if __name__ == "__main__":
    main()
