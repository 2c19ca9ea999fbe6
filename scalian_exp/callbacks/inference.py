"""Test with a network that is prepared for inference."""

from typing import Any

import pytorch_lightning as pl

from scalian_exp.networks.parts.folding import for_inference


class FastTest(pl.Callback):
    """Test with a copy of the network that computes the same faster, see networks/parts/folding.py."""

    def __init__(self) -> None:
        self.trained: Any = None

    def on_test_start(self, trainer: Any, task: Any) -> None:
        """Replace the network by the copy."""
        self.trained, task.network = task.network, for_inference(task.network, task)

    def on_test_end(self, trainer: Any, task: Any) -> None:
        """Give the task its own network back."""
        if self.trained is not None:
            self.trained, task.network = None, self.trained

    def on_exception(self, trainer: Any, task: Any, exception: BaseException) -> None:
        """Give the task its own network back."""
        self.on_test_end(trainer, task)
