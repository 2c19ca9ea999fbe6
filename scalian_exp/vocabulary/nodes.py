"""Iterate over nested configs. Imports no torch."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf


def targets(path: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and content of every node with a `_target_`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets(f"{path}[{index}]", value)


def texts(path: str, node: Any) -> Iterator[tuple[str, str]]:
    """Yield path and text of every string in a config."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(f"{path}[{index}]", value)
    elif isinstance(node, str):
        yield path, node


def leaf_paths(node: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of all keys of a config."""
    if isinstance(node, DictConfig):
        for key in map(str, node):
            below = f"{path}.{key}" if path else key
            yield below
            if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
                yield from leaf_paths(node[key], below)
