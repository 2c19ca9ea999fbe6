"""Config nodes → objects."""

import inspect
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.checks import RESERVED
from scalian_exp.vocabulary.facts import FACTS

HYDRAS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
MISTAKES = (Refusal, ValueError, OSError, MisconfigurationException, ImportError)
"""what constructors raise when a config is at fault"""


def located(path: str) -> Any:
    """The class or function that a dotted path names; the modules on the way are imported.

    Raises:
        Refusal: if there is none.
    """
    try:
        top, *rest = path.split(".")
        found, name = import_module(top), top
        for part in rest:
            name = f"{name}.{part}"
            found = getattr(found, part) if hasattr(found, part) else import_module(name)
        return found
    except ModuleNotFoundError as error:
        advice = "" if find_spec(top) else f" Start from the folder of {top}.py, or add it to PYTHONPATH."
        raise Refusal(f"There is no {path}: {one_line(error)}.{advice}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(f"There is no {path}: {one_line(error)}.") from error


def build(path: str, node: dict[str, Any], **offers: Any) -> Any:
    """Build a node of a config, with those offers that its target takes and the node doesn't give.

    Words and facts that are there for others to read are left out unless the target asks for them. The node is plain
    data: nothing in it is interpolated. What its keys mean is what Hydra's `instantiate` says; that isn't called, as it
    would resolve interpolations, and from Hydra 1.5 on wants a list of all that a user's configs may name.

    Raises:
        Refusal: if the target can't be found, or refuses its arguments.
    """
    try:
        target = located(node["_target_"])
        takes = inspect.signature(target).parameters
    except (Refusal, ValueError, TypeError) as error:
        raise Refusal(f"{path}: {one_line(error)} Correct {path}._target_.") from error
    for_others = (RESERVED | FACTS) - HYDRAS - takes.keys()
    arguments = {name: value for name, value in node.items() if name not in for_others}
    accepted = {name: value for name, value in offers.items() if name in takes and name not in node}
    try:
        return called(target, arguments, accepted)
    except MISTAKES as error:
        raise Refusal(f"{path}: {one_line(error)}") from error


def called(target: Any, node: dict[str, Any], more: dict[str, Any]) -> Any:
    """A target with the arguments of its node, whose own nodes are built first, and more arguments as they are."""
    make = built if node.get("_recursive_", True) else (lambda value: value)
    arguments = {name: make(value) for name, value in node.items() if name not in HYDRAS}
    positional = [make(value) for value in node.get("_args_", [])]
    check_call(target, positional, {**arguments, **more}, bool(node.get("_partial_")))
    if node.get("_partial_"):
        return partial(target, *positional, **arguments, **more)
    return target(*positional, **arguments, **more)


def check_call(target: Any, positional: list[Any], named: dict[str, Any], partly: bool) -> None:
    """
    Raises:
        Refusal: if the target doesn't take these arguments, or needs others.
    """
    try:
        takes = inspect.signature(target)
    except ValueError:  # some written in C don't tell
        return
    try:
        (takes.bind_partial if partly else takes.bind)(*positional, **named)
    except TypeError as error:
        raise Refusal(f"{getattr(target, '__name__', target)} can't be called so: {one_line(error)}.") from error


def built(value: Any) -> Any:
    """A value of a config, in which nodes have become objects."""
    if isinstance(value, list):
        return [built(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "_target_" in value:
        return called(located(value["_target_"]), value, {})
    return {name: built(item) for name, item in value.items()}


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def build_task(config: dict[str, Any]) -> Any:
    """The task of a resolved config: its network, loss and optimizer.

    Raises:
        Refusal: if a part refuses its arguments.
    """
    task = build("model", config["model"], loss=build("loss", config["loss"]))
    task.describe(config["dataset"])
    if task.optimizer is None:
        return task
    try:
        task.optimizer([nn.Parameter(torch.zeros(1))])  # so that a bad learning rate is told before training
    except (ValueError, TypeError) as error:
        raise Refusal(f"model.optimizer: {one_line(error)}.") from error
    return task
