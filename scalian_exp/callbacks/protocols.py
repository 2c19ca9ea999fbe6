"""Protocols of what callbacks may offer beside Lightning's hooks; `offers` of tasks/offers.py asks for them."""

from typing import Any, Protocol


class ChecksBeforehand(Protocol):
    """Refuses what it can't work with before the run folder is claimed."""

    def check(self, task: Any, data: Any) -> None:
        """Check the task and the data module, which is set up; raise a Refusal that says what to do."""


class ContinuesEpochs(Protocol):
    """Takes up an epoch from the middle, where Lightning calls none of the hooks of a training epoch's start."""

    def on_epoch_resumed(self, trainer: Any, task: Any) -> None:
        """Continue an epoch that was interrupted; called in place of `on_train_epoch_start`."""
