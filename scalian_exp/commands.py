"""The command that repeats a job of a sweep as a run of its own."""

from collections.abc import Sequence
from pathlib import Path

from scalian_exp.stored import read_hydra, read_overrides


def alone(overrides: Sequence[str], callbacks: str) -> list[str]:
    """The words of a job, and what makes a run of its own of it: an experiment or a sweep may ask for many runs, and
    trials alone can be pruned."""
    many = any(word.startswith(("sweep=", "experiment=")) for word in overrides)
    return [
        *(word for word in overrides if word != "callbacks=pruning"),
        *(["hydra.mode=RUN"] if many else []),
        *(["callbacks=default"] if callbacks == "pruning" else []),
    ]


def words_of(run: Path) -> list[str]:
    """Those of a run folder."""
    overrides, said = read_overrides(run), read_hydra(run)
    if said is None or said["mode"] != "MULTIRUN":
        return overrides
    return alone(overrides, said["runtime"]["choices"]["callbacks"])
