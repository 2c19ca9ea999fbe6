"""Compare the time of DRAW's training step with that of a plain loop over the same cells.

    python scripts/benchmark_draw.py

10 glimpses on random 28×28 images, batches of 128, with and without attention. The framework runs with progress bar,
TensorBoard, validation and checkpoints. Steps of the plain loop are interleaved, with the cells, heads and optimizer of
the same network, so that a machine that slows down slows both. The plain loop follows the paper literally: it
concatenates an LSTM's inputs at each step and computes the filters of one axis after the other. Times are CPU times of
this process; ratios are medians, beside the lowest and the highest.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from benchmark import BATCH, TURN, in_memory
from beside import train_beside
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from ratios import Ratio, table_of
from rich.console import Console
from torch import Tensor, nn

from scalian_exp.build import build, build_task
from scalian_exp.run.record import quiet
from scalian_exp.vocabulary.config_folders import CONFIGS

IMAGES, EPOCHS = 5_120, 4


def resolved(model: str) -> dict[str, Any]:
    """Return the config of `scalian-train` with 10 glimpses on random binary images, validated on one batch."""
    data = ["dataset=fake_binary", "dataset.image_size=[28,28]", f"dataset.batch_size={BATCH}", "dataset.test_size=1"]
    sizes = [f"dataset.train_size={IMAGES + BATCH}", f"dataset.val_size={BATCH}", f"trainer.max_epochs={EPOCHS}"]
    network = ["model.network.glimpses=10", "model.network.latent_dim=10", "~callbacks.summary", "~callbacks.figures"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[f"model={model}", *data, *sizes, *network, "~sweep"])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain


def filters(parameters: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the filters F_Y and F_X (B, N, 28) and the intensity γ (B, 1, 1)."""
    across, down, log_variance, log_stride, log_intensity = parameters.split(1, 1)
    positions = torch.arange(1, 29, device=parameters.device)
    offsets = torch.arange(size, device=parameters.device) - size / 2 + 0.5
    banks = []
    for centre in (down, across):
        means = 14.5 * (centre + 1) + 27 / (size - 1) * torch.exp(log_stride) * offsets
        weights = torch.exp(-((positions - means[:, :, None]) ** 2) / (2 * torch.exp(log_variance)[:, :, None]))
        banks.append(weights / (weights.sum(2, keepdim=True) + 1e-8))
    return banks[0], banks[1], torch.exp(log_intensity)[:, :, None]


def bound(network: Any, x: Tensor) -> Tensor:
    """Return the negative ELBO of images (B, 1, 28, 28), computed glimpse by glimpse."""
    x = x[:, 0]
    canvas = network.blank.transpose(0, 1).expand_as(x[:, None])[:, 0]
    h_encoder = c_encoder = h_decoder = c_decoder = x.new_zeros(len(x), network.lstm_units)
    kl = torch.zeros((), device=x.device)
    for _ in range(network.steps):
        error = x - torch.sigmoid(canvas)
        if hasattr(network, "read_head"):
            rows, columns, intensity = filters(network.read_head(h_decoder), network.reading.size)
            seen = [(intensity * rows @ image @ columns.mT).flatten(1) for image in (x, error)]
        else:
            seen = [x.flatten(1), error.flatten(1)]
        h_encoder, c_encoder = network.encoder(torch.cat([*seen, h_decoder], 1), (h_encoder, c_encoder))
        mean, log_variance = network.posterior(h_encoder).chunk(2, 1)
        kl = kl + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        h_decoder, c_decoder = network.decoder(z, (h_decoder, c_decoder))
        written = network.write_head(h_decoder)
        if hasattr(network, "read_head"):
            size = network.writing.size
            rows, columns, intensity = filters(written[:, :5], size)
            canvas = canvas + rows.mT @ written[:, 5:].view(-1, size, size) @ columns / intensity
        else:
            canvas = canvas + written.view(-1, 28, 28)
    return (F.binary_cross_entropy_with_logits(canvas, x, reduction="sum") + kl) / len(x)


def plain_steps(network: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[Tensor]) -> None:
    """Train with a hand-written loop."""
    for x in batches:
        optimizer.zero_grad()
        bound(network, x).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()


class SideBySide(pl.Callback):
    """Measure the framework's epochs, each from its start to the next one's, and as many steps of the plain loop."""

    def __init__(self, batches: Iterator[Tensor]):
        self.batches = batches
        self.start = self.plain = 0.0
        self.epochs: list[tuple[float, float]] = []

    def end_epoch(self) -> None:
        """Record the times of the epoch that ends, if one has begun."""
        if self.start:
            self.epochs.append((time.process_time() - self.start - self.plain, self.plain))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the previous epoch and restart the clocks."""
        self.end_epoch()
        self.start, self.plain = time.process_time(), 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Run and time a turn of the plain loop."""
        if batch_idx % TURN == 0:
            start = time.process_time()
            plain_steps(pl_module.network, trainer.optimizers[0], islice(self.batches, TURN))
            self.plain += time.process_time() - start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the last epoch."""
        self.end_epoch()


def seconds_per_step(model: str) -> list[list[float]]:
    """Return the seconds per step in each epoch, of the framework and of the plain loop."""
    config = resolved(model)
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup()
    side = SideBySide(in_memory(data.splits["train"].examples["image"]))
    train_beside(config, task, data, side)
    steps = IMAGES / BATCH
    return [[seconds / steps for seconds in times] for times in zip(*side.epochs[1:], strict=True)]


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    models = ("draw", "draw_no_attention")
    rows = [Ratio(f"{model}: ours / plain loop", *seconds_per_step(model), "≤ 1.03") for model in models]
    Console().print(table_of(rows, f"seconds per step of 10 glimpses, batch {BATCH}"))


if __name__ == "__main__":
    main()
