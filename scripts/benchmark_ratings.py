"""Compare the time of a recommender's epoch with one of Surprise's SVD.

    python scripts/benchmark_ratings.py

The framework runs without validation. Each of its epochs is followed by one of Surprise's SVD, a matrix factorisation
by stochastic gradient descent in compiled code, on the same ratings, so that a machine that slows down slows both.
Times are CPU times of this process; ratios are medians, beside the lowest and the highest. The data are MovieLens 100k
(u1), or random ratings of the same size if it can't be downloaded.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from ratios import Ratio, table_of
from rich.console import Console
from torch import Tensor

from scalian_exp.build import build, build_task
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import quiet
from scalian_exp.run.trainer import build_trainer
from scalian_exp.vocabulary.config_folders import CONFIGS

try:
    import surprise
except ImportError:
    surprise = None

EPOCHS = 12
FACTORS = 100
"""Surprise's default, and the RBM's features"""


def resolved(*overrides: str) -> dict[str, Any]:
    """Return a config of `scalian-train` without validation, logs and checkpoints."""
    base = ["logger=none", "trainer/accelerator=cpu", f"trainer.max_epochs={EPOCHS}", "test=false"]
    base += [f"trainer.check_val_every_n_epoch={EPOCHS}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[*base, *overrides])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain["trainer"]["enable_progress_bar"] = False
    return plain | {"callbacks": {}}


class Turns(pl.Callback):
    """Run and measure an epoch of Surprise after each of the framework's."""

    def __init__(self, theirs: Any):
        self.theirs = theirs
        self.start = 0.0
        self.seconds: list[tuple[float, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the framework's epoch."""
        self.start = time.process_time()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch's time, and time an epoch of Surprise."""
        ours = time.process_time() - self.start
        start = time.process_time()
        surprise.SVD(n_factors=FACTORS, n_epochs=1).fit(self.theirs)
        self.seconds.append((ours, time.process_time() - start))


def in_surprise(table: Tensor) -> Any:
    """Convert the ratings of a table (users, items) to Surprise's format."""
    pairs = table.nonzero()
    triples = [(user, item, float(table[user, item]), None) for user, item in pairs.tolist()]
    return surprise.Dataset(surprise.Reader(rating_scale=(1, 5))).construct_trainset(triples)


def epochs(*overrides: str) -> tuple[list[float], list[float], int]:
    """Return the seconds of each epoch of the framework and of Surprise, and the number of ratings."""
    config = resolved(*overrides)
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.prepare_data()
    data.setup()
    table = data.by_user(data.splits["train"].rating).dense()
    turns = Turns(in_surprise(table))
    with TemporaryDirectory() as folder:
        trainer = build_trainer(config, task, Path(folder))
        trainer.callbacks = [turns]
        trainer.fit(task, data)
    ours, theirs = zip(*turns.seconds[2:-1], strict=True)  # the first ones warm up, and the last one validates
    return list(ours), list(theirs), int((table > 0).sum())


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    console = Console()
    if surprise is None:
        console.print("Surprise isn't installed: nothing to compare with (pip install '.[surprise]')", markup=False)
        return
    data = ["dataset=movielens_100k"]
    try:
        build("dataset", resolved("model=rbm_cf_items", *data)["dataset"]).prepare_data()
    except Refusal as refusal:
        console.print(f"{refusal} Using random ratings of the same size instead.")
        data = ["dataset=fake_ratings", "dataset.users=943", "dataset.items=1682", "dataset.batch_size=128"]
    rbm = ["model=rbm_cf_items", f"model.network.features={FACTORS}"]
    models = {
        "item RBM, 100 features, CD-1": [*rbm, "loss.k=1", "loss.k_end=1"],
        "item RBM, 100 features, CD-3": [*rbm, "loss.k=3", "loss.k_end=3"],
        "I-AutoRec, 500 features": ["model=autorec_items"],
        "matrix factorisation, 40 features": ["model=biased_mf", "model.network.features=40"],
    }
    rows, size = [], 0
    for name, overrides in models.items():
        ours, theirs, size = epochs(*overrides, *data)
        wanted = "≤ 3" if name.startswith("matrix") else ""
        rows.append(Ratio(f"{name} / Surprise's SVD, {FACTORS} factors", ours, theirs, wanted))
    console.print(table_of(rows, f"seconds per epoch of {size} ratings"))


if __name__ == "__main__":
    main()
