"""Seed each epoch, so that its noise depends only on the seed and the epoch's number."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng

EVALUATION = 2**20 - 1
"""used in place of an epoch's number for validation and test, whose noise is the same each time"""


class SeededEpochs(pl.Callback):
    """Seed all random generators at the start of every epoch.

    A resumed run then draws the same noise as an uninterrupted one, and validation curves aren't blurred by new noise.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.isolation: Any = None

    def seed_all(self, epoch: int, rank: int) -> None:
        """Seed Python, numpy and torch for an epoch of one process."""
        seed = (self.seed * 2**20 + epoch + rank * 2**40) % 2**63
        random.seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(1))
        torch.manual_seed(seed)

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        """Seed the epoch."""
        self.seed_all(trainer.current_epoch, 0 if task.draws_by_rows else trainer.global_rank)

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        """Seed the validation, without changing the noise of the training."""
        self.isolation = isolate_rng()
        self.isolation.__enter__()
        self.seed_all(EVALUATION, trainer.global_rank)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Restore the random state of the training."""
        self.isolation.__exit__(None, None, None)

    def on_test_start(self, trainer: Any, task: Any) -> None:
        """Seed the test."""
        self.seed_all(EVALUATION, trainer.global_rank)
