"""Checks of the callbacks in a config. Imports no torch."""

from typing import Any

from scalian_exp.refusal import Refusal


def named_nodes(config: dict[str, Any], group: str) -> dict[str, dict[str, Any]]:
    """Return the callbacks or loggers of a config by name, without those that are null.

    Raises:
        Refusal: if one of them is not a mapping.
    """
    nodes = config.get(group) or {}
    if not isinstance(nodes, dict):
        raise Refusal(f"{group} must be a mapping from names to nodes, such as {group}={{}}, not {nodes!r}.")
    if wrong := [name for name, node in nodes.items() if not isinstance(node, dict | None)]:
        raise Refusal(f"{group}.{wrong[0]} must be a mapping with _target_, or null, not {nodes[wrong[0]]!r}.")
    return {name: node for name, node in nodes.items() if node}


def check_callbacks(callbacks: dict[str, Any]) -> None:
    """Check that no patience is negative, and that no callback overwrites its own checkpoints.

    Raises:
        Refusal: if a callback would keep several checkpoints under one name, or end the training before it begins.
    """
    for name, node in callbacks.items():
        patience = node.get("patience")
        if str(node.get("_target_")).endswith(".EarlyStopping") and isinstance(patience, int) and patience < 0:
            raise Refusal(f"callbacks.{name}.patience={patience}: it must be a whole number from 0.")
        if not str(node.get("_target_")).endswith((".ModelCheckpoint", ".BestCheckpoint")):
            continue
        filename, count = node.get("filename"), node.get("save_top_k", 1)
        one_name = isinstance(filename, str) and "{" not in filename and node.get("enable_version_counter") is False
        if one_name and type(count) is int and count not in (0, 1):
            raise Refusal(
                f"callbacks.{name}.save_top_k={count}: all of them would be called {filename}.ckpt, so that each would "
                "overwrite the one before. Use 1, or add a callback whose filename tells them apart, such as "
                f"'+callbacks.several={{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: {count}, "
                'filename: "several-{epoch}"}\''
            )
