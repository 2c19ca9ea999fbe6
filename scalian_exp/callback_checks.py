"""Refuses what cannot work in callbacks.*. Imports no torch."""

from typing import Any

from scalian_exp.refusal import Refusal


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
