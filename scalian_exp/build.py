"""Build objects from config nodes."""

import inspect
from difflib import get_close_matches
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
from scalian_exp.vocabulary.signatures import signature

HYDRAS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
MISTAKES = (Refusal, ValueError, OSError, MisconfigurationException, ImportError)
"""exceptions that constructors raise when the config is at fault"""


def located(path: str) -> Any:
    """Import the class or function that a dotted path names.

    Raises:
        Refusal: if it doesn't exist.
    """
    top, *rest = path.split(".")
    name, target = top, None
    try:
        target = import_module(top)
        for part in rest:
            name = f"{name}.{part}"
            target = getattr(target, part) if hasattr(target, part) else import_module(name)
        return target
    except ModuleNotFoundError as error:
        if error.name == name and inspect.ismodule(target):
            own = [each for each, value in vars(target).items() if callable(value) and not each.startswith("_")]
            close = get_close_matches(part, own, n=1)
            advice = f"did you mean {close[0]}?" if close else "correct its name."
            raise Refusal(f"{target.__name__} has no {part}; {advice}") from error
        advice = "" if find_spec(top) else f" Start from the folder of {top}.py, or add it to PYTHONPATH."
        raise Refusal(f"There is no {path}: {one_line(error)}.{advice}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(f"There is no {path}: {one_line(error)}.") from error


def signature_of(target: Any) -> inspect.Signature:
    """Return a target's signature, with the arguments that a class's `**kwargs` pass on to its base classes.

    Raises:
        ValueError: if the target has none, as some functions written in C.
        TypeError: if the target can't be called.
    """
    own = inspect.signature(target)
    is_open = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in own.parameters.values())
    known = signature(f"{target.__module__}.{target.__qualname__}") if is_open and inspect.isclass(target) else None
    if known is None:
        return own
    constructors = [vars(base)["__init__"] for base in reversed(target.__mro__) if "__init__" in vars(base)]
    inherited = {name: each for one in constructors for name, each in inspect.signature(one).parameters.items()}
    further = [name for name in known.parameters if name in inherited and name not in own.parameters]
    *explicit, kwargs = own.parameters.values()
    passed_on = [inherited[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in further]
    return own.replace(parameters=[*explicit, *passed_on, *([kwargs] if known.open else [])])


def build(path: str, node: dict[str, Any], **offers: Any) -> Any:
    """Build the object that a config node describes.

    Keys that other parts of the program read (such as `provides`) are left out unless the target takes them. The node
    is plain data without interpolations. Its keys have the meaning of Hydra's `instantiate`, which isn't used because
    it would resolve interpolations, and from Hydra 1.5 on needs a list of everything that a user's configs may name.

    Args:
        path: where the node is in the config, for messages.
        node: the node, with its `_target_`.
        offers: further arguments, passed if the target takes them and the node doesn't give them.

    Raises:
        Refusal: if the target doesn't exist, or refuses its arguments.
    """
    try:
        target = located(node["_target_"])
        takes = signature_of(target).parameters
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
    """Call a target with the arguments of its node, in which nested nodes are built first, and with `more` as it is."""
    make = built if node.get("_recursive_", True) else (lambda value: value)
    arguments = {name: make(value) for name, value in node.items() if name not in HYDRAS}
    positional = [make(value) for value in node.get("_args_", [])]
    check_call(target, positional, {**arguments, **more}, bool(node.get("_partial_")))
    if node.get("_partial_"):
        return partial(target, *positional, **arguments, **more)
    return target(*positional, **arguments, **more)


def check_call(target: Any, positional: list[Any], named: dict[str, Any], partly: bool) -> None:
    """Refuse arguments that a target doesn't take, and calls that lack one it needs.

    Raises:
        Refusal: if the call doesn't match the target's signature.
    """
    try:
        takes = signature_of(target)
    except ValueError:  # some functions written in C have no signature
        return
    try:
        (takes.bind_partial if partly else takes.bind)(*positional, **named)
    except TypeError as error:
        raise Refusal(f"{getattr(target, '__name__', target)} can't be called like this: {one_line(error)}.") from error


def built(value: Any) -> Any:
    """Return a config value with its nodes replaced by the objects that they describe."""
    if isinstance(value, list):
        return [built(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "_target_" in value:
        own = {name: item for name, item in value.items() if name not in RESERVED - HYDRAS}
        return called(located(value["_target_"]), own, {})
    return {name: built(item) for name, item in value.items()}


def one_line(error: BaseException) -> str:
    """Return an exception's message on one line."""
    return " ".join(str(error).split())


def build_task(config: dict[str, Any]) -> Any:
    """Build the task of a resolved config, with its network, loss and optimizer.

    Raises:
        Refusal: if one of them refuses its arguments.
    """
    task = build("model", config["model"], loss=build("loss", config["loss"]))
    task.describe(config["dataset"])
    if task.optimizer is None:
        return task
    try:
        task.optimizer([nn.Parameter(torch.zeros(1))])  # so that a bad learning rate is refused before training
    except (ValueError, TypeError) as error:
        raise Refusal(f"model.optimizer: {one_line(error)}.") from error
    return task
