"""Refuse parts of an experiment whose optional packages aren't installed, before torch is imported.

A module that can't work without a package of an extra states it, as PACKAGES, and one that needs a package only for
published weights as PACKAGES_OF_WEIGHTS: module of the package → extra that installs it. They are read from its source.
"""

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.definitions import defined
from scalian_exp.vocabulary.nodes import targets

ALWAYS, FOR_WEIGHTS = "PACKAGES", "PACKAGES_OF_WEIGHTS"
LIBRARIES = {"segmentation_models_pytorch": "smp"}
"""module of a package whose own classes configs name → extra that installs it"""


def check_packages(config: Mapping[str, Any], starts: bool = False) -> None:
    """Check that the packages that a config needs are installed.

    Args:
        config: the resolved config, or groups of it.
        starts: whether networks start from published weights where they have any.

    Raises:
        Refusal: with the command that installs the first that is missing.
    """
    for path, node in (each for group in config.items() for each in targets(*group)):
        for package, extra in needed(node, starts).items():
            if not is_installed(package):
                raise Refusal(f"{path}: {missing(package, extra)}")


def needed(node: dict[str, Any], starts: bool) -> dict[str, str]:
    """Return the modules of optional packages that a node needs → the extras that install them."""
    module, _, _ = str(node["_target_"]).rpartition(".")
    top = module.partition(".")[0]
    library = {top: LIBRARIES[top]} if top in LIBRARIES else {}
    weights = stated(module, FOR_WEIGHTS) if starts and node.get("pretrained") is True else {}
    return {**library, **stated(module, ALWAYS), **weights}


def stated(module: str, name: str) -> dict[str, str]:
    """Return a constant of one of this package's modules, without importing it; empty if it has none."""
    definition = defined(module, name) if module.startswith("scalian_exp.") else None
    value: dict[str, str] = ast.literal_eval(definition[1]) if definition else {}
    return value


def is_installed(module: str) -> bool:
    """Return whether a package can be imported; a folder of its name, such as the one W&B writes, is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def missing(module: str, extra: str) -> str:
    """Return the sentence about a package that is missing."""
    return f"{module} is missing: pip install 'scalian-exp[{extra}]'."
