"""Tell loggers that follow runs elsewhere how this one begins and ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scalian_exp.folders import MULTIRUN
from scalian_exp.loggers.protocols import Ending, FollowsRun, Run, takers
from scalian_exp.refusal import Refusal
from scalian_exp.stored import metrics_of, read_hydra, run_name


def described(folder: Path, config: dict[str, Any]) -> Run:
    """Name a run: by what it varies in its sweep, whose folder names the group, else by model, data set and folder."""
    if not (folder.parent / MULTIRUN).exists():
        return Run(folder, config, f"{run_name(folder, config)}, {folder.name}", None)
    try:
        varied = (read_hydra(folder) or {}).get("job", {}).get("override_dirname")
    except Refusal:  # a damaged record names nothing, but the run needs no more of it
        varied = None
    return Run(folder, config, varied or folder.name, folder.resolve().parent.name)


@contextmanager
def followed(trainer: Any, config: dict[str, Any], folder: Path) -> Iterator[None]:
    """Let loggers show the run as begun, and at the end of the block as finished, interrupted or failed.

    Raises:
        Refusal: if a logger can't begin; the others then show the run as failed.
    """
    begun: list[FollowsRun] = []
    ending: Ending = "failed"
    try:
        for logger in takers(trainer, FollowsRun):
            logger.begin(described(folder, config))
            begun.append(logger)
        yield
        ending = "finished"
    except (KeyboardInterrupt, SystemExit):
        ending = "interrupted"
        raise
    finally:
        for logger in begun:
            logger.end(ending, metrics_of(folder))
