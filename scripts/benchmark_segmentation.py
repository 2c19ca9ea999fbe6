"""Compare the speed of segmentation with other implementations, as ratios measured in one run.

    python scripts/benchmark_segmentation.py

The two sides of each pair take turns, so that a machine that slows down slows both. Times are CPU times of this
process, with all its threads; ratios are medians, beside the lowest and the highest. The images are noise, because the
time doesn't depend on what they show.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ProgressBar
from ratios import Ratio, table_of
from rich.console import Console
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50

from scalian_exp.build import build, build_task
from scalian_exp.callbacks.progress import Bar
from scalian_exp.metrics.cost import cost
from scalian_exp.networks.deeplab import DeepLabV3
from scalian_exp.networks.fastfcn import EncNet, FastFCN
from scalian_exp.networks.parts.backbones import ResNet
from scalian_exp.run.record import quiet
from scalian_exp.run.trainer import build_trainer
from scalian_exp.vocabulary.config_folders import CONFIGS

try:
    import segmentation_models_pytorch as smp
except ImportError:
    smp = None

CLASSES = 12
STEPS = 24
"""number of steps of the framework and of the plain loop"""


def resolved(model: str) -> dict[str, Any]:
    """Return the config of a short training of a segmentation model on synthetic masks."""
    data = (
        f"dataset=fake_masks dataset.image_size=[120,160] dataset.num_classes={CLASSES} dataset.train_size={4 * STEPS}"
    )
    small = ["model.network.width=0.25", "trainer.max_epochs=2", "trainer/accelerator=cpu", "test=false"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[f"model={model}", *data.split(), *small, "~callbacks.summary"])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain


class Turns(pl.Callback):
    """Run a step of a hand-written loop after each step of the framework, on the same network and optimizer."""

    def __init__(self, batches: list[tuple[Tensor, Tensor]]):
        self.batches = batches
        self.ours: list[float] = []
        self.plain: list[float] = []
        self.start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Run and time a step of the plain loop."""
        now = time.process_time()
        if self.start:
            self.ours.append(now - self.start)
        x, mask = self.batches[batch_idx % len(self.batches)]
        optimizer = trainer.optimizers[0]
        outputs = pl_module.network(x.div(255))
        logits = outputs["out"] if isinstance(outputs, dict) else outputs
        optimizer.zero_grad()
        F.cross_entropy(logits, mask).backward()
        optimizer.step()
        self.start = time.process_time()
        self.plain.append(self.start - now)


def frame(model: str) -> tuple[list[float], list[float]]:
    """Return seconds per training step: the framework with bar, TensorBoard and CSV, and the plain loop."""
    config = resolved(model)
    del config["callbacks"]["figures"]
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup()
    examples = data.splits["train"].examples
    batches = list(
        zip(
            examples["image"].split(4),
            examples["mask"].long().masked_fill(examples["mask"] == 255, -100).split(4),
            strict=True,
        )
    )
    with TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        trainer = build_trainer(config, task, Path(folder))
        turns = Turns(batches)
        bar = Bar(refresh_rate=4, console_kwargs={"file": nowhere, "force_terminal": True})
        others = [c for c in trainer.callbacks if not isinstance(c, ProgressBar)]
        trainer.callbacks = [bar, *others, turns]
        trainer.fit(task, data)
    steps = len(turns.ours)
    return turns.ours[4:], turns.plain[4:steps]


def side_by_side(first: Callable[[], Any], second: Callable[[], Any], rounds: int = 5) -> list[list[float]]:
    """Return the seconds of two actions that take turns, after one turn to warm up."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for action, seconds in zip((first, second), times, strict=True):
            start = time.process_time()
            action()
            seconds.append(time.process_time() - start)
    return [seconds[1:] for seconds in times]


def training(network: nn.Module, x: Tensor, mask: Tensor) -> Callable[[], None]:
    """Return an action that computes the gradients of a training step."""
    network.train()

    def step() -> None:
        outputs = network(x)
        F.cross_entropy(outputs["out"] if isinstance(outputs, dict) else outputs, mask).backward()

    return step


def inference(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return an action that runs a network once."""
    network.eval()

    def step() -> None:
        with torch.no_grad():
            network(x)

    return step


def main() -> None:
    """Print the table of ratios."""
    quiet()
    torch.manual_seed(0)
    rows = [
        Ratio(f"{model}: our training step / plain loop", *frame(model), "≤ 1.03")
        for model in ("unet", "deeplab_v3plus", "fcn8s")
    ]

    x, mask = torch.rand(2, 3, 176, 240), torch.randint(CLASSES, (2, 176, 240))
    ours_v3 = DeepLabV3(3, CLASSES, 50, output_stride=8, torchvision_resize=True)
    ours_v3.backbone = ResNet(3, 50, 1.0, output_stride=8)  # without the paper's multi-grid, which the others lack
    others: dict[str, nn.Module] = {
        "torchvision": deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    }
    if smp is not None:
        others["smp"] = smp.DeepLabV3("resnet50", encoder_weights=None, classes=CLASSES)
    for name, other in others.items():
        what = "DeepLab v3, ResNet-50, stride 8:"
        times = side_by_side(training(ours_v3, x, mask), training(other, x, mask))
        rows.append(Ratio(f"{what} training step, ours / {name}'s", *times, "≤ 1.0"))
        times = side_by_side(inference(ours_v3, x), inference(other, x))
        rows.append(Ratio(f"{what} inference, ours / {name}'s", *times, "≤ 1.0"))

    x = torch.rand(1, 3, 512, 512)
    dilated, jpu = (FastFCN(3, CLASSES, EncNet, 50, joint_upsampling=joint) for joint in (False, True))
    times = side_by_side(inference(dilated, x), inference(jpu, x), rounds=3)
    rows.append(Ratio("EncNet, ResNet-50, 512×512: inference, dilated / JPU", *times, "≥ 1.6"))
    console = Console()
    console.print(table_of(rows, "seconds"))
    for name, network in (("dilated", dilated), ("JPU", jpu)):
        costs = cost(network, x)
        console.print(f"{name}: {costs['gmacs']:.1f} GMACs, {costs['activations_mb_per_sample']:.0f} MB of activations")
    if smp is None:
        console.print(
            "segmentation_models_pytorch isn't installed (pip install '.[smp]'), so only torchvision was compared.",
            markup=False,
        )


if __name__ == "__main__":
    main()
