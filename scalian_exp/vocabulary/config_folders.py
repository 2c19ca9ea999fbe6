"""The folders in which configs lie: this package's, and those that a user adds. Imports no torch."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from scalian_exp.vocabulary.grammar import read

PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if (path / "train.yaml").exists())
"""inside the package in a wheel, beside it in a checkout"""
SEARCHPATH = "hydra.searchpath"
OTHER: ContextVar[Sequence[str]] = ContextVar("arguments of another command line")


def folders() -> list[Path]:
    """Return all folders in which Hydra looks for configs, including the user's own."""
    if HydraConfig.initialized():
        return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    if not GlobalHydra.instance().is_initialized():
        return [CONFIGS, *searchpath()]
    sources = GlobalHydra.instance().config_loader().get_sources()
    return [*(Path(source.path) for source in sources if source.scheme() == "file"), *searchpath()]


@contextmanager
def on_command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Look for configs, during a block, in the folders that another command line than this process's adds."""
    token = OTHER.set(arguments)
    try:
        yield
    finally:
        OTHER.reset(token)


def searchpath(arguments: Sequence[str] | None = None) -> list[Path]:
    """Return the config folders that overrides add, by default those of the command line.

    Hydra doesn't reveal them before a config is composed.
    """
    every = OTHER.get(sys.argv[1:]) if arguments is None else arguments
    given = [argument for argument in every if SEARCHPATH in argument]  # reading all of them takes a while
    value = next((o.value() for o in map(read, given) if o and o.key_or_group == SEARCHPATH), None)
    paths = [str(path).removeprefix("file://") for path in value] if isinstance(value, list) else []
    return [Path(path) for path in paths if "://" not in path]
