"""Check that a network, a loss or a data module offers what a protocol lists.

isinstance() isn't enough. From Python 3.12 on it overlooks submodules, as in `self.encode = nn.Linear(…)`; before, it
evaluates properties, which fails on a network built without memory; and it mistakes torch.nn.Module's placeholder for
`forward` for an implementation.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeGuard, TypeVar

from torch import nn

from scalian_exp.refusal import Refusal

P = TypeVar("P")


def is_protocol(candidate: Any) -> bool:
    """Return whether this is a class that derives from typing.Protocol by name."""
    return isinstance(candidate, type) and Protocol in candidate.__bases__


def members(protocol: type) -> dict[str, Any]:
    """Return the functions and properties that a protocol and those it extends list, by name, in their order."""
    listed: dict[str, Any] = {}
    for cls in reversed(protocol.__mro__):
        if cls not in (object, Generic, Protocol):
            public = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
            listed |= {n: v for n, v in public.items() if inspect.isfunction(v) or isinstance(v, property)}
    return listed


def signature(name: str, member: Any) -> str:
    """Return how a member is used: `sample(count)`, or `steps` for a property."""
    if isinstance(member, property):
        return name
    parameters = [parameter for parameter in inspect.signature(member).parameters.values() if parameter.name != "self"]
    return f"{name}({', '.join(parameter.name for parameter in parameters)})"


def described(protocol: type, names: list[str]) -> str:
    """Describe members of a protocol by the first sentences of their docstrings, for the middle of a sentence."""
    listed = members(protocol)
    parts = []
    for name in names:
        first = (inspect.getdoc(listed[name]) or "").partition("\n\n")[0].replace("\n", " ").removesuffix(".")
        first = first.removeprefix("Return ")
        meaning = first if first[:2].isupper() else first[:1].lower() + first[1:]
        parts.append(f"{signature(name, listed[name])} – {meaning}".removesuffix(" – "))
    return "; ".join(parts)


def has(thing: Any, name: str) -> bool:
    """Return whether an object has an attribute that isn't one of torch.nn.Module's placeholders.

    Properties are not evaluated: a network on the meta device has no values.
    """
    own = getattr(type(thing), name, None)
    if own is not None:
        return own is not getattr(nn.Module, name, None)
    return hasattr(thing, name)


def lacking(thing: Any, protocol: type) -> list[str]:
    """Return the names of a protocol's members that an object lacks."""
    return [name for name in members(protocol) if not has(thing, name)]


def offers(thing: Any, protocol: type[P]) -> TypeGuard[P]:
    """Return whether an object has all that a protocol lists."""
    return not lacking(thing, protocol)


def asked_by(task: type, part: str) -> type | None:
    """Return the protocol with which a task annotates its `network` or its `loss`; None if there is none."""
    for cls in task.__mro__:
        if part in (annotations := inspect.get_annotations(cls, eval_str=True)):
            return annotations[part] if is_protocol(annotations[part]) else None
    return None


def check_offers(thing: Any, protocol: type | None, place: str, whose: str) -> None:
    """Refuse an object that lacks something.

    Args:
        thing: the network or the loss.
        protocol: what it must offer; None for nothing.
        place: where the config names it, such as `model.network`.
        whose: who needs it.

    Raises:
        Refusal: if something is missing; it says what each missing member is.
    """
    if protocol is None or not (missing := lacking(thing, protocol)):
        return
    raise Refusal(
        f"{type(thing).__name__} ({place}) lacks what {whose} needs of a {place.rpartition('.')[2]}: "
        f"{described(protocol, missing)}. Add it to the class."
    )


def check_parts(task: Any, places: Mapping[str, str]) -> None:
    """Refuse a task whose parts lack what its class annotates them with.

    Args:
        task: the task, with its parts.
        places: attribute of the task → where the config names it.

    Raises:
        Refusal: as `check_offers`.
    """
    for part, place in places.items():
        check_offers(getattr(task, part), asked_by(type(task), part), place, type(task).__name__)
