"""Compare the time of a Boltzmann machine's epoch with other ways to train one.

    python scripts/benchmark_boltzmann.py

CD-1 and PCD-1, 784×500, 20,000 random binary rows, batches of 100; some three minutes. The framework runs with
progress bar and TensorBoard, but without validation, which estimates log Z. Steps of plain closed-form loops of the
same algorithm are interleaved, which draw as many states: one computes no loss, the other that of every step, whose
mean over an epoch the framework logs. Each of the framework's epochs is followed by one of scikit-learn's
BernoulliRBM, so that a machine that slows down slows all. That one is PCD-1 with as many chains as a batch has rows:
PCD-1 / scikit-learn compares equal work, CD-1 / scikit-learn doesn't. Trainings of a stack and of an RBM alone, with
the same optimizer and as many draws a step, take turns. Times are CPU times of this process, with all its threads;
ratios are medians over epochs, beside the lowest and the highest.
"""

import time
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from beside import train_beside
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from ratios import Ratio, table_of
from rich.console import Console
from sklearn.neural_network import BernoulliRBM
from torch import Tensor

from scalian_exp.build import build, build_task
from scalian_exp.run.record import quiet
from scalian_exp.vocabulary.config_folders import CONFIGS

BATCH, ROWS, HIDDEN, EPOCHS, RATE = 100, 20_000, 500, 8, 0.01
TURN = 5
"""number of steps that one loop runs before the other takes its turn"""
LOOPS = {"plain loop without the loss": False, "plain loop with the loss": True}
"""name → whether a plain loop computes the loss of its steps"""


def resolved(*overrides: str) -> dict[str, Any]:
    """Return a config of `scalian-train` on random binary images, validated on one batch at the end only."""
    data = ["dataset=fake_binary", f"dataset.batch_size={BATCH}", f"dataset.train_size={ROWS + BATCH}"]
    rest = [f"dataset.val_size={BATCH}", "dataset.test_size=1", "~callbacks.summary"]
    brief = ["model.val_likelihood.runs=2", "model.val_likelihood.steps=[1,1,1]", "~callbacks.figures", "~sweep"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[*data, *rest, *overrides, *brief])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain["trainer"]["check_val_every_n_epoch"] = plain["trainer"]["max_epochs"]
    return plain


class PlainLoop:
    """Hand-written contrastive divergence, persistent or not, without autograd."""

    def __init__(self, rows: Tensor, hidden: int, lr: float, persistent: bool, valued: bool):
        self.rows, self.lr, self.persistent, self.valued = rows, lr, persistent, valued
        self.value = torch.zeros(())
        self.chains = torch.bernoulli(torch.full((BATCH, hidden), 0.5))
        self.weight = 0.01 * torch.randn(rows.shape[1], hidden)
        self.visible_bias, self.hidden_bias = torch.zeros(rows.shape[1]), torch.zeros(hidden)
        self.batches = self.endless()

    def endless(self) -> Any:
        """Yield the indices of batches without end."""
        while True:
            yield from torch.randperm(len(self.rows)).split(BATCH)

    def run(self, steps: int) -> float:
        """Return the seconds that this number of steps takes."""
        start = time.process_time()
        for indices in islice(self.batches, steps):
            v = self.rows.index_select(0, indices).div(255)
            x = torch.addmm(self.hidden_bias, v, self.weight)
            h = torch.sigmoid(x)
            start_of_chains = self.chains if self.persistent else torch.bernoulli(h)
            again = torch.sigmoid(torch.addmm(self.visible_bias, start_of_chains, self.weight.T))
            if self.persistent:
                again = torch.bernoulli(again)
            x_again = torch.addmm(self.hidden_bias, again, self.weight)
            h_again = torch.sigmoid(x_again)
            if self.valued:
                self.value += self.free_energy(v, x) - self.free_energy(again, x_again)
            if self.persistent:
                self.chains = torch.bernoulli(h_again)
            rate = self.lr / len(v)
            self.weight.addmm_(v.T, h, alpha=rate).addmm_(again.T, h_again, alpha=-rate)
            self.visible_bias.add_((v - again).sum(0), alpha=rate)
            self.hidden_bias.add_((h - h_again).sum(0), alpha=rate)
        return time.process_time() - start

    def free_energy(self, v: Tensor, x: Tensor) -> Tensor:
        """Return the mean free energy of states (B, D), given the hidden units' input."""
        return -(v @ self.visible_bias).mean() - F.softplus(x).sum(1).mean()


