"""What tasks ask of networks and data sets, refused in a sentence where it is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from scalian_exp.refusal import Refusal


def check_offers(network: Any, needed: Mapping[str, str], whose: str) -> None:
    """Check that a network has all attributes and methods that a task needs of it.

    Args:
        needed: their names → what they are.
        whose: the task's name.

    Raises:
        Refusal: if some are missing.
    """
    if missing := [f"{name}, {meaning}" for name, meaning in needed.items() if not hasattr(network, name)]:
        raise Refusal(
            f"{type(network).__name__} (model.network) lacks what {whose} needs of a network: {'; '.join(missing)}. "
            "Add it to the class."
        )


def check_classes(data: Any, known: int | None, names: Sequence[str] | None) -> None:
    """Check the classes of a data module that is set up.

    Args:
        known: how many a network tells apart; None for a network of no classes.
        names: what they are called in figures.

    Raises:
        Refusal: if the data has another number of classes, or not each has a name of its own.
    """
    found, called = data.classes_found, type(data).__name__
    if known is not None and found != known:
        raise Refusal(f"{called} has {found} classes, but dataset.num_classes is {known}; correct it.")
    if names is not None and len(names) < found:
        raise Refusal(
            f"{called} has {found} classes, but dataset.class_names has {len(names)} names; name them all, or none "
            "(dataset.class_names=null)."
        )
    if names is not None and len(set(names)) < len(names):
        raise Refusal(f"dataset.class_names={list(names)}: two classes have the same name; change one.")
