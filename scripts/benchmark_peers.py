"""Compare the time of an epoch with that of other packages that train the same network on the same images.

    pip install '.[peers]'
    python scripts/benchmark_peers.py

pythae trains a VAE 784-400-20, learnergy an RBM 784×500 by CD-1, on 20,000 random images in batches of 100. Each epoch
of the framework, with progress bar, TensorBoard and a checkpoint, but validated at the end only, is followed by one of
the peer, so that a machine that slows down slows both. The peers run their own loops without saving anything; learnergy
computes the pseudo-likelihood of each step too. Times are CPU times of this process; ratios are medians over epochs,
beside the lowest and the highest. Other peers: segmentation-models-pytorch and torchvision in
benchmark_segmentation.py, Surprise in benchmark_ratings.py, scikit-learn in benchmark_boltzmann.py, pydensecrf2 in
benchmark_crf.py.
"""

import logging
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from beside import train_beside
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from ratios import Ratio, table_of
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from scalian_exp.build import build, build_task
from scalian_exp.run.record import quiet
from scalian_exp.vocabulary.config_folders import CONFIGS

BATCH, IMAGES, EPOCHS = 100, 20_000, 7
HIDDEN, LATENT, UNITS = 400, 20, 500


def resolved(*overrides: str) -> dict[str, Any]:
    """Return a config of `scalian-train` on random images, validated on one batch at the end only."""
    data = ["dataset.image_size=[28,28]", f"dataset.batch_size={BATCH}", f"dataset.train_size={IMAGES + BATCH}"]
    rest = [f"dataset.val_size={BATCH}", "dataset.test_size=1", "~callbacks.summary", "~callbacks.figures", "~sweep"]
    epochs = [f"trainer.max_epochs={EPOCHS}", f"trainer.check_val_every_n_epoch={EPOCHS}", "trainer/accelerator=cpu"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[*data, *rest, *epochs, *overrides])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain


class Turns(pl.Callback):
    """Run and measure an epoch of a peer after each of the framework's."""

    def __init__(self, peer: Callable[[], object]):
        self.peer, self.start, self.spent = peer, 0.0, 0.0
        self.seconds: list[tuple[float, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch that ends, time one of the peer, and restart the clock."""
        now = time.process_time()
        if trainer.current_epoch > 1:  # the first epoch warms up
            self.seconds.append((now - self.start, self.spent))
        self.peer()
        self.start = time.process_time()
        self.spent = self.start - now


def pythae_vae(images: Tensor) -> Callable[[], object]:
    """Return what trains pythae's VAE for an epoch, with the layers of model=vae."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

        def forward(self, x: Tensor) -> Any:
            hidden = self.hidden(x)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    sizes = {"per_device_train_batch_size": BATCH, "learning_rate": 1e-3, "no_cuda": True}
    folder = tempfile.mkdtemp()
    dataset = BaseDataset(images.float() / 255, torch.zeros(len(images)))
    settings = BaseTrainerConfig(output_dir=folder, **sizes)
    trainer = BaseTrainer(VAE(config, Encoder(), Decoder()), dataset, training_config=settings)
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def learnergy_rbm(images: Tensor) -> Callable[[], object]:
    """Return what trains learnergy's RBM for an epoch."""
    from learnergy.models.bernoulli import RBM

    machine = RBM(784, UNITS, steps=1, learning_rate=0.01)
    dataset = TensorDataset(images.flatten(1).float() / 255, torch.zeros(len(images)))
    return lambda: machine.fit(dataset, batch_size=BATCH, epochs=1)


def side_by_side(config: dict[str, Any], peer: Callable[[Tensor], Callable[[], object]]) -> list[tuple[float, float]]:
    """Train a config, and return the seconds of each epoch and of the peer's."""
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup()
    turns = Turns(peer(data.splits["train"].examples["image"]))
    train_beside(config, task, data, turns)
    return turns.seconds


def main() -> None:
    """Print the table of ratios."""
    quiet()
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    vae = [f"model.network.hidden=[{HIDDEN}]", f"model.network.latent_dim={LATENT}"]
    rbm = [f"model.network.hidden=[{UNITS}]", "loss=contrastive_divergence"]
    peers: dict[str, tuple[list[str], Callable[[Tensor], Callable[[], object]]]] = {
        "VAE 784-400-20: ours / pythae": (["model=vae", "dataset=fake_images", *vae], pythae_vae),
        "RBM 784×500, CD-1: ours / learnergy": (["model=rbm", "dataset=fake_binary", *rbm], learnergy_rbm),
    }
    console = Console()
    for name, (overrides, peer) in peers.items():
        try:
            seconds = side_by_side(resolved(*overrides), peer)
        except ImportError as error:
            console.print(f"{name}: {error.name} isn't installed (pip install '.[peers]')", markup=False)
            continue
        ours, theirs = zip(*seconds, strict=True)
        console.print(table_of([Ratio(name, ours, theirs, "≤ 1")], f"seconds per epoch of {IMAGES:,} images"))


if __name__ == "__main__":
    main()