class SideBySide(pl.Callback):
    """Measure the framework's epochs, each from its start to the next one's, and the others' epochs in between."""

    def __init__(self, plain: dict[str, PlainLoop] | None = None, rows: np.ndarray | None = None):
        self.plain, self.rows = plain or {}, rows
        self.start = self.others = 0.0
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the previous epoch's time, and time an epoch of scikit-learn."""
        if self.epochs:
            self.epochs[-1]["ours"] = time.process_time() - self.start - sum(self.epochs[-1].values())
        self.epochs.append({})
        self.start = time.process_time()
        if self.rows is not None:
            machine = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=1)
            start = time.process_time()
            machine.fit(self.rows)
            self.epochs[-1]["scikit-learn"] = time.process_time() - start

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Run and time a turn of the plain loops."""
        if batch_idx % TURN == 0:
            for name, loop in self.plain.items():
                spent = loop.run(min(TURN, trainer.num_training_batches - batch_idx))
                self.epochs[-1][name] = self.epochs[-1].get(name, 0.0) + spent

    def seconds(self, name: str, first: int) -> list[float]:
        """Return the seconds of each epoch from `first` on, without the last one, whose end isn't measured."""
        return [epoch[name] for epoch in self.epochs[first:-1]]


def trained(config: dict[str, Any], beside: bool, persistent: bool = False) -> SideBySide:
    """Train a config and return its times; if `beside`, also those of plain loops and of scikit-learn."""
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup()
    pixels = data.splits["train"].examples["image"].flatten(1)
    side = SideBySide()
    if beside:
        plain = {name: PlainLoop(pixels, HIDDEN, RATE, persistent, valued) for name, valued in LOOPS.items()}
        side = SideBySide(plain, pixels.numpy().astype(np.float32) / 255)
    train_beside(config, task, data, side)
    return side


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    size = ["dataset.image_size=[28,28]", f"trainer.max_epochs={EPOCHS}"]
    same = ["loss=contrastive_divergence", "model.momentum=null", "model.weight_decay=null"]
    same += [f"model.optimizer.{each}=0" for each in ("momentum", "weight_decay")]
    rbm = ["model=rbm", "dataset.image_size=[20,25]", "trainer.max_epochs=3", "model.draw_pixels=true", *same]
    dbn = ["model=dbn", "model.network.hidden=[500,500]", "model.epochs_per_layer=1", "dataset.image_size=[28,28]"]
    dbn += ["trainer.max_epochs=4", *same]
    console, title = Console(), f"seconds per epoch of {ROWS:,} rows"
    for name, loss in (("CD-1", "contrastive_divergence"), ("PCD-1", "persistent_cd")):
        config = resolved("model=rbm", f"model.optimizer.lr={RATE}", f"loss={loss}", *size)
        side = trained(config, beside=True, persistent=name == "PCD-1")
        ours, learn = (side.seconds(each, 1) for each in ("ours", "scikit-learn"))
        rows = [Ratio(f"{name} 784×500: ours / {loop}", ours, side.seconds(loop, 1), "≤ 1.15") for loop in LOOPS]
        rows += [Ratio(f"{name} 784×500: ours / scikit-learn's PCD-1", ours, learn, "≤ 0.8")]
        console.print(table_of(rows, title))
    stack: list[float] = []
    alone: list[float] = []
    for _ in range(4):  # each adds the last epoch but one
        stack += trained(resolved(*dbn), beside=False).seconds("ours", -2)
        alone += trained(resolved(*rbm), beside=False).seconds("ours", -2)
    ratio = Ratio("CD-1 500×500: second layer of a stack / an RBM alone", stack, alone, "≤ 1.05")
    console.print(table_of([ratio], title))


if __name__ == "__main__":
    main()
