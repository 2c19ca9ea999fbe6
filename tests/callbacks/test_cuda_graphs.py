"""CUDA graphs refuse what would spoil them before anything is recorded, so on a CPU too."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import Tensor, nn

from scalian_exp.callbacks.cuda_graphs import CudaGraphs
from scalian_exp.refusal import Refusal


class Line(pl.LightningModule):
    """Fits a line, by the loss of another network than the one that would be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.used = nn.Linear(1, 1), nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Tensor:
        return self.used(batch).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Doubling(pl.Callback):
    """Accumulates gradients in a way of its own."""

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        trainer.accumulate_grad_batches = 2


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        ([GradientAccumulationScheduler({0: 2})], "can't accumulate gradients over batches"),
        ([GradientAccumulationScheduler({7: 2})], "can't accumulate gradients over batches"),
        ([Doubling()], "can't accumulate gradients over batches"),
        ([], "doesn't call this network as a whole"),
    ],
)
def test_what_cannot_be_recorded_is_refused(callbacks: list[pl.Callback], sentence: str, tmp_path: Path) -> None:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    given: Any = {"accelerator": "cpu", "max_epochs": 1, "default_root_dir": tmp_path, **off}
    trainer = pl.Trainer(callbacks=[CudaGraphs(), *callbacks], **given)
    with pytest.raises(Refusal, match=sentence):
        trainer.fit(Line(), torch.ones(4, 1))
