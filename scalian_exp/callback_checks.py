"""Refuses what cannot work in callbacks.*. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from scalian_exp.refusal import Refusal
from scalian_exp.shell import command, word


def check_callbacks(callbacks: dict[str, Any]) -> None:
    """Several checkpoints need several names: a fixed one would be replaced, the best by the second best.

    Raises:
        Refusal: if a callback keeps several under one name.
    """
    for name, node in callbacks.items():
        if not node or not str(node.get("_target_")).endswith(".ModelCheckpoint"):
            continue
        filename, kept = node.get("filename"), node.get("save_top_k", 1)
        one_name = isinstance(filename, str) and "{" not in filename and node.get("enable_version_counter") is False
        if one_name and type(kept) is int and kept not in (0, 1):
            raise Refusal(
                f"callbacks.{name}.save_top_k={kept}: all of them would be {filename}.ckpt, each in the place of the "
                f"one before. Use 1, or add a callback whose filename tells them apart, as "
                f"'+callbacks.several={{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: {kept}, "
                'filename: "several-{epoch}"}\''
            )


def words_of_data() -> list[str]:
    """What Hydra was told of the data set: the option, and values of it; nothing where Hydra isn't at work."""
    if not HydraConfig.initialized():
        return []
    hydra = HydraConfig.get()
    values = [said for said in hydra.overrides.task if said.lstrip("+").startswith(("dataset.", "dataset/"))]
    return [f"dataset={hydra.runtime.choices['dataset']}", *values]


def check_judges(callbacks: dict[str, Any], data: Sequence[str]) -> None:
    """
    Args:
        data: the words that choose the data set.

    Raises:
        Refusal: if a callback's judge isn't there, with the command that trains it.
    """
    for node in callbacks.values():
        judge = (node or {}).get("judge")
        if data and isinstance(judge, str) and not Path(judge).exists():
            again = f"{command('scalian-train', 'model=classifier', *data)} {word('hydra.run.dir', Path(judge))}"
            raise Refusal(f"There is no judge {judge}; train one first, on the same data set: {again}")
