"""Noise that depends on the seed and the epoch alone."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng

EVALUATION = 2**20 - 1
"""stands where an epoch's number would, for validation and test: their noise is the same each time"""


class SeededEpochs(pl.Callback):
    """Seeds all generators at the start of every epoch: a resumed run draws what an uninterrupted one would, and
    validation curves aren't blurred by new noise."""

    def __init__(self, seed: int):
        self.seed = seed
        self.isolation: Any = None

    def seed_all(self, epoch: int, rank: int) -> None:
        seed = (self.seed * 2**20 + epoch + rank * 2**40) % 2**63
        random.seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(1))
        torch.manual_seed(seed)

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        self.seed_all(trainer.current_epoch, 0 if task.draws_by_rows else trainer.global_rank)

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        self.isolation = isolate_rng()
        self.isolation.__enter__()
        self.seed_all(EVALUATION, trainer.global_rank)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        self.isolation.__exit__(None, None, None)  # training goes on with its own noise

    def on_test_start(self, trainer: Any, task: Any) -> None:
        self.seed_all(EVALUATION, trainer.global_rank)
