"""Protocols of what loggers may offer beside Lightning's methods, so that nobody asks for their classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor

from scalian_exp.tasks.offers import offers

P = TypeVar("P")
Ending = Literal["finished", "interrupted", "failed"]


class Run(NamedTuple):
    """A run, as loggers show it elsewhere."""

    folder: Path
    config: Mapping[str, Any]
    """the resolved config"""
    name: str
    group: str | None
    """the name of its sweep, if it belongs to one"""


class TakesFigures(Protocol):
    """Shows figures beside the curves."""

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        """Show a figure, the contents of a PNG file, under a name such as `val/reconstructions`.

        Args:
            name: split/name.
            png: the file's contents.
            epoch: the number of epochs trained so far.
            step: the number of steps, which is that of the metrics.
        """


class TakesCodes(Protocol):
    """Shows codes as points in space, such as TensorBoard's PROJECTOR tab."""

    def log_codes(self, codes: Tensor, labels: list[int], thumbnails: Tensor, step: int) -> None:
        """Show codes (N, D) with class numbers (N,) and square thumbnails (N, 3, H, W) in [0, 1]."""


class TakesHyperparameters(Protocol):
    """Lists hyperparameters beside a metric, such as TensorBoard's HPARAMS tab."""

    def log_hyperparameters(self, values: Mapping[str, bool | str | float], metric: str) -> None:
        """List values by dotted path, beside the metric whose curve is called `metric`."""


class FollowsRun(Protocol):
    """Shows a run elsewhere from its start to its end: its name, config, state and files."""

    def begin(self, run: Run) -> None:
        """Show that a run starts or continues; raise a Refusal if that isn't possible."""

    def end(self, ending: Ending, metrics: Mapping[str, Any]) -> None:
        """Show how the run ended, with what its metrics.json holds, and keep its files."""


def takers(trainer: Any, protocol: type[P]) -> list[P]:
    """Return the trainer's loggers that offer what a protocol lists; none outside of the main process."""
    return [logger for logger in trainer.loggers if offers(logger, protocol)] if trainer.is_global_zero else []
