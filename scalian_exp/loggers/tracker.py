"""Base class of loggers that follow runs in a tracker of experiments, such as Weights & Biases."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytorch_lightning.loggers.logger import Logger

from scalian_exp.files import read_json, write_text
from scalian_exp.folders import CHECKPOINTS, CONFIG, CURVES, ENVIRONMENT, FIGURES, METRICS, TRACKING
from scalian_exp.loggers.protocols import Ending, Run
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.packages import is_installed, missing

Kept = Literal["best", "last"]


def imported(module: str, extra: str) -> Any:
    """Import the package of a tracker.

    Raises:
        Refusal: with the command that installs it.
    """
    if not is_installed(module):
        raise Refusal(missing(module, extra))
    try:
        return import_module(module)
    except ImportError as error:
        raise Refusal(missing(str(error.name), extra)) from error


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """Map the dotted paths of a config's leaves to their values; lists are leaves."""
    if not isinstance(node, Mapping):
        return {path: node}
    return {
        key: leaf for name, value in node.items() for key, leaf in flat(value, f"{path}.{name}".lstrip(".")).items()
    }


class Tracker(Logger, ABC):
    """A logger that shows a run in a tracker of experiments, under one identifier, which the run folder keeps.

    Only the main process begins; in all others its methods do nothing.

    Args:
        save_dir: the run folder.
        name: the run's name; None for model, data set and folder, in a sweep for what the job varies.
        group: the runs that belong together; None for the sweep, if there is one.
        checkpoints: which checkpoints to keep there at the end of the training.
    """

    tracker: ClassVar[str]
    """the key of its identifier in the run folder"""

    def __init__(
        self, save_dir: str, name: str | None = None, group: str | None = None, checkpoints: Sequence[Kept] = ()
    ):
        super().__init__()
        self.folder, self.wanted_name, self.wanted_group = Path(save_dir), name, group
        self.checkpoints = checkpoints
        self.file = self.folder / TRACKING

    @abstractmethod
    def start(self, name: str, group: str | None, config: Mapping[str, Any], known: str | None) -> str:
        """Start a run, or continue the one with a known identifier, and return its identifier.

        Raises:
            Refusal: if that isn't possible; it says what to do.
        """

    @abstractmethod
    def stop(self, ending: Ending, metrics: Mapping[str, Any], checkpoints: list[Path], files: list[Path]) -> None:
        """Keep the checkpoints and other files of the run, and mark it as ended."""

    def begin(self, run: Run) -> None:
        """Start the run, or continue it where its folder knows its identifier."""
        known = read_json(self.file, advice="delete it, so that a new run is tracked") if self.file.exists() else {}
        own = known.get(self.tracker)
        name, group = self.wanted_name or run.name, self.wanted_group or run.group
        identifier = self.start(name, group, run.config, own if isinstance(own, str) else None)
        write_text(self.file, json.dumps({**known, self.tracker: identifier}, indent=2) + "\n")

    def end(self, ending: Ending, metrics: Mapping[str, Any]) -> None:
        """Keep the run's files, and mark it as finished, interrupted or failed."""
        kept = [file for name in self.checkpoints if (file := self.folder / CHECKPOINTS / f"{name}.ckpt").exists()]
        others = [self.folder / name for name in (CONFIG, ENVIRONMENT, METRICS, CURVES)]
        figures = sorted((self.folder / FIGURES).glob("*.png"))
        self.stop(ending, metrics, kept, [file for file in (*others, *figures) if file.exists()])

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Do nothing: the run's config is shown from its start."""

    def finalize(self, status: str) -> None:
        """Do nothing: Lightning calls this between training and test; `end` follows later."""

    @property
    def save_dir(self) -> str:
        """Run folder."""
        return str(self.folder)
